"""Files of torch.save: the zip archive of torch 1.6 and later, and the row of pickles and numbers before it.

Of a checkpoint, which holds more than weights, those are taken; no storage is read but those of the tensors returned.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib.stride_tricks import as_strided

from npalexnet.dtypes import BITS, decode
from npalexnet.fields import found
from npalexnet.files import open_regular
from npalexnet.formats.tensor_file import MOST_TENSORS, TensorFile, Unreadable, damaged, shaped
from npalexnet.formats.torch_pickle import MOST_PICKLE, PAIRS, Storage, Tensor, read_pickle
from npalexnet.formats.zip_records import records

MAGIC = 0x1950A86A20F9469CFC6C  # how a legacy file begins, as a pickle
PROTOCOL = 1001
# Under which of these the weights are in a checkpoint, the first that is there.
WEIGHTS = (
    "state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "weights", "params",
    "parameters", "generator", "encoder", "backbone",
)  # fmt: skip
MOST_DEPTH = 4


def read_torch_zip(path: Path) -> TensorFile:
    """Return the weights in a file of torch.save in zip form.

    Raises
    ------
    OSError
        If it can't be read.
    ValueError
        If it is damaged, or asks for anything else than tensors and plain data: that is named, and not executed.
    """
    with records(path) as archive:
        names = archive.names
        pickled = next((name for name in names if name.endswith("data.pkl")), "")
        folder = pickled.removesuffix("data.pkl")
        if f"{folder}constants.pkl" in names or any(name.startswith(f"{folder}code/") for name in names):
            raise Unreadable(
                "is a TorchScript archive, which holds code: in torch, "
                "torch.save(torch.jit.load(FILE).state_dict(), NEW_FILE)"
            )
        content = io.BytesIO(archive.read(pickled, MOST_PICKLE).tobytes())
        order = "<"
        if f"{folder}byteorder" in names:
            stated = archive.read(f"{folder}byteorder", 16).tobytes()
            if stated not in (b"little", b"big"):
                raise ValueError(f"its byte order is {stated!r}")
            order = "<" if stated == b"little" else ">"
        tensors, texts = _weights(_unpickled(content)[0])
        for name in names:  # files of the user's, which torch.load does not look at
            if name.startswith(f"{folder}extra/") and name.endswith(".json"):
                texts[Path(name).stem] = archive.read(name, MOST_PICKLE).tobytes().decode("utf-8")

        def read(storage: Storage) -> np.ndarray:
            return archive.read(f"{folder}data/{storage.key}")

        return TensorFile(path, "torch", _arrays(tensors, order, read), texts)


def read_torch_legacy(path: Path) -> TensorFile:
    """Return the weights in a file of torch.save from before zip archives; see `read_torch_zip`."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        content = io.BytesIO(file.read(min(size, MOST_PICKLE)))
        try:
            if _unpickled(content)[0] != MAGIC:
                raise Unreadable("is a pickle, but none of torch.save")
            if _unpickled(content)[0] != PROTOCOL:
                raise ValueError("it is of another version of the format")
            about, _ = _unpickled(content)
            order = "<" if not isinstance(about, dict) or about.get("little_endian", True) else ">"
            everything, storages = _unpickled(content)
            tensors, texts = _weights(everything)
            keys = _unpickled(content)[0]
            file.seek(content.tell())
            places = _places(file, size, keys, storages)

            def read(storage: Storage) -> np.ndarray:
                place, length = places[storage.key]
                values = np.empty(length, np.uint8)
                file.seek(place)
                if file.readinto(values) < length:  # type: ignore[attr-defined]
                    raise ValueError("it ends too early")
                return values

            return TensorFile(path, "torch", _arrays(tensors, order, read), texts)
        except Unreadable as error:
            raise ValueError(f"{path} {error}") from None
        except (ValueError, KeyError) as error:
            raise damaged(path, error) from None


def _unpickled(content: io.BytesIO) -> tuple[Any, dict[str, Storage]]:
    """Return what a pickle holds, and its storages; whatever else a damaged one leads to is a ValueError, too."""
    try:
        return read_pickle(content)
    except (MemoryError, Unreadable):
        raise
    except Exception as error:
        raise ValueError(f"its pickle can't be read: {error or type(error).__name__}"[:300]) from None


# --- which tensors ----------------------------------------------------------------------------------------------------


