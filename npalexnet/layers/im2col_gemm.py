"""The default algorithm of convolution, im2col and matrix products (GEMM), and the interface for replacing it.

Symbols: N images, C input channels, H x W pixels, O output channels, windows of kH x kW, oH x oW of them, G groups;
K = kH*kW*C/G values in a window, ldk >= K the row length of the patches (see `im2col.py`).
Arrays are channels last: images (N, H, W, C), weights (kH, kW, C/G, O), which read as a matrix are w, (K, O).

With `patches`, (N*oH*oW, K), one row per window::

    y            = patches @ w + bias                     # (N*oH*oW, O)
    grad_w       = patches.T @ grad_y                     # (K, O)
    grad_patches = grad_y @ w.T,  grad_x = col2im(grad_patches)
    grad_bias    = the sum of grad_y's rows               # (O,)

AlexNet's first layer, one image: 55*55 = 3,025 windows of K = 363 values, ``(3025, 363) @ (363, 96)``; on the CPU in
6 tiles of 495 or 550 rows, of which each stays in the cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from npalexnet.backend import Array, accumulation_dtype, device_of, primitive
from npalexnet.layers.im2col import col2im, im2col
from npalexnet.windows import Windows

Groups = Sequence[tuple[slice, slice]]  # of each group: its input channels and its output channels


class ConvolutionAlgorithm:
    """A way to compute a convolution and its two gradients.

    All arrays are contiguous, and their shapes are taken to be consistent. What is returned belongs to the caller.
    """

    def for_pass(self) -> ConvolutionAlgorithm:
        """Return what serves one layer in one forward and backward pass, on all shards; `self`, if it keeps nothing."""
        return self

    def supports(self, windows: Windows, dtype: np.dtype) -> bool:
        """Whether it computes such convolutions; else `Im2colGemm` does."""
        return True

    def output(
        self, x: Array, weight: Array, bias: Array | None, windows: Windows, groups: Groups, *, relu: bool = False
    ) -> Array:
        """(N, H, W, C) -> (N, oH, oW, O); if `relu`, negative values are set to 0."""
        raise NotImplementedError

    def weight_gradient(self, grad_y: Array, x: Array, weight: Array, windows: Windows, groups: Groups) -> Array:
        """(N, oH, oW, O) and (N, H, W, C) -> (kH, kW, C/G, O), float32 for 16-bit inputs."""
        raise NotImplementedError

    def input_gradient(self, grad_y: Array, x: Array, weight: Array, windows: Windows, groups: Groups) -> Array:
        """(N, oH, oW, O) -> (N, H, W, C)."""
        raise NotImplementedError

    def gradients(
        self, grad_y: Array, x: Array, weight: Array, windows: Windows, groups: Groups
    ) -> tuple[Array, Array]:
        """Return both; an algorithm may do this with less work."""
        arguments = grad_y, x, weight, windows, groups
        return self.input_gradient(*arguments), self.weight_gradient(*arguments)


class Im2colGemm(ConvolutionAlgorithm):
    """Convolution as im2col and one matrix product, tile by tile; the backward pass computes the patches again.

    A tile is some windows. `Device.tiling` says how many: on a CPU few enough for their patches to stay in its cache,
    and many enough for an efficient product. Each group is a product of its own, into its own channels of y.

    References
    ----------
    K. Chellapilla, S. Puri and P. Simard, "High Performance Convolutional Neural Networks for Document Processing",
    2006: convolution as a matrix product.
    """

    def output(
        self, x: Array, weight: Array, bias: Array | None, windows: Windows, groups: Groups, *, relu: bool = False
    ) -> Array:
        """``y = patches @ w + bias``."""
        device, w = device_of(x), weight.reshape(-1, weight.shape[-1])  # (K, O)
        tiling = device.tiling(len(w), x.dtype)
        if tiling.aligned_row_length > len(w):
            w = _pad_rows(w, tiling.aligned_row_length)  # (ldk, O)
        y = device.xp.empty((len(x), *windows.output_size, w.shape[1]), x.dtype)

        def compute(tile: Tile) -> None:
            y_tile = y[tile.images, tile.output_rows]  # (n, t, oW, O), a view
            y_rows = y_tile.reshape(-1, w.shape[1])  # (n*t*oW, O), a view
            patches = device.scratch("patches", (len(y_rows), len(w)), x.dtype)
            for input_channels, output_channels in groups:
                im2col(x[tile.images, ..., input_channels], tile.windows, patches)
                device.matmul(patches, w[:, output_channels], out=y_rows[:, output_channels])
            add_bias_relu(y_tile, bias, relu=relu)

        # If this image is the only work, all threads share it: by tiles or, if there are fewer windows than output
        # channels, as one tile, whose product `matmul` divides among them.
        min_tiles = tiling.min_tiles if y[..., 0].size > y.shape[-1] else 1
        for _ in device.map(compute, tiles(len(x), windows, tiling.tile_rows, min_tiles)):
            pass  # each tile fills its part of y
        return y

    def weight_gradient(self, grad_y: Array, x: Array, weight: Array, windows: Windows, groups: Groups) -> Array:
        """``grad_w = patches.T @ grad_y``, summed over the tiles."""
        device, K, O = device_of(x), weight[..., 0].size, weight.shape[-1]
        tiling = device.tiling(K, x.dtype)
        total = device.pooled_buffer((tiling.aligned_row_length, O), accumulation_dtype(x.dtype))  # (ldk, O)
        if not len(x):
            total[...] = 0
        for index, tile in enumerate(tiles(len(x), windows, tiling.tile_rows)):
            grad_rows = grad_y[tile.images, tile.output_rows].reshape(-1, O)  # (n*t*oW, O), a view
            patches = device.scratch("patches", (len(grad_rows), len(total)), x.dtype)
            part = total if index == 0 else device.scratch("weight gradient", total.shape, total.dtype)
            for input_channels, output_channels in groups:
                im2col(x[tile.images, ..., input_channels], tile.windows, patches)
                device.matmul(patches.T, grad_rows[:, output_channels], out=part[:, output_channels])
            if index > 0:
                total += part
        return total[:K].reshape(weight.shape)

    def input_gradient(self, grad_y: Array, x: Array, weight: Array, windows: Windows, groups: Groups) -> Array:
        """``grad_patches = grad_y @ w.T``, then col2im."""
        device, w = device_of(x), weight.reshape(-1, weight.shape[-1])  # (K, O)
        tiling = device.tiling(len(w), x.dtype)
        if tiling.aligned_row_length > len(w):
            w = _pad_rows(w, tiling.aligned_row_length)  # (ldk, O)
        grad_x = device.xp.empty(x.shape, x.dtype)
        for tile in tiles(len(x), windows, tiling.tile_rows):
            grad_rows = grad_y[tile.images, tile.output_rows].reshape(-1, w.shape[1])  # (n*t*oW, O), a view
            grad_patches = device.scratch("patches", (len(grad_rows), len(w)), x.dtype)
            first_of_image = tile.output_rows.start == 0  # it overwrites grad_x, the image's later tiles add to it
            for input_channels, output_channels in groups:
                device.matmul(grad_rows[:, output_channels], w[:, output_channels].T, out=grad_patches)
                part = grad_x[tile.images, ..., input_channels]
                col2im(grad_patches, part, tile.windows, add=not first_of_image)
        return grad_x


class Tile(NamedTuple):
    """Windows that are processed together: all windows of n images, or t rows of windows of one image.

    Attributes
    ----------
    images, output_rows : slice
        Index of (N, oH, oW, O): n images and t rows.
    windows : Windows
        The tile's windows in each of its images.
    """

    images: slice
    output_rows: slice
    windows: Windows


def tiles(images: int, windows: Windows, tile_rows: int, min_tiles: int = 1) -> Iterator[Tile]:
    """Split the windows over a batch of `images` into tiles of nearly equal size, in order.

    A tile has at most `tile_rows` windows, but never less than one row of windows. There are at least `min_tiles`
    tiles, if there are that many rows. If more than one is asked for, an image's are an even number, which two threads
    share evenly.
    """
    oH, oW = windows.output_size
    rows_per_tile = max(1, min(tile_rows // oW, -(-images * oH // min_tiles)))
    if rows_per_tile >= oH:
        count = -(-images // (rows_per_tile // oH))
        for i in range(count):
            yield Tile(slice(images * i // count, images * (i + 1) // count), slice(0, oH), windows)
        return
    count = -(-oH // rows_per_tile)
    if min_tiles > 1:
        count = min(oH, count + count % 2)
    parts = [slice(oH * i // count, oH * (i + 1) // count) for i in range(count)]
    for n in range(images):
        for part in parts:
            yield Tile(slice(n, n + 1), part, windows.for_output_rows(part))


@primitive
def add_bias_relu(y: Array, bias: Array | None, *, relu: bool = False) -> None:
    """Add (O,) to each row of `y`, (..., O), in place; then, if `relu`, set negative values to 0."""
    xp = device_of(y).xp
    if bias is not None and y.ndim == 4:
        row_of_windows = xp.empty(y.shape[2:], y.dtype)  # (oW, O): to add it takes long inner loops, to add (O,) short
        row_of_windows[...] = bias
        bias = row_of_windows
    if bias is not None:
        y += bias
    if relu:
        xp.maximum(y, 0, out=y)


@primitive
def sum_rows(rows: Array) -> Array:
    """(..., O) -> (O,): the sum over all axes but the last, which is a bias's gradient; float32 for 16-bit values."""
    dtype = accumulation_dtype(rows.dtype)
    if rows.ndim == 4:
        rows = rows.sum(axis=(0, 1), dtype=dtype)  # (oW, O): in two steps, of which the first adds longer runs
    return rows.reshape(-1, rows.shape[-1]).sum(axis=0, dtype=dtype)


def _pad_rows(w: Array, ldk: int) -> Array:
    """(K, O) -> (ldk, O), with zeros below."""
    padded = device_of(w).xp.empty((ldk, w.shape[1]), w.dtype)
    padded[: len(w)] = w
    padded[len(w) :] = 0
    return padded
