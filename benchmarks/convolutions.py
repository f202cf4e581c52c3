"""Which algorithm npalexnet's convolutions use at a batch size, and how many multiply-adds remain with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

import npalexnet as na
from benchmarks.workload import IMAGE_SIZE
from npalexnet.backend import device_of
from npalexnet.layers import winograd
from npalexnet.layers.algorithm_choice import choose_algorithm
from npalexnet.layers.winograd import Winograd

Shape = tuple[int, ...]


def convolutions(model: na.AlexNet, images: int) -> Iterator[tuple[str, na.Conv2d, Shape]]:
    """Yield "conv1", the layer and the shape of its input, for each convolution of the network."""
    shape: Shape = (images, 3, IMAGE_SIZE, IMAGE_SIZE)
    number = 0
    for layer in model.layers:
        if isinstance(layer, na.Conv2d):
            number += 1
            yield f"conv{number}", layer, shape
        shape = layer.output_shape(shape)


def images_by_winograd(model: na.AlexNet, images: int) -> dict[str, int]:
    """Return, for each convolution, of how many of so many images Winograd's algorithm computes it.

    npalexnet chooses an algorithm for the whole batch, by the shape of its smallest shard; the setting is the one of
    this moment.
    """
    found = {}
    for name, layer, (_, C, H, W) in convolutions(model, images):
        weight = layer.weight.data.transpose(2, 3, 1, 0)  # (kH, kW, C/G, O)
        smallest = min(shard.stop - shard.start for shard in device_of(weight).shards(images))
        x = np.broadcast_to(weight.dtype.type(0), (smallest, H, W, C))  # no memory: the shape alone is looked at
        windows = layer.geometry.windows("Conv2d", (smallest, C, H, W))
        chosen = choose_algorithm(layer.algorithm, x, weight, windows)
        found[name] = images if isinstance(chosen, Winograd) else 0
    return found


def winograd_multiply_adds(layer: na.Conv2d, input_shape: Shape) -> int:
    """Return the multiply-adds of the products at the points; tiles that the image does not fill count in full.

    With n = m + r - 1 points along each axis: n*n for each tile of m x m outputs, input channel of a group and kernel.
    """
    N, _, oH, oW = layer.output_shape(input_shape)
    r = layer.kernel_size[0]
    m = winograd.OUTPUTS[r]
    tiles = -(-oH // m) * -(-oW // m)
    return N * tiles * (m + r - 1) ** 2 * (layer.weight.size // r**2)


def saved_multiply_adds(model: na.AlexNet, images: int) -> dict[str, int]:
    """Return, for each convolution, the multiply-adds of a forward pass that Winograd's algorithm does without."""
    by_winograd, found = images_by_winograd(model, images), {}
    for name, layer, shape in convolutions(model, images):
        shape = (by_winograd[name], *shape[1:])
        found[name] = layer.multiply_adds(shape) - winograd_multiply_adds(layer, shape) if by_winograd[name] else 0
    return found


def used(model: na.AlexNet, batch_sizes: Sequence[int]) -> dict[str, dict[str, int]]:
    """Return, for each batch size, of how many images Winograd's algorithm computes each convolution, for the file."""
    return {str(images): images_by_winograd(model, images) for images in batch_sizes}


def used_lines(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a line on each batch size."""
    lines = []
    for batch, by_layer in found.items():
        names = [
            name if count == int(batch) else f"{name} ({count} of {batch} images)"
            for name, count in by_layer.items()
            if count
        ]
        what = f"Winograd's in {', '.join(names)}, im2col in the others" if names else "im2col in all of them"
        lines.append(f"npalexnet's convolutions, batch of {batch}: {what}")
    return lines