def _weights(content: Any) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors of the dict of weights in a file, and the texts beside them."""
    if not isinstance(content, dict):
        raise Unreadable(
            f"holds {_described(content)}, where weights are a dict of tensors, as model.state_dict() gives"
        )
    texts: dict[str, str] = {}
    for _ in range(MOST_DEPTH):
        texts |= {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, str)}
        tensors = {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, Tensor)}
        inside = [key for key in WEIGHTS if _has_tensors(content.get(key))]
        if not inside:
            others = [key for key, value in content.items() if _has_tensors(value, 1)]
            inside = others if len(others) == 1 and not tensors else []
        if not inside:
            break
        content = content[inside[0]]
    if not tensors:
        keys = ", ".join([found(key) for key in content if isinstance(key, str)][:8]) or "none"
        raise Unreadable(f"holds no dict of tensors, as model.state_dict() gives; its keys are {keys}")
    if len(tensors) > MOST_TENSORS:
        raise ValueError(f"it names {len(tensors):,} tensors")
    return tensors, texts


def _has_tensors(content: Any, depth: int = MOST_DEPTH) -> bool:
    """Whether there are tensors under names in a dict, or in one of the dicts in it."""
    level, seen = [content], set()
    for _ in range(depth):
        dicts = [item for item in level if isinstance(item, dict) and id(item) not in seen]
        seen |= {id(item) for item in dicts}  # they may hold each other, a million times
        if any(isinstance(key, str) and isinstance(value, Tensor) for item in dicts for key, value in item.items()):
            return True
        level = [value for item in dicts for value in item.values()]
    return False


def _described(content: Any) -> str:
    if isinstance(content, Tensor):
        return "a single tensor"
    return "nothing" if content is None else f"a {type(content).__name__}"


# --- their numbers ----------------------------------------------------------------------------------------------------


def _arrays(tensors: Mapping[str, Tensor], order: str, read: Callable[[Storage], np.ndarray]) -> dict[str, np.ndarray]:
    """Return the tensors as views of their storages, each of which is read once."""
    storages: dict[tuple[str, str], np.ndarray] = {}
    arrays = {}
    for name, tensor in tensors.items():
        tensor = _single(name, tensor)
        storage = tensor.storage
        if tensor.dtype not in BITS:
            raise Unreadable(
                f"can't be read: the tensor {found(name)} is of the type {found(tensor.dtype)}; save it as float32, "
                "float16 or bfloat16"
            )
        numbers = storages.get((storage.key, tensor.dtype))
        if numbers is None:
            content = read(storage)
            stated = (storage.start + storage.size) * BITS[storage.dtype] // 8
            if content.nbytes < stated:
                raise ValueError(f"the storage of {found(name)} has {content.nbytes:,} bytes, and says {stated:,}")
            whole = content.nbytes - content.nbytes % max(BITS[tensor.dtype] // 8, 1)
            numbers = decode(content[:whole], tensor.dtype, order)
            storages[storage.key, tensor.dtype] = numbers
        start = storage.start * BITS[storage.dtype] // BITS[tensor.dtype]
        arrays[name] = _view(name, numbers[start:], tensor)
    return arrays


def _single(name: str, tensor: Tensor) -> Tensor:
    """Return a tensor of pairs of numbers as one of numbers: the last dimension is twice as long."""
    if tensor.dtype != PAIRS:
        return tensor
    if not tensor.shape or (tensor.shape[-1] > 1 and tensor.strides[-1] != 1):
        raise Unreadable(
            f"can't be read: the tensor {found(name)} of {PAIRS} has the shape {tensor.shape!s:.80} and strides "
            f"{tensor.strides!s:.80}, where the last dimension must be of neighbours; save its .contiguous()"
        )
    shape = (*tensor.shape[:-1], 2 * tensor.shape[-1])
    strides = (*(2 * stride for stride in tensor.strides[:-1]), 1)
    return Tensor(tensor.storage, 2 * tensor.offset, shape, strides, "float4_e2m1fn")


def _view(name: str, numbers: np.ndarray, tensor: Tensor) -> np.ndarray:
    lengths = zip(tensor.shape, tensor.strides, strict=True)
    last = tensor.offset + sum((length - 1) * stride for length, stride in lengths)
    if 0 in tensor.shape:
        return shaped(name, numbers[:0], tensor.shape)
    if last >= numbers.size:  # of another type than its storage
        raise ValueError(f"the tensor {found(name)} needs more than the {numbers.size:,} numbers of its storage")
    strides = tuple(stride * numbers.itemsize for stride in tensor.strides)
    return as_strided(numbers[tensor.offset :], tensor.shape, strides, writeable=False)


def _places(file: BinaryIO, size: int, keys: Any, storages: Mapping[str, Storage]) -> dict[str, tuple[int, int]]:
    """Return where each storage lies in a legacy file, from its position on, and of how many bytes it is.

    They come in the order of their keys, each as the number of its elements, an int64, and these.
    """
    if not isinstance(keys, list) or not all(isinstance(key, str) and key in storages for key in keys):
        raise ValueError("its storages are not those that its tensors are in")
    place, places = file.tell(), {}
    for key in keys:
        file.seek(place)
        count = int.from_bytes(file.read(8), "little", signed=True)
        length = count * BITS[storages[key].dtype] // 8
        place += 8
        if not 0 <= length <= size - place:
            raise ValueError(
                f"a storage says that it has {count:,} numbers, of which {max(size - place, 0):,} bytes are there"
            )
        places[key] = place, length
        place += length
    return places
