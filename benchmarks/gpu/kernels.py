"""The kernels that npalexnet computes with on a GPU, one by one, with AlexNet's shapes.

Symbols: N images, C channels, H x W pixels, windows of kH x kW, oH x oW of them, K classes. What a kernel moves at the
least is what it must read, once, and what it must write, once.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np

import npalexnet as na
from benchmarks import rounds
from benchmarks.attempts import Attempts
from benchmarks.precisions import Precision
from benchmarks.rivals.npalexnet_rival import NpalexnetRival
from benchmarks.workload import IMAGE_SIZE, SGD
from npalexnet.backend import Device

Shape = tuple[int, ...]
Arguments = tuple[Any, ...]


@dataclass(frozen=True)
class KernelCase:
    """A kernel to be timed.

    `make` makes the arrays, and returns what is timed: it returns None where the device has no such kernel.
    """

    kernel: str  # a method of `npalexnet.backend.cuda.kernels.Kernels`
    what: str  # where in the network its shapes are from
    shape: Shape  # of its first array
    nbytes: int  # what it moves at the least
    make: Callable[[], Callable[[], Any]]


def kernel_cases(model: na.AlexNet, device: Device, dtype: np.dtype, images: int, classes: int) -> Iterator[KernelCase]:
    """Yield the kernels with the shapes of a batch, their numbers in `dtype`; SGD's are float32 always."""
    cases = _Cases(device, dtype)
    numbers: Counter[type] = Counter()
    rows_done: set[Shape] = set()
    output: Shape = (images, 3, IMAGE_SIZE, IMAGE_SIZE)
    for layer in (*model.layers, *model.classifier):
        shape, output = output, layer.output_shape(output)
        numbers[type(layer)] += 1
        number = numbers[type(layer)]
        rows = (prod(shape) // shape[1], shape[1])  # (N*oH*oW, C)
        match layer:
            case na.Conv2d():
                yield from cases.convolution(f"conv{number}", layer, shape, output)
            case na.MaxPool2d():
                yield from cases.pooling(f"pool{number}", layer, shape, output)
            case na.ReLU() if rows not in rows_done:
                rows_done.add(rows)
                yield from cases.relu(f"relu{number}", rows)
            case na.Dropout():
                yield cases.dropout(f"dropout{number}", shape)
    yield from cases.loss((images, classes))
    yield cases.sgd([parameter.shape for parameter in model.parameters()])


class _Cases:
    """Makes the cases of a device and a dtype."""

    def __init__(self, device: Device, dtype: np.dtype) -> None:
        self.device, self.dtype, self.size = device, dtype, dtype.itemsize

    def case(
        self, name: str, what: str, shape: Shape, nbytes: int, given: Callable[[], Any], **also: Any
    ) -> KernelCase:
        """Return the case of a kernel; `given` makes its arguments, or returns None where they can't be made."""

        def make() -> Callable[[], Any]:
            arguments = given()
            return (lambda: None) if arguments is None else partial(self.kernel(name), *arguments, **also)

        return KernelCase(name, what, shape, nbytes, make)

    def kernel(self, name: str) -> Callable[..., Any]:
        return getattr(self.device.kernels, name)

    def array(self, *shape: int, dtype: Any = None) -> Any:
        numbers = np.resize(np.random.default_rng(0).standard_normal(1 << 20, dtype="float32"), shape)
        return self.device.from_host(numbers).astype(dtype or self.dtype, copy=False)

    def convolution(self, name: str, layer: na.Conv2d, shape: Shape, output: Shape) -> Iterator[KernelCase]:
        """Both move the images once, (N, H, W, C), and the columns once, (N*oH*oW, at least kH*kW*C)."""
        (N, C, H, W), geometry, array = shape, layer.geometry, self.array
        windows = geometry.windows(name, shape)
        row_length = self.device.tiling(prod(geometry.kernel_size) * C, self.dtype).aligned_row_length
        image, columns = (N, H, W, C), (N * output[2] * output[3], row_length)
        moved = self.size * (prod(image) + prod(columns))
        yield self.case("im2col", name, image, moved, lambda: (array(*image), windows, array(*columns)))
        if C > 3:  # training needs no gradient of the images
            yield self.case("col2im", name, image, moved, lambda: (array(*columns), array(*image), windows), add=False)

    def pooling(self, name: str, layer: na.MaxPool2d, shape: Shape, output: Shape) -> Iterator[KernelCase]:
        """Forward reads x, writes y and one byte for each maximum; backward reads both, and writes x's gradient."""
        N, C, H, W = shape
        image, windows = (N, H, W, C), layer.geometry.windows(name, shape)
        moved = self.size * prod(shape) + (self.size + 1) * prod(output)

        def backward() -> Arguments | None:
            found = self.kernel("max_pool_with_indices")(self.array(*image), windows)
            return found and (*found, windows, (H, W))

        yield self.case("max_pool_with_indices", name, image, moved, lambda: (self.array(*image), windows))
        yield self.case("max_pool_gradient", name, image, moved, backward)

    def relu(self, name: str, rows: Shape) -> Iterator[KernelCase]:
        """Bias and ReLU read and write y; ReLU's gradient reads y and its gradient, and writes x's."""
        moved, array = self.size * prod(rows), self.array
        yield self.case("add_bias_relu", name, rows, 2 * moved, lambda: (array(*rows), array(rows[1])), relu=True)
        yield self.case("relu_gradient", name, rows, 3 * moved, lambda: (array(*rows), array(*rows)))
        yield self.case("sum_rows", name, rows, moved, lambda: (array(*rows),))  # a bias's gradient: reads that of y

    def dropout(self, name: str, shape: Shape) -> KernelCase:
        """It reads x and writes y."""
        return self.case("dropout", name, shape, 2 * self.size * prod(shape), lambda: (self.array(*shape), 0.5, 1))

    def loss(self, shape: Shape) -> Iterator[KernelCase]:
        """Forward: logits in, log-probabilities out, at least float32; backward: these in, the gradient out."""
        moved = (self.size + max(self.size, 4)) * prod(shape)

        def forward() -> Arguments:
            return self.array(*shape), self.device.from_host(np.arange(shape[0]) % shape[1])

        def backward() -> Arguments | None:
            logits, labels = forward()
            found = self.kernel("cross_entropy")(logits, labels)
            return found and (*found, labels)

        yield self.case("cross_entropy", "loss", shape, moved, forward)
        yield self.case("cross_entropy_gradient", "loss", shape, moved, backward, dtype=self.dtype)

    def sgd(self, shapes: list[Shape]) -> KernelCase:
        """It reads three arrays of each parameter, and writes two."""
        total = sum(map(prod, shapes))

        def given() -> Arguments:
            return ([tuple(self.array(*shape, dtype="float32") for _ in range(3)) for shape in shapes],)

        return self.case("sgd", "all parameters", (total,), 5 * 4 * total, given, **SGD)


def kernel_times(
    ours: NpalexnetRival, precision: Precision, images: int, arguments: argparse.Namespace, attempts: Attempts
) -> list[dict[str, Any]]:
    """Return the times of npalexnet's kernels, where the device has some."""
    if ours.device.kernels is None:
        attempts.say(f"{ours.name} computes without kernels of its own")
        return []
    rows: list[dict[str, Any]] = []
    for case in kernel_cases(ours.model, ours.device, precision.dtype, images, arguments.classes):
        who = f"{case.kernel}, {case.what}"
        attempts.say(f"{precision.name}, {who}, batch of {images}")
        run = attempts.attempt(who, precision.name, images, partial(_make, case))
        if run is None:
            continue
        seconds = rounds.interleaved({who: ours.clock.cold(run, lambda: None)}, arguments)[who]
        found = rounds.summary(seconds)
        about = {"precision": precision.name, "batch": images, "kernel": case.kernel, "what": case.what}
        rate = {"bytes": case.nbytes, "bytes_per_second": case.nbytes / found["median"]}
        rows.append({**about, "shape": case.shape, **found, **rate})
    return rows


def _make(case: KernelCase) -> Any:
    """Return what is timed; refuse a kernel that does not do it."""
    run = case.make()
    if run() is None:
        raise NotImplementedError("there is no kernel for such arrays")
    return run
