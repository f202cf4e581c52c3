"""AlexNet's layers one after the other, each with the shapes and the memory layout that it meets in the network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

import npalexnet as na
from benchmarks.rivals.rival import LayerAdapter
from benchmarks.workload import IMAGE_SIZE
from npalexnet.layers.parameter import Shape

PARAMETER = 4  # bytes: parameters and their gradients are float32 in any precision
PASSES = ("forward", "backward")
NAMES = {"Conv2d": "conv", "MaxPool2d": "pool"}  # of the others, their own in lower case
ONCE_A_SHAPE = (na.ReLU, na.Dropout)  # what they do depends on nothing but the shape


@dataclass
class Case:
    """A layer to be timed."""

    name: str  # "conv1"
    input_shape: Shape  # with the batch
    flops: dict[str, int]  # the passes that are timed, and the operations in their matrix products
    adapters: dict[str, LayerAdapter]  # by rival
    comparable: bool = True  # whether all rivals must compute the same
    kind: str = ""  # "conv"
    output_shape: Shape = ()  # with the batch; () for the loss and for SGD
    parameters: int = 0  # trainable ones
    input_gradient: bool = True  # whether backward computes it

    def least_bytes(self, which: str, item: int) -> int:
        """Return what a pass must read and write at the least, each once, in bytes; `item` is the size of a number.

        With x numbers in, y out and p parameters (4 bytes each, and their gradients, too): forward reads x and p and
        writes y; backward reads y's gradient and writes x's. Besides, backward of a layer with parameters reads x and
        writes p's gradient, and reads p for x's gradient; ReLU's reads y; max-pooling's reads one byte for each
        maximum, which forward wrote. The loss reads the logits, forward and backward, and writes their gradient. SGD
        reads parameters, gradients and velocities, and writes the first and the last.
        """
        x, y, p = prod(self.input_shape), prod(self.output_shape), self.parameters
        if self.kind == "SGD step":
            return 5 * PARAMETER * p
        if self.kind == "loss":
            return item * x if which == "forward" else 2 * item * x
        argmax = y if self.kind == "pool" else 0
        if which == "forward":
            return item * (x + y) + PARAMETER * p + argmax
        gradient_of_x = item * x + PARAMETER * p if self.input_gradient else 0
        gradient_of_p = item * x + PARAMETER * p if p else 0
        return item * y + gradient_of_x + gradient_of_p + argmax + (item * y if self.kind == "relu" else 0)


def layer_cases(model: na.AlexNet, rivals: Sequence[Any], images: int, classes: int) -> Iterator[Case]:
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
            timed = [rival for rival in rivals if rival.times_alone(kind_name)]
            adapters = {rival.name: rival.layer(number, x, grad_y, input_gradient) for rival in timed}
            passes = {"forward": flops, "backward": flops * (1 + input_gradient)}
            name = f"{kind_name}{numbers[kind_name]}"
            if first and input_gradient:
                name, passes = f"{name}, to the images", {"backward": passes["backward"]}
            trainable = sum(parameter.size for parameter in layer.parameters())
            about = (kind is not na.Dropout, kind_name, shape, trainable, input_gradient)
            yield Case(name, input_shape, passes, adapters, *about)
    logits, labels = rng.standard_normal(shape, dtype="float32"), rng.integers(classes, size=images)
    adapters = {rival.name: rival.loss(logits, labels) for rival in rivals if rival.times_alone("loss")}
    yield Case("loss", shape, {"forward": 0, "backward": 0}, adapters, kind="loss")
    gradients = [rng.random(parameter.shape, dtype="float32") for parameter in model.parameters()]
    adapters = {rival.name: rival.update(gradients) for rival in rivals if rival.times_alone("SGD step")}
    count = sum(gradient.size for gradient in gradients)
    yield Case("SGD step", (count,), {"forward": 0}, adapters, kind="SGD step", parameters=count)


def channels_last_memory(array: np.ndarray) -> np.ndarray:
    """(N, C, H, W) in memory as (N, H, W, C), as npalexnet's layers return it; other arrays as they are."""
    return array if array.ndim != 4 else np.array(array.transpose(0, 2, 3, 1), order="C").transpose(0, 3, 1, 2)
