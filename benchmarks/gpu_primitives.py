"""The kernels that npalexnet computes with on a GPU, one by one, with AlexNet's shapes.

Symbols: N images, C channels, H x W pixels, windows of kH x kW, oH x oW of them, K classes. `b` is the size of a number
in bytes; what a kernel moves at the least is what it must read, once, and what it must write, once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np

import npalexnet as na
from benchmarks.workload import IMAGE_SIZE, SGD
from npalexnet.backend import Device
from npalexnet.backend.cuda.layouts import Windows

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Primitive:
    """A kernel with its arguments.

    Attributes
    ----------
    kernel : str
        A method of `npalexnet.backend.cuda.kernels.Kernels`.
    what : str
        Where in the network its shapes are from.
    shape : tuple of int
        Of its first array.
    nbytes : int
        What it moves at the least.
    make : callable
        Makes the arrays, and returns what is timed: it returns None where the device has no such kernel.
    """

    kernel: str
    what: str
    shape: Shape
    nbytes: int
    make: Callable[[], Callable[[], Any]]


def primitives(model: na.AlexNet, device: Device, dtype: np.dtype, images: int, classes: int) -> Iterator[Primitive]:
    """Yield the kernels with the shapes of a batch, their numbers in `dtype`; SGD's are float32 always."""
    kernels, size = device.kernels, dtype.itemsize

    def array(*shape: int, of: np.dtype = dtype) -> Any:
        numbers = np.resize(np.random.default_rng(0).standard_normal(1 << 20, dtype="float32"), shape)
        return device.from_host(numbers).astype(of, copy=False)

    numbers: Counter[type] = Counter()
    rows_done: set[Shape] = set()
    shape: Shape = (images, 3, IMAGE_SIZE, IMAGE_SIZE)
    for layer in (*model.layers, *model.classifier):
        before, shape = shape, layer.output_shape(shape)
        numbers[type(layer)] += 1
        number = numbers[type(layer)]
        if isinstance(layer, na.Conv2d):
            row_length = partial(device.row_length, dtype=dtype)
            yield from _convolution(f"conv{number}", layer, before, shape, kernels, array, size, row_length)
        if isinstance(layer, na.MaxPool2d):
            yield from _pooling(f"pool{number}", layer, before, shape, kernels, array, size)
        if isinstance(layer, na.ReLU):
            rows = (prod(shape) // shape[1], shape[1])  # (N*oH*oW, C)
            if rows not in rows_done:
                rows_done.add(rows)
                yield from _relu(f"relu{number}", rows, kernels, array, size)
        if isinstance(layer, na.Dropout):
            yield Primitive(
                *("dropout", f"dropout{number}", shape, 2 * size * prod(shape)),  # reads x, writes y
                lambda shape=shape: _run(kernels.dropout, array(*shape), 0.5, 1),  # type: ignore[misc]
            )
    yield from _loss((images, classes), device, array, size)
    shapes, float32 = [parameter.shape for parameter in model.parameters()], np.dtype("float32")
    total = sum(map(prod, shapes))
    yield Primitive(
        *("sgd", "all parameters", (total,), 5 * 4 * total),  # reads three arrays of each, writes two
        lambda: _run(kernels.sgd, [tuple(array(*shape, of=float32) for _ in range(3)) for shape in shapes], **SGD),
    )


def _convolution(
    name: str, layer: na.Conv2d, before: Shape, after: Shape, kernels: Any, array: Any, size: int, row_length: Any
) -> Iterator[Primitive]:
    """im2col and col2im: the images once, (N, H, W, C), and the columns once, (N*oH*oW, at least kH*kW*C)."""
    N, C, H, W = before
    geometry = layer.geometry
    top_left = geometry.sides[0][0], geometry.sides[1][0]
    windows = Windows(geometry.kernel_size, geometry.stride, geometry.dilation, top_left, (after[2], after[3]))
    image, columns = (N, H, W, C), (N * after[2] * after[3], row_length(prod(geometry.kernel_size) * C))
    nbytes = size * (prod(image) + prod(columns))
    yield Primitive(
        *("im2col", name, image, nbytes), lambda: _run(kernels.im2col, array(*image), windows, array(*columns))
    )
    if C > 3:  # nobody asks for the gradient of the images
        yield Primitive(
            *("col2im", name, image, nbytes),
            lambda: _run(kernels.col2im, array(*columns), array(*image), windows, add=False),
        )


def _pooling(
    name: str, layer: na.MaxPool2d, before: Shape, after: Shape, kernels: Any, array: Any, size: int
) -> Iterator[Primitive]:
    """Forward reads x, and writes y and one byte for each winner; backward reads both, and writes x's gradient."""
    N, C, H, W = before
    windows = Windows(layer.kernel_size, layer.stride, layer.dilation, layer.padding, (after[2], after[3]))
    nbytes = size * prod(before) + (size + 1) * prod(after)

    def backward() -> Callable[[], Any]:
        found = kernels.max_pool(array(N, H, W, C), windows)
        return _run(kernels.max_pool_gradient, *found, windows, (H, W)) if found else _none

    yield Primitive("max_pool", name, (N, H, W, C), nbytes, lambda: _run(kernels.max_pool, array(N, H, W, C), windows))
    yield Primitive("max_pool_gradient", name, (N, H, W, C), nbytes, backward)


def _relu(name: str, rows: Shape, kernels: Any, array: Any, size: int) -> Iterator[Primitive]:
    """Bias and ReLU read and write y; ReLU's gradient reads y and its gradient, and writes x's."""
    numbers = prod(rows)
    yield Primitive(
        *("add_bias_relu", name, rows, 2 * size * numbers),
        lambda: _run(kernels.add_bias_relu, array(*rows), array(rows[1])),
    )
    yield Primitive(
        *("relu_gradient", name, rows, 3 * size * numbers),
        lambda: _run(kernels.relu_gradient, array(*rows), array(*rows)),
    )
    yield Primitive(  # a bias's gradient: reads that of y
        *("sum_rows", name, rows, size * numbers), lambda: _run(kernels.sum_rows, array(*rows))
    )


def _loss(shape: Shape, device: Device, array: Any, size: int) -> Iterator[Primitive]:
    """Forward reads logits, writes log-probabilities, at least float32; backward reads these, writes the gradient."""
    kernels, wide = device.kernels, max(size, 4)

    def labels() -> Any:
        return device.from_host(np.arange(shape[0]) % shape[1])

    def backward() -> Callable[[], Any]:
        found = kernels.cross_entropy(array(*shape), labels())
        if found is None:
            return _none
        return _run(kernels.cross_entropy_gradient, *found, labels(), dtype=array(1).dtype)

    what, nbytes = "loss", (size + wide) * prod(shape)
    forward = Primitive(
        *("cross_entropy", what, shape, nbytes), lambda: _run(kernels.cross_entropy, array(*shape), labels())
    )
    yield forward
    yield Primitive("cross_entropy_gradient", what, shape, nbytes, backward)


def _run(kernel: Callable[..., Any], *arguments: Any, **keywords: Any) -> Callable[[], Any]:
    return lambda: kernel(*arguments, **keywords)


def _none() -> None:
    """Take the place of a kernel that the device does not have."""
