"""Parameters, and copying values into them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from npalexnet import backend, checks
from npalexnet.backend import Array

Shape = tuple[int, ...]


class Parameter:
    """An array that is trained.

    Attributes
    ----------
    data : array
        The values.
    grad : array or None
        The sum of the gradients since the last `zero_grad`, in the shape of `data`.
    requires_grad : bool
        Whether it is trainable. False: no backward pass computes its gradient or adds to `.grad`, as in torch.

    Raises
    ------
    TypeError
        If `data` or `grad` is set to a masked array.
    """

    def __init__(self, data: Array, requires_grad: bool = True) -> None:
        self.data = data
        self.requires_grad = requires_grad
        self.grad = None

    @property
    def data(self) -> Array:
        """The values; those of a NumPy subclass, such as a memmap, are taken as a plain array of the same memory."""
        return self._data

    @data.setter
    def data(self, values: Array) -> None:
        self._data = _plain(values, "a parameter's data")

    @property
    def grad(self) -> Array | None:
        """The sum of the gradients since the last `zero_grad`, or None."""
        return self._grad

    @grad.setter
    def grad(self, values: Array | None) -> None:
        self._grad = _plain(values, "a parameter's gradient")

    @property
    def shape(self) -> Shape:
        """Shape of the values."""
        return self.data.shape

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the values."""
        return self.data.dtype

    @property
    def size(self) -> int:
        """Number of values."""
        return self.data.size

    def check_gradient(self) -> None:
        """Raise a TypeError or ValueError if there is a gradient that does not fit the values."""
        if self.grad is None:
            return
        device = backend.device_of(self.data)
        backend.check_array(self.grad, "a parameter's gradient", dtype=self.dtype, device=device)
        if self.grad.shape != self.shape:
            raise ValueError(f"a gradient must have its parameter's shape {self.shape}, got {self.grad.shape}")

    def accumulate(self, grad: Array) -> None:
        """Add to `.grad`, in the values' dtype; the first array itself may become it, so it is never written to.

        Without `requires_grad`, nothing is done: a layer of one's own need not ask.
        """
        if not self.requires_grad:
            return
        grad = grad.astype(self.data.dtype, copy=False)
        if self.grad is None:
            self.grad = grad
        else:
            xp = backend.device_of(grad).xp
            self.grad = xp.add(self.grad, grad, out=xp.empty_like(self.grad))  # in the same order in memory

    def __repr__(self) -> str:
        return f"Parameter(shape={self.shape}, dtype={self.dtype})"


Gradients = list[tuple[Parameter, Array]]  # what a backward pass finds, in the order of the parameters


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` met: names that the state lacks, and names that the layer does not know."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def copy_into(own: Mapping[str, Parameter], state: Mapping[str, Any], strict: bool, who: str) -> IncompatibleKeys:
    """Copy a state's values into parameters, after all of it was checked; see `Layer.load_state_dict`."""
    if not isinstance(state, Mapping):
        raise TypeError(f"state must map names to arrays, got {type(state).__name__}")
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    values = {name: host_array(f"state[{name!r}]", state[name]) for name in own if name in state}
    faults = []
    if strict:
        faults += [f"{name} is missing" for name in missing] + [f"{name} is unexpected" for name in unexpected]
    faults += [
        f"{name} must have shape {own[name].shape}, got {value.shape}"
        for name, value in values.items()
        if value.shape != own[name].shape
    ]
    faults += [
        f"{name} has numbers beyond {own[name].dtype}, up to {np.abs(value).max():g}"
        for name, value in values.items()
        if _overflows(value, own[name].dtype)
    ]
    if faults:
        raise ValueError(f"state does not fit this {who}: {'; '.join(faults)}")
    for name, value in values.items():
        data = own[name].data
        device = backend.device_of(data)
        with device.active():
            data[...] = device.from_host(value.astype(data.dtype, copy=False))
    return IncompatibleKeys(missing, unexpected)


def _overflows(value: np.ndarray, dtype: np.dtype) -> bool:
    """Whether a finite number becomes infinite when it is cast."""
    if dtype.kind != "f" or value.dtype.kind != "f" or value.itemsize <= dtype.itemsize or not value.size:
        return False
    return bool(np.finfo(dtype).max < np.abs(value).max() < np.inf)


def _plain(values: Any, who: str) -> Any:
    """Return a NumPy array as a plain one, and anything else as it is."""
    return backend.plain_array(values, who) if isinstance(values, np.ndarray) else values


def check_parameters(parameters: Iterable[Any]) -> list[Parameter]:
    """Return what must be parameters in a list; a TypeError if it is anything else."""
    if isinstance(parameters, Parameter | Mapping | str) or not isinstance(parameters, Iterable):
        raise TypeError(f"parameters must be an iterable of parameters, got {parameters!r}")
    given = list(parameters)
    for parameter in given:
        if not isinstance(parameter, Parameter):
            raise TypeError(f"parameters must be Parameter objects, got {type(parameter).__name__}")
    return given


def host_array(who: str, value: Any) -> np.ndarray:
    """Return a state's value as a NumPy array: from NumPy, from any known device, or from torch on the CPU.

    Raises
    ------
    TypeError
        If it is a masked array, or not of numbers; the message calls it `who`.
    """
    checks.unmasked(who, value)
    try:
        value = np.asarray(backend.device_of(value).to_host(value))
    except TypeError:
        try:
            value = np.asarray(value.detach() if hasattr(value, "detach") else value)
        except (TypeError, ValueError) as error:  # torch's bfloat16, say, or lists of different lengths
            raise TypeError(f"{who} can't become a NumPy array: {error}; convert it to float32 first") from None
    if value.dtype.kind not in "fiu":
        raise TypeError(f"{who} must be a numeric array, got dtype {value.dtype}")
    return value
