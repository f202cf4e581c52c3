"""A fake device: arrays that behave as CuPy's do, with NumPy hidden inside, and every transfer and wait counted.

Its arrays refuse what `cupy.ndarray` refuses (turning into NumPy arrays unasked, operands that live elsewhere), and
more: CuPy hands ``numpy.exp(x)`` on to ``cupy.exp`` and uploads a host array that is used as an index; here both are
refused, for a layer should do neither. The array module has the functions that the package uses and no others, with
the arguments that CuPy 14 gives them. Memory from `empty` is not zero by chance: it is NaN, or 99. All is done at once,
on the host, so nothing is shown of speed, of streams, or of how a GPU rounds.
"""

from __future__ import annotations

import functools
import inspect
import operator
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np

from npalexnet.backend.device import Device

# --- what CuPy 14 has, and with which arguments; a test holds these against CuPy where it is installed --------------

FUNCTIONS = {
    "arange": lambda start, stop=None, step=1, dtype=None: ...,
    "ascontiguousarray": lambda a, dtype=None: ...,
    "copyto": lambda dst, src, casting="same_kind", where=None: ...,
    "empty": lambda shape, dtype=float, order="C": ...,
    "empty_like": lambda prototype, dtype=None, order="K", subok=None, shape=None: ...,
    "full": lambda shape, fill_value, dtype=None, order="C": ...,
    "where": lambda condition, x, y: ...,
    "zeros": lambda shape, dtype=float, order="C": ...,
    "zeros_like": lambda a, dtype=None, order="K", subok=None, shape=None: ...,
    "lib.stride_tricks.as_strided": lambda x, shape=None, strides=None: ...,
}
UFUNCS = {
    "add": lambda a, b, /, out=None, *, dtype=None, casting="same_kind": ...,
    "multiply": lambda a, b, /, out=None, *, dtype=None, casting="same_kind": ...,
    "matmul": lambda a, b, /, *, casting="same_kind", dtype=None, order="K", out=None: ...,
    "exp": lambda a, /, out=None, *, dtype=None, casting="same_kind": ...,
    "isfinite": lambda a, /, out=None, *, dtype=None, casting="same_kind": ...,
    "log": lambda a, /, out=None, *, dtype=None, casting="same_kind": ...,
    "maximum": lambda a, b, /, out=None, *, dtype=None, casting="same_kind": ...,
}
METHODS = {
    "all": lambda axis=None, out=None, keepdims=False: ...,
    "argmax": lambda axis=None, out=None, dtype=None, keepdims=False: ...,
    "astype": lambda dtype, order="K", casting=None, subok=None, copy=True: ...,
    "copy": lambda order="C": ...,
    "max": lambda axis=None, out=None, keepdims=False: ...,
    "mean": lambda axis=None, dtype=None, out=None, keepdims=False: ...,
    "min": lambda axis=None, out=None, keepdims=False: ...,
    "reshape": lambda *shape, order="C", copy=None: ...,
    "sum": lambda axis=None, dtype=None, out=None, keepdims=False: ...,
    "swapaxes": lambda axis1, axis2: ...,
    "transpose": lambda *axes: ...,
}
ATTRIBUTES = ("dtype", "itemsize", "nbytes", "ndim", "shape", "size", "strides")
BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor")
COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")
UNARY = ("neg", "abs", "invert")

# CuPy lays the results of these out in C order, whatever their operands' layout; NumPy keeps the operands'.
IN_C_ORDER = {*UFUNCS, "where", "argmax", "max", "mean", "min", "sum"}


_inspected = functools.cache(inspect.signature)


@dataclass
class Counts:
    """What would have cost time on a GPU: every array moved, with shape and dtype, every wait, every launch."""

    uploads: list[tuple[tuple[int, ...], str]] = field(default_factory=list)
    downloads: list[tuple[tuple[int, ...], str]] = field(default_factory=list)
    synchronizations: int = 0
    launches: list[str] = field(default_factory=list)  # what would be at least one kernel

    @staticmethod
    def nbytes(moved):
        """Total size of `uploads` or `downloads`."""
        return sum(int(np.prod(shape)) * np.dtype(dtype).itemsize for shape, dtype in moved)

    def reset(self):
        """Start from zero again."""
        self.__init__()


class FakeArray:
    """What CuPy's ndarray is to a layer."""

    __slots__ = ("_device", "_values")
    __array_ufunc__ = None  # NumPy's operators and ufuncs refuse it
    __hash__ = None

    def __init__(self, device, values):
        self._device, self._values = device, values

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def __array_function__(self, function, types, arguments, keywords):
        if function is np.shape:  # computes nothing; CuPy answers it too
            return self.shape
        raise TypeError(f"numpy.{function.__name__} was called on a device array")

    def __len__(self):
        return len(self._values)

    def __getitem__(self, index):
        parts = self._device.raw_index(index)
        if any(isinstance(part, np.ndarray) for part in parts):
            self._device.counts.launches.append("getitem")
            return FakeArray(self._device, np.asarray(self._values[parts], order="C"))
        return FakeArray(self._device, self._values[parts if ... in parts else (*parts, ...)])  # a view, of 0-d too

    def __setitem__(self, index, value):
        self._device.counts.launches.append("setitem")
        self._values[self._device.raw_index(index)] = self._device.raw(value)

    def item(self):
        """Wait for the device, and return the one number."""
        self._device.counts.synchronizations += 1
        return self._values.item()

    def get(self, order="C"):
        """Copy to the host. (CuPy knows the orders C and F alone.)"""
        self._device.counts.downloads.append((self.shape, str(self.dtype)))
        return np.array(self._values, order=order)

    @property
    def T(self):
        """A view with the axes reversed."""
        return FakeArray(self._device, self._values.T)

    def __deepcopy__(self, memo):
        return FakeArray(self._device, self._values.copy())

    def __repr__(self):
        return f"<array of shape {self.shape} and dtype {self.dtype} on {self._device.name!r}>"


