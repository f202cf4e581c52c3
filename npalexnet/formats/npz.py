"""NumPy's ``.npz``: a zip archive of arrays. Python objects, which NumPy would unpickle, are refused."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from npalexnet.dtypes import native
from npalexnet.fields import found
from npalexnet.formats.tensor_file import TensorFile, Unreadable, shaped
from npalexnet.formats.zip_records import Records, records

MOST_HEADER = 10_000  # bytes of an array's
MOST_TEXT = 20_000_000  # bytes of an entry that is no array
_NUMBERS = "fiubc"


def read_npz(path: Path) -> TensorFile:
    """Return the arrays of an ``.npz`` file under their names; what else is in it becomes the file's texts.

    Raises
    ------
    OSError
        If it can't be read.
    ValueError
        If it is damaged, or holds something else than numbers and texts.
    """
    tensors, texts = {}, {}
    with records(path) as archive:
        for record in archive.names:
            if not record.endswith(".npy"):
                texts[Path(record).stem] = archive.read(record, MOST_TEXT).tobytes().decode("utf-8")
                continue
            name = record.removesuffix(".npy")
            array = _array(archive, record, name)
            if array.dtype.kind == "U":
                texts[name] = str(array)
            else:
                tensors[name] = array
    return TensorFile(path, "npz", tensors, texts)


def _array(archive: Records, record: str, name: str) -> np.ndarray:
    content = archive.read(record)
    file = io.BytesIO(content[: MOST_HEADER + 16].tobytes())
    try:
        version = npy.read_magic(file)
        read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, by_columns, dtype = read_header(file, max_header_size=MOST_HEADER)
    except (ValueError, KeyError, TypeError, SyntaxError, RecursionError) as error:
        raise ValueError(f"the header of {found(name)} can't be read: {error!s:.200}") from None
    if dtype.hasobject:
        raise Unreadable(f"can't be read: {found(name)} holds Python objects, which are not loaded: they can be code")
    if dtype.kind not in _NUMBERS and not (dtype.kind == "U" and shape == ()):
        raise Unreadable(
            f"can't be read: {found(name)} is of the type {dtype}; weights are float32, float64 or float16"
        )
    data = content[file.tell() :]
    if not dtype.itemsize or data.size % dtype.itemsize:
        raise ValueError(f"{found(name)} has {data.size:,} bytes, no whole number of {dtype}")
    values = data.view(dtype)
    ordered = tuple(reversed(shape)) if by_columns else shape
    array = shaped(name, values, ordered)
    return native(array.T if by_columns else array)
