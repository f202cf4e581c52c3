"""Exporting a network: to ONNX, torch, safetensors or NumPy."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from npalexnet.backend import input_dtype
from npalexnet.checks import integer
from npalexnet.formats.npz_writer import write_npz
from npalexnet.formats.onnx_writer import write_onnx
from npalexnet.formats.torch_file_writer import write_torch_file
from npalexnet.inference.classifier import Classifier
from npalexnet.layers.layer import Layer
from npalexnet.layers.parameter import Shape
from npalexnet.weights import save_weights

SUFFIXES = (".onnx", ".pth", ".pt", ".safetensors", ".npz")


class Exported(NamedTuple):
    """A file that was written."""

    path: Path
    kind: str  # what it holds
    tensors: int  # how many
    dtypes: list[str]  # theirs
    size: int  # of the file, in bytes

    @property
    def summary(self) -> str:
        """All of it but the path, in a line."""
        numbers = f"{self.tensors} tensors of {' and '.join(self.dtypes)}" if self.tensors else "no tensors"
        return f"{self.kind}; {numbers}, {self.size / 1e6:,.1f} MB"


def export(
    network: Classifier | Layer,
    path: str | Path,
    *,
    dtype: str | None = None,
    input_shape: Sequence[int] | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write a network to a file, in the format that its suffix says: whole, or not at all.

    The same network gives the same bytes. Of a classifier, all formats keep the variant, the classes' names and how
    pictures are prepared.

    ========================  =========================================================================================
    ``.onnx``                 the network in eval mode, opset 17: "images" (N, C, H, W) -> "logits" (N, K), for any N
    ``.pth``, ``.pt``         a state dict, for ``torch.load(path, weights_only=True)``
    ``.safetensors``          a state dict, for the package of that name, and as ``npalexnet train`` writes it
    ``.npz``                  the arrays by their names, for ``numpy.load``
    ========================  =========================================================================================

    Parameters
    ----------
    network : Classifier or Layer
        From ``npalexnet.load``, or a model; on any device. ONNX takes Sequentials of this package's layers, the other
        formats anything that has parameters.
    path : str or Path
    dtype : {"float32", "float64", "float16", "bfloat16"}, optional
        What the weights are rounded to; by default they stay what they are. ``.npz`` can't hold bfloat16. An ONNX model
        with weights of 16 bits computes in float32; ONNX Runtime has no convolution of float64 on a CPU.
    input_shape : sequence of int, optional
        For ONNX: the shape of one image, (C, H, W). By default what the classifier's pictures become, or what
        `AlexNet` expects; any other model needs it.
    overwrite : bool
        Whether a file at `path` may be replaced.

    Returns
    -------
    Exported
        What was written.

    Raises
    ------
    FileExistsError
        If there is a file, and `overwrite` is False.
    ValueError, TypeError
        If the suffix is of no such format, or the network can't be written in it; nothing is changed.
    OSError
        If the file can't be written.
    ModuleNotFoundError
        If a package is missing: onnx for ``.onnx``, safetensors for ``.safetensors``.
    """
    path = check_path(path, overwrite=overwrite)
    if isinstance(network, Classifier):
        model: Any = network.model
        if path.exists() and path.samefile(network.path):
            raise ValueError(f"{path} holds the weights that are to be exported: name another file")
    else:
        model = network
    if not isinstance(model, Layer):
        raise TypeError(f"network must be a model, or a classifier from npalexnet.load, got {network!r:.80}")
    weights = model.state_dict(copy=False)
    if dtype is not None:
        weights = {name: _rounded(name, array, input_dtype(dtype)) for name, array in weights.items()}
    description = describe(network)
    match path.suffix.lower():
        case ".onnx":
            kind = write_onnx(path, model, weights, _shape(network, input_shape), description)
        case ".safetensors":
            kind = "safetensors"
            save_weights(path, weights, description)
        case ".npz":  # what is more than arrays is for classifiers alone: a model takes numpy.load(path) as it is
            kind = "arrays for numpy.load"
            write_npz(path, weights, description if "classes" in description else None)
        case _:
            kind = "a state dict for torch.load"
            write_torch_file(path, weights, description or None)
    dtypes = sorted({array.dtype.name for array in weights.values()})
    return Exported(path, kind, len(weights), dtypes, path.stat().st_size)


def check_path(path: str | Path, *, overwrite: bool, how: str = "overwrite=True") -> Path:
    """Return where to write, or raise the errors of `export` that are about the path alone.

    `how` is what a user has to say to replace a file.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"the file's suffix says in which format it is: one of {', '.join(SUFFIXES)}, got {path}")
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name a file")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} for {path.name}")
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(f"{path} exists already: {how} replaces it")
    return path


def describe(network: Classifier | Layer) -> dict[str, Any]:
    """Return what is to be known about a network beside its weights, ready for JSON."""
    model = network.model if isinstance(network, Classifier) else network
    variant = getattr(model, "variant", None)
    description: dict[str, Any] = {} if variant is None else {"variant": variant}
    if isinstance(network, Classifier):
        description |= {"classes": list(network.classes), "pipeline": network.pipeline.to_json()}
    return description


def _shape(network: Classifier | Layer, given: Sequence[int] | None) -> Shape:
    """Return the shape of one image."""
    if given is not None:
        if not isinstance(given, list | tuple) or not given:
            raise TypeError(f"input_shape must be a tuple of ints, such as (3, 227, 227), got {given!r}")
        return tuple(integer("input_shape", size, 1) for size in given)
    if isinstance(network, Classifier):
        return network.pipeline.output_shape[-3:]
    if (size := getattr(network, "image_size", None)) is None:
        raise ValueError(f"input_shape is needed: {type(network).__name__} does not say which images it takes")
    return 3, size, size


def _rounded(name: str, array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    with np.errstate(over="ignore"):
        rounded = array.astype(dtype, copy=False)
    if not np.isfinite(rounded[np.isfinite(array)]).all():
        raise ValueError(f"{name} has numbers that are too large for {dtype}")
    return rounded
