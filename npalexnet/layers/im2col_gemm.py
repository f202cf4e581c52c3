"""How a convolution is computed: the piece behind `Conv2d` that can be replaced.

Symbols: N images, C input channels, H x W pixels, O output channels, windows of kH x kW, oH x oW of them, G groups.
All arrays are channels last: images (N, H, W, C), weights (kH, kW, C/G, O).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from npalexnet.backend import Array, accumulation_dtype, device_of
from npalexnet.backend.cuda.layouts import Windows
from npalexnet.checks import Pair
from npalexnet.layers.geometry import output_size
from npalexnet.layers.im2col import col2im, im2col
from npalexnet.layers.rows import add_bias


@dataclass(frozen=True)
class Geometry:
    """What a convolution does, apart from its numbers.

    Attributes
    ----------
    kernel_size, stride, dilation : pair of int
        (vertical, horizontal).
    sides : pair of pair of int
        ((top, bottom), (left, right)): rows and columns of zeros around the image.
    groups : int
        Input and output channels are cut into this many groups that don't see each other.
    """

    kernel_size: Pair
    stride: Pair
    dilation: Pair
    sides: tuple[Pair, Pair]
    groups: int

    def output_size(self, H: int, W: int) -> Pair:
        """(H, W) -> (oH, oW); below 1 where no window fits."""
        axes = zip((H, W), self.kernel_size, self.stride, self.sides, self.dilation, strict=True)
        oH, oW = (output_size(*axis) for axis in axes)
        return oH, oW


class ConvolutionAlgorithm:
    """A way to compute a convolution and its two gradients.

    All arrays are contiguous and fit each other; nothing is checked here. What is returned is the caller's.
    """

    def output(self, x: Array, weight: Array, bias: Array | None, geometry: Geometry, *, relu: bool = False) -> Array:
        """(N, H, W, C) -> (N, oH, oW, O); with `relu` what is below 0 becomes 0."""
        raise NotImplementedError

    def weight_gradient(self, grad_y: Array, x: Array, weight: Array, geometry: Geometry) -> Array:
        """(N, oH, oW, O) and (N, H, W, C) -> (kH, kW, C/G, O), float32 for arrays of 16 bits."""
        raise NotImplementedError

    def input_gradient(self, grad_y: Array, x: Array, weight: Array, geometry: Geometry) -> Array:
        """(N, oH, oW, O) -> (N, H, W, C)."""
        raise NotImplementedError


class Tile(NamedTuple):
    """Windows whose columns are made at once: those of some rows of one image, or of some whole images.

    Attributes
    ----------
    images, rows : slice
        Index of (N, oH, oW, O).
    windows : Windows
        Where these windows lie in each of the images.
    """

    images: slice
    rows: slice
    windows: Windows


class Im2colGemm(ConvolutionAlgorithm):
    """Convolution as im2col and one matrix product, ``y = columns @ W``, tile by tile.

    A tile is as many windows as the device finds best: on a CPU, few enough for their columns to stay in its cache,
    many enough for the product to be efficient. Backward makes the columns again.

    References
    ----------
    K. Chellapilla, S. Puri and P. Simard, "High Performance Convolutional Neural Networks for Document Processing",
    2006: convolution as a matrix product.
    """

    def output(self, x: Array, weight: Array, bias: Array | None, geometry: Geometry, *, relu: bool = False) -> Array:
        """``y = columns @ W + bias``."""
        device, matrix = device_of(x), _factor(weight)  # (length, O)
        oH, oW = geometry.output_size(*x.shape[1:3])
        y = device.xp.empty((len(x), oH, oW, matrix.shape[1]), x.dtype)

        def compute(tile: Tile) -> None:
            y_tile = y[tile.images, tile.rows]  # (n, p, oW, O), a view
            for ins, outs in groups(x, weight, geometry):
                columns = im2col(x[tile.images, ..., ins], tile.windows)  # (windows, length)
                device.matmul(columns, matrix[:, outs], out=_matrix(y_tile)[:, outs])
            add_bias(y_tile, bias, relu=relu)

        # All cores share a lone image: its windows or, where these are fewer than the kernels, each product's kernels.
        at_least = device.pieces_at_least() if y[..., 0].size > y.shape[-1] else 1
        for _ in device.map(compute, tiles(x, weight, geometry, at_least)):
            pass
        return y

    def weight_gradient(self, grad_y: Array, x: Array, weight: Array, geometry: Geometry) -> Array:
        """``grad_W = columns.T @ grad_y``, summed over the tiles."""
        device, rows = device_of(x), _matrix(weight).shape[0]  # kH*kW*C/G
        shape = device.row_length(rows, x.dtype), weight.shape[3]  # (length, O)
        total = device.pooled_buffer(shape, accumulation_dtype(x.dtype))
        if not len(x):
            total[...] = 0
        for number, tile in enumerate(tiles(x, weight, geometry)):
            grad_tile = _matrix(grad_y[tile.images, tile.rows])  # (windows, O)
            part = device.scratch("weight gradient", shape, total.dtype) if number else total
            for ins, outs in groups(x, weight, geometry):
                columns = im2col(x[tile.images, ..., ins], tile.windows)  # (windows, length)
                device.matmul(columns.T, grad_tile[:, outs], out=part[:, outs])
            if number:
                total += part
        return total[:rows].reshape(weight.shape)

    def input_gradient(self, grad_y: Array, x: Array, weight: Array, geometry: Geometry) -> Array:
        """``grad_columns = grad_y @ W.T``, and back from columns to images."""
        device, matrix = device_of(x), _factor(weight)  # (length, O)
        grad_x = device.xp.empty(x.shape, x.dtype)
        for tile in tiles(x, weight, geometry):
            grad_tile = _matrix(grad_y[tile.images, tile.rows])  # (windows, O)
            columns = device.scratch("columns", (len(grad_tile), len(matrix)), x.dtype)  # (windows, length)
            for ins, outs in groups(x, weight, geometry):
                device.matmul(grad_tile[:, outs], matrix[:, outs].T, out=columns)
                first = tile.rows.start == 0  # of its images' tiles
                col2im(columns, grad_x[tile.images, ..., ins], tile.windows, add=not first)
        return grad_x


def tiles(x: Array, weight: Array, geometry: Geometry, at_least: int = 1) -> Iterator[Tile]:
    """Cut the windows over (N, H, W, C) into tiles of nearly equal size, no larger than the device wants them.

    They are whole rows of windows, and so many that there are `at_least` tiles, if there are as many rows. Those of an
    image come one after the other, from its first row on.
    """
    oH, oW = geometry.output_size(*x.shape[1:3])
    (top, _), (left, _) = geometry.sides
    windows = Windows(geometry.kernel_size, geometry.stride, geometry.dilation, before=(top, left), count=(oH, oW))
    limit = device_of(x).rows_at_a_time(_matrix(weight)[:, 0].nbytes)  # windows
    rows = max(1, min(limit // oW, -(-len(x) * oH // at_least)))
    for images in pieces(len(x), max(1, rows // oH)):
        for part in pieces(oH, rows):
            yield Tile(images, part, windows.rows(part))


def pieces(count: int, largest: int) -> Iterator[slice]:
    """Cut ``range(count)`` into as few pieces as possible, of nearly equal size, none above `largest`."""
    number = -(-count // largest)
    for i in range(number):
        yield slice(count * i // number, count * (i + 1) // number)


def groups(x: Array, weight: Array, geometry: Geometry) -> Iterator[tuple[slice, slice]]:
    """Yield the input and the output channels of each group."""
    C, O = x.shape[-1] // geometry.groups, weight.shape[-1] // geometry.groups
    for g in range(geometry.groups):
        yield slice(g * C, (g + 1) * C), slice(g * O, (g + 1) * O)


def _matrix(array: Array) -> Array:
    """(n, p, oW, O) -> (n*p*oW, O), or (kH, kW, C/G, O) -> (kH*kW*C/G, O): a view, for all are contiguous."""
    return array.reshape(-1, array.shape[-1])


def _factor(weight: Array) -> Array:
    """(kH, kW, C/G, O) -> (length, O): the matrix that columns are multiplied with, zeros below for longer rows."""
    device, matrix = device_of(weight), _matrix(weight)
    length = device.row_length(len(matrix), weight.dtype)
    if length == len(matrix):
        return matrix
    factor = device.xp.empty((length, matrix.shape[1]), weight.dtype)
    factor[: len(matrix)] = matrix
    factor[len(matrix) :] = 0
    return factor
