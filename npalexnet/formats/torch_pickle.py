"""The pickles that torch.save writes, read without torch. Unpickling runs whatever a file says; this does not.

Of the pickle format only those instructions are accepted that make numbers, texts, lists, tuples, dicts, and calls.
What a file calls by the names of torch's own constructors are functions of this module, which note what a tensor is,
and check that; every other name is refused. Nothing else is ever called, and no attribute of anything is set.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Iterable
from math import prod
from typing import Any, NamedTuple

from npalexnet.dtypes import BITS
from npalexnet.fields import found
from npalexnet.formats.tensor_file import MOST_DIMENSIONS, Unreadable

MOST_PICKLE = 5_000_000  # bytes; a tensor takes about 200, but hostile ones fill memory sixty times as large
PAIRS = "float4_e2m1fn_x2"  # one element of it is two numbers
_STORAGES = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
    "ByteStorage": "uint8", "BoolStorage": "bool", "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128", "UntypedStorage": "uint8",
}  # fmt: skip
_INSTRUCTIONS = {
    "PROTO", "FRAME", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG",
    "LONG1", "FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE",
    "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "EMPTY_LIST", "APPEND", "APPENDS", "LIST",
    "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS", "EMPTY_SET",
    "ADDITEMS", "GET", "BINGET", "LONG_BINGET", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GLOBAL", "STACK_GLOBAL",
    "REDUCE", "BUILD", "BINPERSID",
}  # fmt: skip
_WHOLE_MODULE = ("torch.nn.modules.", "torchvision.models.", "__main__")


class Type(NamedTuple):
    """A dtype by torch's name; inert, whatever a file calls it."""

    name: str


class StorageType(NamedTuple):
    """The dtype of a storage's elements."""

    dtype: str


class Storage(NamedTuple):
    """A stretch of numbers that tensors are views of."""

    key: str
    dtype: str  # torch's name
    size: int  # elements
    start: int = 0  # elements before it, where it is a view of another one (in legacy files)


class Tensor(NamedTuple):
    """A view of a storage: what is in the pickle of a tensor; sizes and strides are in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str


def read_pickle(content: io.BytesIO) -> tuple[Any, dict[str, Storage]]:
    """Return what the pickle at a stream's position holds, and the storages it names; leaves the stream behind it.

    Tensors are `Tensor`, ordered dicts are dicts, sizes are tuples.

    Raises
    ------
    Unreadable
        If it asks for anything else than tensors and plain data; nothing of it was executed.
    ValueError
        If it is damaged.
    """
    begin = content.tell()
    names = set()
    for operation, argument, _ in pickletools.genops(content):
        names.add(operation.name)
        if operation.name == "GLOBAL":
            _known(*str(argument).split(" ", 1))  # refused before anything is done
    end = content.tell()
    if strange := sorted(names - _INSTRUCTIONS):
        raise Unreadable(f"can't be read: its pickle has the instruction {strange[0]}, which torch.save does not write")
    content.seek(begin)
    reader = _Reader(content)
    result = reader.load()
    content.seek(end)
    return result, reader.storages


def _ordered_dict(items: Iterable[Any] = ()) -> dict[Any, Any]:
    return dict(items)


def _size(lengths: Iterable[Any] = ()) -> tuple[Any, ...]:
    return tuple(lengths)


def _device(*_: Any) -> None:
    """Where a tensor was doesn't matter."""


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *more: Any) -> Tensor:
    """For (..., requires_grad, hooks, metadata): the last says whether the numbers are to be negated or conjugated."""
    if more[2:] and more[2]:
        raise Unreadable(
            "can't be read: it holds a view of negated or conjugated numbers; save a tensor's .resolve_neg()"
        )
    return _checked(storage, offset, shape, strides, storage.dtype)


def _tensor_of_type(storage: Any, offset: Any, shape: Any, strides: Any, *more: Any) -> Tensor:
    """For dtypes without a storage of their own: (..., requires_grad, hooks, dtype, metadata), on untyped bytes."""
    kind = more[2]
    if not isinstance(kind, Type):
        raise ValueError(f"a tensor's dtype is {type(kind).__name__}")
    return _checked(storage, offset, shape, strides, kind.name)


