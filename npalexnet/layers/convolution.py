"""How a convolution is computed: the piece behind `Conv2d` that can be replaced.

Symbols: N images, C input channels, H x W pixels, O output channels, windows of kH x kW, oH x oW of them, G groups.
All arrays are channels last: images (N, H, W, C), weights (kH, kW, C/G, O).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from npalexnet.backend import Array, device_of
from npalexnet.layers.geometry import Pair, output_size, window_extent
from npalexnet.layers.im2col import col2im, im2col, pad


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

    def output(self, x: Array, weight: Array, bias: Array | None, geometry: Geometry) -> Array:
        """(N, H, W, C) -> (N, oH, oW, O)."""
        raise NotImplementedError

    def weight_gradient(self, grad_y: Array, x: Array, weight: Array, geometry: Geometry) -> Array:
        """(N, oH, oW, O) and (N, H, W, C) -> (kH, kW, C/G, O)."""
        raise NotImplementedError

    def input_gradient(self, grad_y: Array, x: Array, weight: Array, geometry: Geometry) -> Array:
        """(N, oH, oW, O) -> (N, H, W, C)."""
        raise NotImplementedError


class Tile(NamedTuple):
    """Windows whose columns are made at once: those of some rows of one image, or of some whole images.

    Attributes
    ----------
    windows : tuple of slice
        Index of (N, oH, oW, O): the images, and the rows of windows.
    pixels : tuple of slice
        Index of (N, Hp, Wp, C): the images, and the rows of pixels that the windows cover.
    """

    windows: tuple[slice, slice]
    pixels: tuple[slice, slice]


class Im2colGemm(ConvolutionAlgorithm):
    """Convolution as im2col and one matrix product, ``y = columns @ W``, tile by tile.

    A tile is as many windows as the device finds best: on a CPU, few enough for their columns to stay in its cache,
    many enough for the product to be efficient. Backward makes the columns again.

    References
    ----------
    K. Chellapilla, S. Puri and P. Simard, "High Performance Convolutional Neural Networks for Document Processing",
    2006: convolution as a matrix product.
    """

    def output(self, x: Array, weight: Array, bias: Array | None, geometry: Geometry) -> Array:
        """``y = columns @ W + bias``."""
        device, matrix = device_of(x), _matrix(weight)  # (kH*kW*C/G, O)
        oH, oW = geometry.output_size(*x.shape[1:3])
        y = device.xp.empty((len(x), oH, oW, matrix.shape[1]), x.dtype)
        images = pad(x, *geometry.sides, value=0)  # (N, Hp, Wp, C)
        if bias is not None:
            bias_row = device.xp.empty(y.shape[2:], y.dtype)  # (oW, O): added to a row of windows at once
            bias_row[...] = bias

        def compute(tile: Tile) -> None:
            y_tile = y[tile.windows]  # (n, p, oW, O), a view
            for ins, outs in groups(x, weight, geometry):
                columns = im2col(images[tile.pixels][..., ins], *_window(geometry))  # (windows, kH*kW*C/G)
                device.matmul(columns, matrix[:, outs], out=_matrix(y_tile)[:, outs])
            if bias is not None:
                y_tile += bias_row

        # All cores share a lone image: its windows or, where these are fewer than the kernels, each product's kernels.
        at_least = device.pieces_at_least() if y[..., 0].size > y.shape[-1] else 1
        for _ in device.map(compute, tiles(y, weight, geometry, at_least)):
            pass
        return y

    def weight_gradient(self, grad_y: Array, x: Array, weight: Array, geometry: Geometry) -> Array:
        """``grad_W = columns.T @ grad_y``, summed over the tiles."""
        device = device_of(x)
        total = device.recycled(_matrix(weight).shape, x.dtype)  # (kH*kW*C/G, O)
        if not len(x):
            total[...] = 0
        images = pad(x, *geometry.sides, value=0)  # (N, Hp, Wp, C)
        for number, tile in enumerate(tiles(grad_y, weight, geometry)):
            grad_tile = _matrix(grad_y[tile.windows])  # (windows, O)
            part = device.scratch("weight gradient", total.shape, x.dtype) if number else total
            for ins, outs in groups(x, weight, geometry):
                columns = im2col(images[tile.pixels][..., ins], *_window(geometry))  # (windows, kH*kW*C/G)
                device.matmul(columns.T, grad_tile[:, outs], out=part[:, outs])
            if number:
                total += part
        return total.reshape(weight.shape)

    def input_gradient(self, grad_y: Array, x: Array, weight: Array, geometry: Geometry) -> Array:
        """``grad_columns = grad_y @ W.T``, and back from columns to images."""
        device, matrix = device_of(x), _matrix(weight)  # (kH*kW*C/G, O)
        N, H, W, C = x.shape
        (top, bottom), (left, right) = geometry.sides
        grad_images = device.xp.zeros((N, H + top + bottom, W + left + right, C), x.dtype)  # (N, Hp, Wp, C)
        for tile in tiles(grad_y, weight, geometry):
            grad_tile = _matrix(grad_y[tile.windows])  # (windows, O)
            columns = device.scratch("columns", (len(grad_tile), len(matrix)), x.dtype)  # (windows, kH*kW*C/G)
            for ins, outs in groups(x, weight, geometry):
                device.matmul(grad_tile[:, outs], matrix[:, outs].T, out=columns)
                col2im(columns, grad_images[tile.pixels][..., ins], *_window(geometry))
        return grad_images[:, top : top + H, left : left + W]


def tiles(y: Array, weight: Array, geometry: Geometry, at_least: int = 1) -> Iterator[Tile]:
    """Cut the windows of (N, oH, oW, O) into tiles of nearly equal size, no larger than the device wants them.

    They are whole rows of windows, and so many that there are `at_least` tiles, if there are as many rows.
    """
    N, oH, oW, _ = y.shape
    limit = device_of(y).rows_at_a_time(_matrix(weight)[:, 0].nbytes)  # windows
    rows = max(1, min(limit // oW, -(-N * oH // at_least)))
    for some_images in pieces(N, max(1, rows // oH)):
        for p in pieces(oH, rows):
            first = p.start * geometry.stride[0]
            last = (p.stop - 1) * geometry.stride[0] + window_extent(geometry.kernel_size[0], geometry.dilation[0])
            yield Tile((some_images, p), (some_images, slice(first, last)))


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


def _window(geometry: Geometry) -> tuple[Pair, Pair, Pair]:
    return geometry.kernel_size, geometry.stride, geometry.dilation
