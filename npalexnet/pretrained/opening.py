"""Opening a file of weights of any known format: whose they are, and what else it says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from npalexnet.fields import FieldError
from npalexnet.formats.reader import format_of, read_safetensors
from npalexnet.formats.tensor_file import TensorFile
from npalexnet.pretrained.identify import Identified, identify
from npalexnet.tensors import read_header
from npalexnet.weights import CLASSES, KEY, describe_weights, description, load_weights, weights_file

_KINDS = {
    "safetensors": "a safetensors file", "npz": "an archive of NumPy", "torch": "a file of torch.save",
    "onnx": "an ONNX file", "caffe": "a .caffemodel",
}  # fmt: skip


@dataclass(frozen=True)
class Weights:
    """Weights that a file holds, with what it says of them.

    Attributes
    ----------
    path : Path
    kind : str
        What the file is: "an ONNX file", say.
    found : Identified
        The weights, under their network's names.
    metadata : dict
        The description that npalexnet writes with weights: in a file of another program, empty.
    """

    path: Path
    kind: str
    found: Identified
    metadata: dict[str, Any]

    @property
    def variant(self) -> str:
        """Which AlexNet they are of."""
        return self.found.variant

    @property
    def classes(self) -> list[str] | None:
        """The names of their classes, if the file has them."""
        try:
            return CLASSES.check(self.metadata.get("classes"), "classes")
        except FieldError:
            return None


def is_own(path: Path) -> bool:
    """Whether a file is a weights file of npalexnet itself, with a description of all that is needed to use it.

    Of a model alone, exported without a classifier, the description does not speak of classes.
    """
    if format_of(path) is not read_safetensors or KEY not in read_header(path).texts:
        return False
    return "classes" in describe_weights(path)[1]


def open_weights(path: str | Path, variant: str | None = None) -> Weights:
    """Return the weights in a file, or of a run.

    Parameters
    ----------
    path : str or Path
        A run's folder, or a file of any format that `read_tensor_file` reads.
    variant : str, optional
        Which AlexNet they are of, a key of `VARIANTS`, where the file doesn't tell.

    Raises
    ------
    OSError, ValueError
        If the file can't be read, is damaged or of another kind, or its weights are not those of such a network.
    """
    path = weights_file(path)
    reader = format_of(path)
    if reader is read_safetensors:
        state, metadata = load_weights(path, foreign=True)  # checks the checksums of own files
        file = TensorFile(path, "safetensors", state)
    else:
        file = reader(path)
        metadata = description(path, file.texts, foreign=True)
    metadata = metadata or {}
    stated = metadata.get("variant", "seed" if "options" in metadata else None)  # runs from before there were variants
    if stated is not None and variant not in (None, stated):
        raise ValueError(f"{path} holds weights of the variant {stated}, not {variant}")
    return Weights(path, _KINDS[file.kind], identify(file, variant or stated), metadata)
