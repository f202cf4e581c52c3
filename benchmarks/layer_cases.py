"""AlexNet's layers one after the other, each with the shapes and the memory layout that it meets in the network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np

import npalexnet as na
from benchmarks.workload import IMAGE_SIZE
from npalexnet.layers.parameter import Shape

PASSES = ("forward", "backward")
NAMES = {"Conv2d": "conv", "MaxPool2d": "pool"}  # of the others, their own in lower case
ONCE_A_SHAPE = (na.ReLU, na.Dropout)  # what they do depends on nothing but the shape


class LayerAdapter(Protocol):
    """One library's layer with its input and its output's gradient, ready to be timed."""

    def forward(self) -> object:
        """Compute the output and keep what backward needs."""

    def backward(self) -> object:
        """Compute the gradients of the last forward."""

    def forget(self) -> None:
        """Free what the last forward and backward left."""

    def found(self) -> list[np.ndarray]:
        """Return the output and all gradients, after a forward and a backward."""


def update(step: Callable[[], object], values: Callable[[], list[np.ndarray]]) -> LayerAdapter:
    """Return the adapter of a step of SGD, a forward with no backward; `values` returns what it changes."""
    return SimpleNamespace(forward=step, backward=_nothing, forget=_nothing, found=values)


def _nothing() -> None:
    pass


@dataclass
class Case:
    """A layer to be timed."""

    name: str  # "conv1"
    input_shape: Shape  # with the batch
    flops: dict[str, int]  # the passes that are timed, and the operations in their matrix products
    adapters: dict[str, LayerAdapter]  # by library
    comparable: bool = True  # whether all libraries must compute the same
    kind: str = ""  # "conv"
    output_shape: Shape = ()  # with the batch; () for the loss and for SGD
    parameters: int = 0  # trainable ones
    input_gradient: bool = True  # whether backward computes it


def layer_cases(model: na.AlexNet, libraries: Sequence[Any], images: int, classes: int) -> Iterator[Case]:
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
            adapters = {library.name: library.layer(number, x, grad_y, input_gradient) for library in libraries}
            passes = {"forward": flops, "backward": flops * (1 + input_gradient)}
            name = f"{kind_name}{numbers[kind_name]}"
            if first and input_gradient:
                name, passes = f"{name}, to the images", {"backward": passes["backward"]}
            trainable = sum(parameter.size for parameter in layer.parameters())
            about = (kind is not na.Dropout, kind_name, shape, trainable, input_gradient)
            yield Case(name, input_shape, passes, adapters, *about)
    logits, labels = rng.standard_normal(shape, dtype="float32"), rng.integers(classes, size=images)
    adapters = {library.name: library.loss(logits, labels) for library in libraries}
    yield Case("loss", shape, {"forward": 0, "backward": 0}, adapters, kind="loss")
    gradients = [rng.random(parameter.shape, dtype="float32") for parameter in model.parameters()]
    adapters = {library.name: library.update(gradients) for library in libraries}
    count = sum(gradient.size for gradient in gradients)
    yield Case("SGD step", (count,), {"forward": 0}, adapters, kind="SGD step", parameters=count)


def channels_last_memory(array: np.ndarray) -> np.ndarray:
    """(N, C, H, W) in memory as (N, H, W, C), as npalexnet's layers hand it on; other arrays as they are."""
    return array if array.ndim != 4 else np.array(array.transpose(0, 2, 3, 1), order="C").transpose(0, 3, 1, 2)