def _parameter(data: Any, *_: Any) -> Any:
    return data


def _checked(storage: Any, offset: Any, shape: Any, strides: Any, dtype: str) -> Tensor:
    """Return a tensor whose elements all lie in its storage."""
    if not isinstance(storage, Storage):
        raise ValueError(f"a tensor is a view of {type(storage).__name__}, not of a storage")
    for name, values in (("shape", shape), ("strides", strides), ("offset", (offset,))):
        if not isinstance(values, tuple | list) or len(values) > MOST_DIMENSIONS:
            raise ValueError(f"a tensor's {name} is {type(values).__name__}, or too long")
        if not all(type(value) is int and 0 <= value < 2**62 for value in values):
            raise ValueError(f"a tensor's {name} is {values!s:.80}")
    if len(shape) != len(strides):
        raise ValueError(f"a tensor's shape is {shape}, its strides are {strides}")
    count = prod(shape)
    last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True)) if count else 0
    if count > storage.size or last >= max(storage.size, 1):
        raise ValueError(
            f"a tensor of shape {tuple(shape)!s:.80} and strides {tuple(strides)!s:.80} needs more than the "
            f"{storage.size:,} numbers of its storage"
        )
    return Tensor(storage, offset, tuple(shape), tuple(strides), dtype)


_KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _ordered_dict,
    ("torch", "Size"): _size,
    ("torch", "device"): _device,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _tensor_of_type,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _parameter,
    **{(m, name): StorageType(t) for m in ("torch", "torch.cuda", "torch.storage") for name, t in _STORAGES.items()},
}


def _known(module: str, name: str) -> Any:
    """Return what stands for a name in a pickle; refuses all that is not in `_KNOWN`, and no dtype of torch."""
    if (module, name) in _KNOWN:
        return _KNOWN[module, name]
    if module == "torch" and (name in BITS or name.startswith(("float8_", "float4_", "complex32"))):
        return Type(name)
    what = f"{module}.{name}"[:120]
    if what.startswith(_WHOLE_MODULE):
        raise Unreadable(
            f"holds a whole network with its code, not its weights: it asks for {found(what)}, which is not loaded; in "
            "Python with that code, torch.save(model.state_dict(), FILE)"
        )
    raise Unreadable(
        f"can't be read: its pickle asks for {found(what)}, which is not loaded, because it can be any code; save the "
        "weights alone, torch.save(model.state_dict(), FILE)"
    )


class _Reader(pickle._Unpickler):  # the one in Python: that in C allocates what the file's numbers claim
    dispatch = dict(pickle._Unpickler.dispatch)

    def __init__(self, content: io.BytesIO) -> None:
        super().__init__(content, encoding="utf-8")  # of the texts of Python 2
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        return _known(module, name)

    def persistent_load(self, identity: Any) -> Storage:
        """Return the storage that a file names: ("storage", its type, key, device, size[, view])."""
        if not isinstance(identity, tuple) or len(identity) not in (5, 6) or identity[0] != "storage":
            raise ValueError(f"it names something else than a storage: {identity!r:.80}")
        _, kind, key, _, size, *view = identity
        if not isinstance(kind, StorageType) or not isinstance(key, str | int):
            raise ValueError(f"it names a storage of the type {kind!r:.40}, with the key {key!r:.40}")
        if type(size) is not int or not 0 <= size < 2**62:
            raise ValueError(f"it names a storage of {size!r:.40} numbers")
        start = 0
        if view and view[0] is not None:
            _, start, size = view[0]
            if not all(type(value) is int and 0 <= value < 2**62 for value in (start, size)):
                raise ValueError(f"it names a view of {view[0]!r:.80}")
        storage = Storage(str(key), kind.dtype, size, start)
        if self.storages.setdefault(storage.key, storage).dtype != kind.dtype:
            raise ValueError(f"it names the storage {storage.key!r:.40} twice, of two types")
        return storage

    def _ignore_state(self) -> None:
        """Drop the attributes of an object: of dicts of weights they are versions, of parameters their own."""
        self.stack.pop()  # type: ignore[attr-defined]

    dispatch[pickle.BUILD[0]] = _ignore_state  # type: ignore[assignment]
