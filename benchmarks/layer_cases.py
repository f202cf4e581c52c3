"""AlexNet's layers one after the other, each with the shapes and the memory layout that it meets in the network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np

import npalexnet as na
from benchmarks.layer_sides import Library, Side
from benchmarks.workload import IMAGE_SIZE
from npalexnet.layers.parameter import Shape

NAMES = {"Conv2d": "conv", "MaxPool2d": "pool"}  # of the others, their own in lower case
ONCE_A_SHAPE = (na.ReLU, na.Dropout)  # what they do depends on nothing but the shape


@dataclass
class Case:
    """A layer to be timed.

    Attributes
    ----------
    name : str
        ``"conv1"``.
    input_shape : tuple of int
        With the batch.
    flops : dict of str to int
        The passes that are timed, and the operations in their matrix products.
    sides : dict of str to Side
        For each library.
    comparable : bool
        Whether all sides must find the same.
    kind : str
        ``"conv"``.
    output_shape : tuple of int
        With the batch; () for the loss and for SGD.
    parameters : int
        How many numbers are learnt.
    input_gradient : bool
        Whether backward computes that of the input.
    """

    name: str
    input_shape: Shape
    flops: dict[str, int]
    sides: dict[str, Side]
    comparable: bool = True
    kind: str = ""
    output_shape: Shape = ()
    parameters: int = 0
    input_gradient: bool = True


def layer_cases(model: na.AlexNet, libraries: list[Library], images: int, classes: int) -> Iterator[Case]:
    """Yield every layer of AlexNet, ReLU and Dropout once for each shape, then the loss and the step of SGD."""
    rng = np.random.default_rng(0)
    shape: Shape = (images, 3, IMAGE_SIZE, IMAGE_SIZE)
    layers = [*model.layers, *model.classifier]
    numbers: Counter[str] = Counter()
    seen = set()
    for number, (layer, following) in enumerate(zip(layers, [*layers[1:], None], strict=True)):
        kind, input_shape, shape = type(layer), shape, layer.output_shape(shape)
        kind_name = NAMES.get(kind.__name__, kind.__name__.lower())
        numbers[kind_name] += 1
        if kind in ONCE_A_SHAPE and (kind, input_shape) in seen:
            continue
        seen.add((kind, input_shape))
        x, grad_y = (rng.standard_normal(of, dtype="float32") for of in (input_shape, shape))
        first = number == 0
        x = x if first else channels_last_memory(x)  # images come as torch has them
        grad_y = grad_y if isinstance(following, na.Flatten) else channels_last_memory(grad_y)  # so does Flatten's
        flops = 2 * layer.multiply_adds(input_shape)
        for input_gradient in (False, True) if first else (True,):  # training needs none of the images
            sides = {library.name: library.layer(number, x, grad_y, input_gradient) for library in libraries}
            passes = {"forward": flops, "backward": flops * (1 + input_gradient)}
            name = f"{kind_name}{numbers[kind_name]}"
            if first and input_gradient:
                name, passes = f"{name}, to the images", {"backward": passes["backward"]}
            learnt = sum(parameter.size for parameter in layer.parameters())
            about = (kind is not na.Dropout, kind_name, shape, learnt, input_gradient)
            yield Case(name, input_shape, passes, sides, *about)
    yield _loss(libraries, rng.standard_normal(shape, dtype="float32"), rng.integers(classes, size=images))
    yield _update(libraries, [rng.random(p.shape, dtype="float32") for p in model.parameters()])


def channels_last_memory(array: np.ndarray) -> np.ndarray:
    """(N, C, H, W) in memory as (N, H, W, C), as npalexnet's layers hand it on; other arrays as they are."""
    return array if array.ndim != 4 else np.array(array.transpose(0, 2, 3, 1), order="C").transpose(0, 3, 1, 2)


def _loss(libraries: list[Library], logits: np.ndarray, labels: np.ndarray) -> Case:
    sides = {library.name: library.loss(logits, labels) for library in libraries}
    return Case("loss", logits.shape, {"forward": 0, "backward": 0}, sides, kind="loss")


def _update(libraries: list[Library], gradients: list[np.ndarray]) -> Case:
    sides = {library.name: library.update(gradients) for library in libraries}
    count = sum(prod(gradient.shape) for gradient in gradients)
    return Case("SGD step", (count,), {"forward": 0}, sides, kind="SGD step", parameters=count)
