"""Two floors: how long the network's matrix products would take at this machine's best sgemm rate.

Every convolution and linear layer is matrix products, here as in most libraries. A multiply-add counts as two
operations. The *direct floor* has the multiply-adds of the definition; the *Winograd floor* those that remain where
npalexnet uses Winograd's algorithm: products at the points, without the transforms to them and back.

The best rate is that of the fastest of AlexNet's own products, when each of the threads computes one of its own with a
single-threaded BLAS, all at the same time, on operands that are there already.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil
from threading import Barrier
from time import perf_counter
from typing import Any

import numpy as np

import npalexnet as na
from benchmarks import rounds
from benchmarks.convolutions import convolutions, saved_multiply_adds
from benchmarks.workload import IMAGE_SIZE
from npalexnet.backend.threads import single_threaded_blas

DIRECT, WINOGRAD = "direct floor", "Winograd floor"
IMAGES = (1, 4)  # that a product is made of: what im2col makes of one image, and of a few
KEPT = 3  # products that are measured in each round: the fastest of all at the beginning

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Product:
    """A matrix product of a convolution."""

    name: str  # "conv2 forward, 4 images"
    left: Shape  # of the factors in memory
    right: Shape
    transposed: str  # "left" or "right": which factor is multiplied as its transpose, or ""
    flops: int  # operations: two for each multiply-add

    def operands(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the two factors, and an array for the result."""
        rng = np.random.default_rng(0)
        a, b = self.transpose(rng.random(self.left, dtype="float32"), rng.random(self.right, dtype="float32"))
        return a, b, np.zeros((a.shape[0], b.shape[1]), "float32")

    def transpose(self, left: Any, right: Any) -> tuple[Any, Any]:
        """Return the factors as they are multiplied."""
        return (left.T if self.transposed == "left" else left), (right.T if self.transposed == "right" else right)


def forward_flops(model: na.AlexNet, images: int) -> int:
    """Operations of the matrix products of a forward pass, by the definition."""
    return 2 * model.multiply_adds(_batch(images))


def step_flops(model: na.AlexNet, images: int) -> int:
    """Operations of a training step: forward, weights' and inputs' gradients, but no gradient of the images."""
    return 3 * forward_flops(model, images) - 2 * model.layers[0].multiply_adds(_batch(images))


def winograd_flops(model: na.AlexNet, images: int, task: str) -> int:
    """Operations of a "forward" pass or of a "step" that remain with the algorithms that npalexnet uses."""
    saved = saved_multiply_adds(model, images)
    if task == "forward":
        return forward_flops(model, images) - 2 * sum(saved.values())
    first = next(iter(saved))  # nobody computes the gradient of its input, the images
    return step_flops(model, images) - 2 * (3 * sum(saved.values()) - saved[first])


def products(model: na.AlexNet, images: Sequence[int] = ()) -> Iterator[Product]:
    """Yield the products of all convolutions, forward and backward, for each number of images, or of `IMAGES`."""
    for count in images or IMAGES:
        for name, layer, shape in convolutions(model, count):
            N, O, oH, oW = layer.output_shape(shape)
            length = layer.weight.size // O  # kH*kW*C
            columns, weight, output = (N * oH * oW, length), (O, length), (N * oH * oW, O)
            what = f"{count} image{'s' * (count > 1)}"
            flops = 2 * layer.multiply_adds(shape)
            yield Product(f"{name} forward, {what}", columns, weight, "right", flops)
            yield Product(f"{name} weight gradient, {what}", output, columns, "left", flops)
            yield Product(f"{name} input gradient, {what}", output, weight, "", flops)


class GemmLowerBound:
    """The best sgemm rate of so many threads at once, measured again in every round.

    Each candidate is tried once, and the `KEPT` fastest are kept; `fastest` counts who was the fastest of a round.
    """

    def __init__(self, threads: int, candidates: Iterable[Product]) -> None:
        self.threads = threads
        self.fastest: Counter[str] = Counter()
        self._candidates: list[_Candidate] = []
        for product in candidates:
            self._candidates.append(_Candidate(product, threads))
            self._candidates.sort(key=lambda candidate: candidate.rate, reverse=True)
            del self._candidates[KEPT:]  # and with it its operands

    def rate(self) -> float:
        """Measure the candidates, and return the highest rate, in operations a second."""
        best = max(self._candidates, key=_Candidate.measure)
        self.fastest[best.product.name] += 1
        return best.rate

    def seconds(self, flops: int) -> float:
        """Return how long so many operations take at the best rate of this moment."""
        return flops / self.rate()

    @property
    def label(self) -> str:
        """Name in the tables, with the product that was fastest most often."""
        return f"{DIRECT}: sgemm alone ({self.fastest.most_common(1)[0][0]})"


class _Candidate:
    """A product, its operands for each thread, and the last rate that was measured."""

    def __init__(self, product: Product, threads: int) -> None:
        self.product, self.repeats = product, 1
        self.operands = [product.operands() for _ in range(threads)]
        self.measure()  # the first time, memory is slow
        self.repeats = max(1, ceil(rounds.AT_LEAST * self.measure() / (product.flops * threads)))
        self.measure()

    def measure(self) -> float:
        """Operations a second of all threads together."""
        together = Barrier(len(self.operands))

        def multiply(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> tuple[float, float]:
            together.wait()
            start = perf_counter()
            for _ in range(self.repeats):
                np.matmul(a, b, out=out)
            return start, perf_counter()

        with single_threaded_blas(), ThreadPoolExecutor(len(self.operands)) as pool:
            starts, ends = zip(*pool.map(multiply, *zip(*self.operands, strict=True)), strict=True)
        self.rate = len(starts) * self.repeats * self.product.flops / (max(ends) - min(starts))
        return self.rate


def _batch(images: int) -> Shape:
    return images, 3, IMAGE_SIZE, IMAGE_SIZE
