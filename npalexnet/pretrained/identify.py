"""Whose weights a file holds: its names and shapes, and the order of its layers, decide which AlexNet they are of.

Weights that are of none are refused, as are those that would fill a network only here and there: what is not in a file
must be the network's end, so that everything loaded works on what it was trained on.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from math import prod

import numpy as np

from npalexnet.alexnet import VARIANTS, described_variant
from npalexnet.data.names import listed
from npalexnet.fields import found
from npalexnet.formats.tensor_file import TensorFile
from npalexnet.pretrained.figures import COMPARED, CONVOLUTIONS, LAST, LAYERS, PARTS, figure_of
from npalexnet.pretrained.naming import CAFFES, Named, name_layers

TENSORS = len(LAYERS) * len(PARTS)
_OTHERS = {  # ONNX's layers that have parameters, but for those of an AlexNet
    "BatchNormalization", "InstanceNormalization", "LayerNormalization", "GroupNormalization", "PRelu", "ConvTranspose",
    "ConvInteger", "QLinearConv", "DequantizeLinear", "RNN", "GRU", "LSTM", "Attention",
}  # fmt: skip
_PARAMETER = re.compile(r"\b(weight|bias|running_mean|running_var)$|(scale|scale_inv|scale_weight|zero_point)$")


@dataclass(frozen=True)
class Identified:
    """Weights under the names of the AlexNet that they are of.

    Attributes
    ----------
    variant : str
        A key of `VARIANTS`.
    state : dict of str to ndarray
        As `AlexNet.state_dict` has them: all, or those of the first layers.
    new : tuple of int
        The numbers of the layers that are not in the file, at the network's end.
    notes : tuple of str
        What else there is to know about them.
    """

    variant: str
    state: dict[str, np.ndarray]
    new: tuple[int, ...]
    notes: tuple[str, ...]

    @property
    def missing(self) -> str:
        """What is not in the file: "the classifier", say; "" for nothing."""
        return layers_in_words(self.new)


def counted(tensors: int, new: tuple[int, ...]) -> str:
    """Return how many tensors a file has, and which layers are new: "10 of 16 tensors; the classifier is new"."""
    words = layers_in_words(new)
    verb = "is" if words in ("the last layer", "the classifier") else "are"
    return f"{tensors} of {TENSORS} tensors" + (f"; {words} {verb} new" if words else "")


def layers_in_words(numbers: tuple[int, ...]) -> str:
    """Return "the last layer", "the classifier", or what else the layers from one of them to the end are called."""
    if not numbers:
        return ""
    if numbers == (LAST,):
        return "the last layer"
    if numbers[0] == CONVOLUTIONS:
        return "the classifier"
    if numbers[0] > CONVOLUTIONS:
        return "the last two layers"
    convolutions = ", ".join(LAYERS[number] for number in numbers if number < CONVOLUTIONS)
    return f"{convolutions} and the classifier"


def identify(file: TensorFile, variant: str | None = None) -> Identified:
    """Return the weights in a file under the names of the AlexNet that they are of.

    Parameters
    ----------
    file : TensorFile
    variant : str, optional
        Which AlexNet it is, a key of `VARIANTS`, where the file doesn't tell.

    Raises
    ------
    ValueError
        If they are of no AlexNet, or only some of one, or of another variant; or if they are of several.
    """
    if variant is not None:
        described_variant(variant)
    fitting: list[Identified] = []
    faults: list[tuple[int, str, str]] = []
    for name in VARIANTS if variant is None else [variant]:
        named, prefix, is_caffes = name_layers(file, name)
        if not named or (is_caffes and variant is None and _is_grouped(file, named) and name not in CAFFES):
            continue  # other grouped networks have other names
        try:
            state, new = _state(file, name, named)
            _check_rest(file, named, prefix, parts=not is_caffes)
        except ValueError as error:
            faults.append((len(named), name, str(error)))
            continue
        flipped = is_caffes and (file.kind == "caffe" or name in CAFFES)
        if flipped:
            _make_rgb(name, state)
        fitting.append(Identified(name, state, new, _notes(file, named, flipped)))
    most = max((len(one.state) for one in fitting), default=0)
    fitting = [one for one in fitting if len(one.state) == most]
    if variant is None:
        fitting = _by_order(file, fitting)
    if not fitting:
        if variant is not None:
            with suppress(ValueError):
                faults.append((TENSORS, variant, f"it holds weights of the variant {identify(file).variant}"))
        raise ValueError(f"{file.path}: {_refusal(file, faults, variant)}")
    if len(fitting) > 1:
        names = ", ".join(one.variant for one in fitting)
        raise ValueError(
            f"{file.path} holds weights that fit {names} alike, and doesn't say whose they are: choose by --variant"
        )
    return fitting[0]


# --- whether they fit -------------------------------------------------------------------------------------------------


def _state(file: TensorFile, variant: str, named: Named) -> tuple[dict[str, np.ndarray], tuple[int, ...]]:
    """Return a variant's weights in its shapes, and the layers that are missing; a ValueError says what is wrong."""
    figure = figure_of(variant)
    there = sorted({number for number, _ in named})
    if there != list(range(len(there))):
        missing = next(number for number in range(len(LAYERS)) if number not in there)
        raise ValueError(
            f"it holds {figure.names[there[-1]]}.weight, but no {figure.names[missing]}.weight, on whose outputs that "
            "was trained"
        )
    transposed = _is_transposed(file, named)
    state: dict[str, np.ndarray] = {}
    for number in there:
        name, shape = figure.names[number], figure.shapes[number]
        for part in PARTS:
            if (number, part) not in named:
                raise ValueError(f"it lacks {name}.{part}")
            array = file.tensors[named[number, part]]
            if array.dtype.kind != "f":
                raise ValueError(
                    f"{found(named[number, part])} is {array.dtype}; weights are floats of 16, 32 or 64 bits"
                )
            state[f"{name}.{part}"] = array
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"].reshape(-1)
        if number >= CONVOLUTIONS:
            inputs = shape[1] if number == CONVOLUTIONS else len(state[f"{figure.names[number - 1]}.bias"])
            shape = (len(bias), inputs)
            weight = weight.T if transposed and weight.ndim == 2 else _matrix(weight, shape)
        if weight.shape != shape or bias.shape != shape[:1]:
            raise ValueError(
                f"{found(named[number, 'weight'])} has shape {weight.shape} and a bias of {len(bias):,}, where "
                f"{variant} has {shape} and {shape[0]:,}"
            )
        state[f"{name}.weight"], state[f"{name}.bias"] = weight, bias
    return state, tuple(range(len(there), len(LAYERS)))