class FakeDevice(Device):
    """A device whose arrays are `FakeArray`.

    Attributes
    ----------
    counts : Counts
        Since the last ``counts.reset()``.
    """

    def __init__(self, name="fake"):
        self.name = name
        self.counts = Counts()
        self.xp = SimpleNamespace(lib=SimpleNamespace(stride_tricks=SimpleNamespace()))
        for path, signature in (FUNCTIONS | UFUNCS).items():
            *parents, name = path.split(".")
            setattr(functools.reduce(getattr, parents, self.xp), name, self._function(path, signature))
        self.xp.asarray = self.asarray

    def owns(self, array):
        """Whether `array` was made by this device."""
        return isinstance(array, FakeArray) and array._device is self

    def from_host(self, array):
        """Copy a NumPy array; the axes keep their order in memory."""
        if not isinstance(array, np.ndarray):
            raise TypeError(f"from_host takes a NumPy array, got {type(array).__name__}")
        return self._upload(np.array(array, order="K"))

    def to_host(self, array):
        """Copy to NumPy; the axes keep their order in memory."""
        if not self.owns(array):
            raise TypeError(f"to_host takes an array of {self.name!r}, got {type(array).__name__}")
        return array.get(order="K")

    def raw(self, operand):
        """Return what NumPy computes with in the place of `operand`, or refuse it as CuPy does."""
        if isinstance(operand, FakeArray):
            if operand._device is not self:
                raise ValueError(f"an array of {operand._device.name!r} was used with one of {self.name!r}")
            return operand._values
        if isinstance(operand, np.ndarray | list):
            raise TypeError(f"Unsupported type {type(operand)}")
        return operand

    def raw_index(self, index):
        """Return an index as a tuple with the arrays in it made NumPy's."""
        return tuple(map(self.raw, index if isinstance(index, tuple) else (index,)))

    def call(self, name, function, signature, operands, arguments, keywords):
        """Call NumPy's `function` on what the operands and arguments hide, and hide the result."""
        _inspected(signature).bind(*arguments, **keywords)
        given = [*operands, *arguments]
        views = [array._values for array in given if isinstance(array, FakeArray)]
        result = function(*map(self.raw, given), **{key: self.raw(value) for key, value in keywords.items()})
        is_view = isinstance(result, np.ndarray) and any(np.shares_memory(result, view) for view in views)
        if not (is_view or name.startswith("empty")) or name in UFUNCS:
            self.counts.launches.append(name)
        for array in (*given, *keywords.values()):
            if isinstance(array, FakeArray) and array._values is result:
                return array  # written into, or returned as it was
        if name == "matmul":
            result = result.astype(given[0].dtype, copy=False)  # NumPy multiplies ml_dtypes' bfloat16 as float32
        return None if result is None else FakeArray(self, np.asarray(result, order="C" if name in IN_C_ORDER else "K"))

    def _function(self, name, signature):
        function = functools.reduce(getattr, name.split("."), np)

        def call(*arguments, **keywords):
            result = self.call(name, function, signature, (), arguments, keywords)
            if name.startswith("empty"):
                result._values.fill(np.nan if result.dtype.kind == "f" else 99)
            return result

        call.__signature__ = _inspected(signature)
        return call

    def asarray(self, a, dtype=None, order=None, *, copy=None, blocking=False):
        """Copy from the host, in C or Fortran order; an array of this device is returned as it is."""
        if isinstance(a, FakeArray):
            return FakeArray(self, self.raw(a).astype(dtype)) if dtype else a
        host = np.asarray(a, dtype)
        return self._upload(np.array(host, order="F" if host.flags.fnc else "C"))

    def _upload(self, values):
        self.counts.uploads.append((values.shape, str(values.dtype)))
        return FakeArray(self, values)


def _method(name, signature):
    return lambda self, *arguments, **keywords: self._device.call(
        name, getattr(np.ndarray, name), signature, (self,), arguments, keywords
    )


def _operator(name, swapped=False, in_place=False):
    compute = getattr(operator, {"and": "and_", "or": "or_"}.get(name, name) if not in_place else f"i{name}")

    def apply(self, *other):
        if other and not isinstance(other[0], FakeArray | bool | int | float | np.generic):
            raise TypeError(f"Unsupported type {type(other[0])}")
        self._device.counts.launches.append(name)
        operands = [self._values, *map(self._device.raw, other)]
        result = compute(*(reversed(operands) if swapped else operands))
        return self if in_place else FakeArray(self._device, np.asarray(result, order="C"))

    return apply


for _name in ATTRIBUTES:
    setattr(FakeArray, _name, property(operator.attrgetter(f"_values.{_name}")))
for _type in (bool, float, int):
    setattr(FakeArray, f"__{_type.__name__}__", lambda self, _type=_type: _type(self.item()))
for _name, _signature in METHODS.items():
    setattr(FakeArray, _name, _method(_name, _signature))
for _name in (*BINARY, *COMPARISONS, *UNARY, "matmul"):
    setattr(FakeArray, f"__{_name}__", _operator(_name))
for _name in (*BINARY, "matmul"):
    setattr(FakeArray, f"__r{_name}__", _operator(_name, swapped=True))
for _name in BINARY:
    setattr(FakeArray, f"__i{_name}__", _operator(_name, in_place=True))

FAKE = FakeDevice()
