"""NumPy's archives of arrays, ``.npz``: written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

import numpy as np

from npalexnet.files import atomic_write

DESCRIPTION = "npalexnet.json"  # the name of an entry beside the arrays; `numpy.load` gives its bytes


def write_npz(path: str | Path, tensors: Mapping[str, np.ndarray], description: Any = None) -> None:
    """Write arrays that ``numpy.load(path)`` returns under their names, without pickles; same bytes for same arrays.

    ``numpy.savez`` would not take every name, and replaces a file while it still writes.

    Parameters
    ----------
    path : str or Path
        Replaced atomically: after an OSError it still holds what was there before.
    tensors : mapping
        From names to arrays of NumPy's own dtypes.
    description : optional
        What JSON can hold, kept beside the arrays in the entry `DESCRIPTION`; None for nothing.

    Raises
    ------
    ValueError
        If an array is bfloat16, which NumPy does not have; nothing is written.
    """
    for name, array in tensors.items():
        if array.dtype.name == "bfloat16":
            raise ValueError(
                f"an .npz file can't hold bfloat16, as {name} is: export float32, which holds all bfloat16 numbers"
            )
    with atomic_write(path) as temporary, ZipFile(temporary, "w") as archive:
        for name, array in tensors.items():
            little = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
            with archive.open(_entry(f"{name}.npy"), "w", force_zip64=True) as writer:
                np.lib.format.write_array(writer, little, allow_pickle=False)
        if description is not None:
            archive.writestr(_entry(DESCRIPTION), json.dumps(description))


def _entry(name: str) -> ZipInfo:
    entry = ZipInfo(name)  # of the year 1980
    entry.create_system = 0  # else it would depend on the machine
    return entry