def _is_grouped(file: TensorFile, named: Named) -> bool:
    """Whether the second convolution sees half of the first one's channels."""
    both = [file.tensors[named[number, "weight"]].shape for number in (0, 1) if (number, "weight") in named]
    return len(both) == 2 and len(both[1]) > 1 and 2 * both[1][1] == both[0][0]


def _is_transposed(file: TensorFile, named: Named) -> bool:
    """Whether linear layers' weights are (in, out): the first one's tells, which is not square."""
    if (CONVOLUTIONS, "weight") not in named or (CONVOLUTIONS, "bias") not in named:
        return False
    weight, outputs = (file.tensors[named[CONVOLUTIONS, part]] for part in PARTS)
    return weight.ndim == 2 and weight.shape[0] != weight.shape[1] == outputs.size


def _matrix(weight: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return a linear layer's weights as a matrix, which may be flattened, (1, 1, out, in) or (out, C, H, W)."""
    return weight.reshape(shape) if weight.size == prod(shape) and weight.ndim != 2 else weight


def _check_rest(file: TensorFile, named: Named, prefix: str, *, parts: bool) -> None:
    """Raise a ValueError if what is used of the file has more parameters: it computes something else.

    With `parts`, that is the parts whose layers are used ("features", say), else all. Another part, such as a head
    under a name of its own, may be left out.
    """

    def part(name: str) -> str:
        return name.removeprefix(prefix).partition(".")[0] if parts else ""

    if strange := sorted(_OTHERS & {operator.kind for operator in file.operators}):
        raise ValueError(f"it has layers of another kind: {listed(strange)}")
    used = set(named.values())
    inside = {part(name) for name in used}
    rest = [name for name in file.tensors if name not in used and name.startswith(prefix) and part(name) in inside]
    rest = [name for name in rest if _PARAMETER.search(name)]
    if file.kind != "onnx" and rest:
        raise ValueError(f"it has further parameters: {listed([*map(found, rest)], 3)}")


def _by_order(file: TensorFile, fitting: list[Identified]) -> list[Identified]:
    """Return those whose layers come in the file's order; all, if it gives none.

    A ValueError if that is nobody's: the weights would compute something else.
    """
    order = []
    for operator in file.operators:
        if operator.kind == "linear":
            break
        order += [operator.kind] if operator.kind in COMPARED else []
    if "relu" not in order:
        return fitting
    alike = [one for one in fitting if list(figure_of(one.variant).order) == order]
    if fitting and not alike:
        raise ValueError(
            f"{file.path} has weights like those of {listed([one.variant for one in fitting])}, but another order of "
            f"layers: {listed(order, 12)}; to take them all the same, choose by --variant"
        )
    return [one for one in alike if one.variant in CAFFES] or alike if file.kind == "caffe" else alike


def _refusal(file: TensorFile, faults: list[tuple[int, str, str]], variant: str | None) -> str:
    """Return why nothing fits: of the variants, what is wrong with the one that most of the names are of."""
    if not faults:
        names = listed([f"{found(name)} {array.shape}" for name, array in file.tensors.items()], 3)
        of = "AlexNet" if variant is None else f"the variant {variant}"
        return f"none of its tensors is called as one of {of}: it holds {names or 'none'}"
    _, name, why = max(faults, key=lambda fault: (fault[0], -list(VARIANTS).index(fault[1])))
    return f"its weights don't make up the AlexNet {name}: {why}" + ("" if variant else "; nor do they any other")


def _make_rgb(variant: str, state: dict[str, np.ndarray]) -> None:
    name = f"{figure_of(variant).names[0]}.weight"
    state[name] = state[name][:, ::-1]


def _notes(file: TensorFile, named: Named, flipped: bool) -> tuple[str, ...]:
    notes = ["its first convolution takes blue, green and red, as Caffe's do: turned round"] if flipped else []
    used = set(named.values())
    rest = [name for name in file.tensors if name not in used]
    if rest and file.kind != "onnx":
        notes.append(f"not used: {listed([*map(found, rest)], 3)}")
    return tuple(notes)
