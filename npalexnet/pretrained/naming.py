"""Which tensor of a file is which layer's: by the order of its layers, by a variant's own names, or by Caffe's."""

from __future__ import annotations

import re
from collections.abc import Mapping

from npalexnet.fields import found
from npalexnet.formats.tensor_file import TensorFile
from npalexnet.pretrained.figures import LAYERS, PARTS, figure_of

CAFFES = ("caffe", "caffenet")  # whose layers are called conv1 to fc8, and whose colours are blue, green and red
_CAFFES_NAME = re.compile(r"(conv[1-5]|fc[678])[._/](weights?|bias(?:es)?|w|b|W|B)(?:_\d+)?(?::\d+)?")
Named = dict[tuple[int, str], str]  # the layer's number and the part, to the tensor's name in the file


def name_layers(file: TensorFile, variant: str) -> tuple[Named, str, bool]:
    """Return a file's tensors by layer and part, what their names begin with, and whether they are Caffe's names."""
    caffes = {name: match for name in file.tensors if (match := _CAFFES_NAME.search(name)) and match.end() == len(name)}
    if by_order := _by_operators(file):
        return by_order, "", file.kind == "caffe" or bool(caffes)
    names = figure_of(variant).names
    own = {f"{name}.{part}": (number, part) for number, name in enumerate(names) for part in PARTS}
    cores, prefix = _most(file, {name: _after_prefix(name, own) for name in file.tensors})
    if cores:
        return {own[core]: prefix + core for core in cores}, prefix, False
    cores, prefix = _most(file, {name: match.group() for name, match in caffes.items()})
    named: Named = {}
    for core in cores:
        layer, part = _CAFFES_NAME.fullmatch(core).groups()  # type: ignore[union-attr]
        named[LAYERS.index(layer), "weight" if part[0].lower() == "w" else "bias"] = prefix + core
    return named, prefix, True


def _after_prefix(name: str, own: Mapping[str, object]) -> str | None:
    """Return the end of a name that is a network's own, behind nothing or something like "module."."""
    return next((core for core in own if name == core or name.endswith((f".{core}", f"/{core}"))), None)


def _most(file: TensorFile, cores: Mapping[str, str | None]) -> tuple[list[str], str]:
    """Return the names behind the prefix under which the most are, and that prefix.

    A ValueError if there are two networks: as many names under another prefix.
    """
    prefixes: dict[str, list[str]] = {}
    for name, core in cores.items():
        if core is not None:
            prefixes.setdefault(name.removesuffix(core), []).append(core)
    if not prefixes:
        return [], ""
    best = sorted(prefixes, key=lambda prefix: (-len(prefixes[prefix]), prefix))
    if len(best) > 1 and len(prefixes[best[0]]) == len(prefixes[best[1]]) > len(PARTS):
        two = " and ".join(found(prefix) for prefix in best[:2])
        raise ValueError(f"{file.path} holds several networks, whose names begin with {two}: save one of them alone")
    return prefixes[best[0]], best[0]


def _by_operators(file: TensorFile) -> Named:
    """Return tensors by the order of the layers that they belong to: five convolutions, then three linear layers.

    Nothing if a file does not tell, or has others: they are looked for by their names then.
    """
    layers = [operator for operator in file.operators if operator.weight in file.tensors]
    if len(layers) > len(LAYERS) or any(operator.kind not in ("conv", "linear") for operator in layers):
        return {}
    named: Named = {}
    for number, operator in enumerate(layers):
        for part, name in zip(PARTS, (operator.weight, operator.bias), strict=True):
            if name in file.tensors:
                named[number, part] = str(name)
    return named
