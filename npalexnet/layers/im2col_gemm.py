"""How a convolution is computed: the piece behind `Conv2d` that can be replaced, and im2col with matrix products.

Symbols: N images, C input channels, H x W pixels, O output channels, windows of kH x kW, oH x oW of them, G groups.
All arrays are channels last: images (N, H, W, C), weights (kH, kW, C/G, O).
`groups` are the input and the output channels of each group, as slices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from npalexnet.backend import Array, accumulation_dtype, device_of, primitive
from npalexnet.layers.im2col import col2im, im2col
from npalexnet.windows import Windows

Groups = Sequence[tuple[slice, slice]]


class ConvolutionAlgorithm:
    """A way to compute a convolution and its two gradients.

    All arrays are contiguous and fit each other; nothing is checked here. What is returned is the caller's.
    """

    def output(
        self, x: Array, weight: Array, bias: Array | None, windows: Windows, groups: Groups, *, relu: bool = False
    ) -> Array:
        """(N, H, W, C) -> (N, oH, oW, O); with `relu` what is below 0 becomes 0."""
        raise NotImplementedError

    def weight_gradient(self, grad_y: Array, x: Array, weight: Array, windows: Windows, groups: Groups) -> Array:
        """(N, oH, oW, O) and (N, H, W, C) -> (kH, kW, C/G, O), float32 for arrays of 16 bits."""
        raise NotImplementedError

    def input_gradient(self, grad_y: Array, x: Array, weight: Array, windows: Windows, groups: Groups) -> Array:
        """(N, oH, oW, O) -> (N, H, W, C)."""
        raise NotImplementedError


class Im2colGemm(ConvolutionAlgorithm):
    """Convolution as im2col and one matrix product, ``y = columns @ W``, tile by tile.

    A tile is as many windows as the device finds best: on a CPU, few enough for their columns to stay in its cache,
    many enough for the product to be efficient. Backward makes the columns again.

    References
    ----------
    K. Chellapilla, S. Puri and P. Simard, "High Performance Convolutional Neural Networks for Document Processing",
    2006: convolution as a matrix product.
    """

    def output(
        self, x: Array, weight: Array, bias: Array | None, windows: Windows, groups: Groups, *, relu: bool = False
    ) -> Array:
        """``y = columns @ W + bias``."""
        device, W = device_of(x), weight.reshape(-1, weight.shape[-1])  # (K, O)
        tiling = device.tiling(len(W), x.dtype)
        if tiling.row_length > len(W):
            W = _lengthened(W, tiling.row_length)  # (length, O)
        y = device.xp.empty((len(x), *windows.output_size, W.shape[1]), x.dtype)

        def compute(tile: Tile) -> None:
            y_tile = y[tile.images, tile.rows]  # (n, p, oW, O), a view
            y_rows = y_tile.reshape(-1, W.shape[1])  # (n*p*oW, O), a view
            columns = device.scratch("columns", (len(y_rows), len(W)), x.dtype)
            for ins, outs in groups:
                im2col(x[tile.images, ..., ins], tile.windows, columns)
                device.matmul(columns, W[:, outs], out=y_rows[:, outs])
            add_bias_relu(y_tile, bias, relu=relu)

        # All cores share a lone image: its windows or, where these are fewer than the kernels, each product's kernels.
        min_tiles = tiling.min_tiles if y[..., 0].size > y.shape[-1] else 1
        for _ in device.map(compute, tiles(len(x), windows, tiling.tile_rows, min_tiles)):
            pass
        return y

    def weight_gradient(self, grad_y: Array, x: Array, weight: Array, windows: Windows, groups: Groups) -> Array:
        """``grad_W = columns.T @ grad_y``, summed over the tiles."""
        device, K, O = device_of(x), weight[..., 0].size, weight.shape[-1]
        tiling = device.tiling(K, x.dtype)
        total = device.pooled_buffer((tiling.row_length, O), accumulation_dtype(x.dtype))
        if not len(x):
            total[...] = 0
        for number, tile in enumerate(tiles(len(x), windows, tiling.tile_rows)):
            grad_rows = grad_y[tile.images, tile.rows].reshape(-1, O)  # (n*p*oW, O), a view
            columns = device.scratch("columns", (len(grad_rows), len(total)), x.dtype)
            part = device.scratch("weight gradient", total.shape, total.dtype) if number else total
            for ins, outs in groups:
                im2col(x[tile.images, ..., ins], tile.windows, columns)
                device.matmul(columns.T, grad_rows[:, outs], out=part[:, outs])
            if number:
                total += part
        return total[:K].reshape(weight.shape)

    def input_gradient(self, grad_y: Array, x: Array, weight: Array, windows: Windows, groups: Groups) -> Array:
        """``grad_columns = grad_y @ W.T``, and back from columns to images."""
        device, W = device_of(x), weight.reshape(-1, weight.shape[-1])  # (K, O)
        tiling = device.tiling(len(W), x.dtype)
        if tiling.row_length > len(W):
            W = _lengthened(W, tiling.row_length)  # (length, O)
        grad_x = device.xp.empty(x.shape, x.dtype)
        for tile in tiles(len(x), windows, tiling.tile_rows):
            grad_rows = grad_y[tile.images, tile.rows].reshape(-1, W.shape[1])  # (n*p*oW, O), a view
            columns = device.scratch("columns", (len(grad_rows), len(W)), x.dtype)
            for ins, outs in groups:
                device.matmul(grad_rows[:, outs], W[:, outs].T, out=columns)
                first = tile.rows.start == 0  # of its images' tiles
                col2im(columns, grad_x[tile.images, ..., ins], tile.windows, add=not first)
        return grad_x


class Tile(NamedTuple):
    """Windows whose columns are made at once: some rows of windows of one image, or all windows of some images.

    Attributes
    ----------
    images, rows : slice
        Index of (N, oH, oW, O): n images, p rows.
    windows : Windows
        Where these windows lie in each of the images.
    """

    images: slice
    rows: slice
    windows: Windows


def tiles(images: int, windows: Windows, tile_rows: int, min_tiles: int = 1) -> Iterator[Tile]:
    """Cut the windows over so many images into tiles of nearly equal size, none above `tile_rows` windows.

    They are whole rows of windows, and so many that there are `min_tiles` tiles, if there are as many rows. The tiles
    of an image come one after the other, from its first row on.
    """
    oH, oW = windows.output_size
    rows = max(1, min(tile_rows // oW, -(-images * oH // min_tiles)))  # in a tile, at the most
    if rows >= oH:
        count = -(-images // (rows // oH))
        for i in range(count):
            yield Tile(slice(images * i // count, images * (i + 1) // count), slice(0, oH), windows)
        return
    count = -(-oH // rows)
    parts = [slice(oH * i // count, oH * (i + 1) // count) for i in range(count)]
    for n in range(images):
        for part in parts:
            yield Tile(slice(n, n + 1), part, windows.rows(part))


@primitive
def add_bias_relu(y: Array, bias: Array | None, *, relu: bool = False) -> None:
    """Add (O,) to each row of `y`, (..., O), in place; then, with `relu`, what is below 0 becomes 0."""
    xp = device_of(y).xp
    if bias is not None and y.ndim == 4:
        bias_row = xp.empty(y.shape[2:], y.dtype)  # (oW, O): added to a row of windows at once
        bias_row[...] = bias
        bias = bias_row
    if bias is not None:
        y += bias
    if relu:
        xp.maximum(y, 0, out=y)


@primitive
def sum_rows(rows: Array) -> Array:
    """(..., O) -> (O,): the sum of all rows, the gradient of a bias; float32 for 16-bit numbers."""
    dtype = accumulation_dtype(rows.dtype)
    if rows.ndim == 4:
        rows = rows.sum(axis=(0, 1), dtype=dtype)  # (oW, O): in two steps, because the first has longer runs
    return rows.reshape(-1, rows.shape[-1]).sum(axis=0, dtype=dtype)


def _lengthened(W: Array, row_length: int) -> Array:
    """(K, O) -> (length, O): with rows of zeros below, where the device wants longer rows of columns."""
    longer = device_of(W).xp.empty((row_length, W.shape[1]), W.dtype)
    longer[: len(W)] = W
    longer[len(W) :] = 0
    return longer
