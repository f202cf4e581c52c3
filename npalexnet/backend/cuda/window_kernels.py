"""The CUDA kernels over windows: patches and max-pooling.

Symbols: N images, C channels, H x W pixels, windows of kH x kW, oH x oW of them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod

import numpy as np

from npalexnet.backend.cuda.launches import Launches, check_ndim, check_same
from npalexnet.backend.cuda.layouts import (
    MOST_COUNTED,
    contiguous,
    countable,
    kernel_arguments,
    pixel_distance,
)
from npalexnet.backend.device import Array
from npalexnet.checks import Pair
from npalexnet.windows import Windows

MOST_ELEMENTS = 255  # of a pooling window: which one is the largest takes one byte


class WindowKernels(Launches):
    """The kernels over windows: a part of `Kernels`, which says what all have in common."""

    # --- convolution -----------------------------------------------------------------------------------------------

    def im2col(self, x: Array, windows: Windows, patches: Array) -> Array | None:
        """Lay the numbers of each window side by side; outside the image are zeros.

        Parameters
        ----------
        x : array
            (N, H, W, C), contiguous, or some channels of such an array.
        windows : Windows
            Which ones.
        patches : array
            (N*oH*oW, ldk) with ``ldk >= kH*kW*C``, contiguous: is filled; what is left of a row becomes 0.

        Returns
        -------
        array or None
            `patches`.
        """
        apart, runs = self._check_patches(x, windows, patches), len(patches) * windows.kernel_size[0]
        if apart is None or runs > MOST_COUNTED:
            return None
        numbers = (runs, apart, patches.shape[1], *kernel_arguments(x.shape, windows))
        C, width = x.shape[3], windows.kernel_size[1] * x.shape[3]
        self._launch_rows("im2col", runs, width, (C, apart, patches.shape[1]), x, patches, numbers=numbers)
        return patches

    def col2im(self, patches: Array, x: Array, windows: Windows, *, add: bool = True) -> Array | None:
        """Sum up, for each pixel, all that `im2col` makes of it: the adjoint of `im2col`.

        Parameters
        ----------
        patches : array
            (N*oH*oW, ldk), contiguous.
        x : array
            (N, H, W, C), contiguous, or some channels of such an array: is changed.
        windows : Windows
            Which ones.
        add : bool
            Whether the sums are added to what `x` holds; else they replace it.

        Returns
        -------
        array or None
            `x`.
        """
        apart = self._check_patches(x, windows, patches)
        if apart is None:
            return None
        pixels, channels = prod(x.shape[:3]), x.shape[3]
        numbers = (pixels, apart, patches.shape[1], add, *kernel_arguments(x.shape, windows))
        counts = (channels, apart, patches.shape[1])
        self._launch_rows("col2im", pixels, channels, counts, patches, x, numbers=numbers)
        return x

    # --- max-pooling -----------------------------------------------------------------------------------------------

    def max_pool(self, images: Array, windows: Windows) -> tuple[Array, Callable[[Array], Array]] | None:
        """Take the largest number of each window; see `npalexnet.layers.max_pool`."""
        found = self.max_pool_with_indices(images, windows)
        if found is None:
            return None
        y, argmax = found
        return y, partial(self.max_pool_gradient, argmax=argmax, windows=windows, size=images.shape[1:3])

    def window_maxima(self, images: Array, windows: Windows) -> Array | None:
        """Take the largest number of each window, without saying which one it was."""
        found = self.max_pool_with_indices(images, windows, indices=False)
        return None if found is None else found[0]

    def max_pool_with_indices(
        self, x: Array, windows: Windows, *, indices: bool = True
    ) -> tuple[Array, Array | None] | None:
        """Take the largest number of each window, as ``torch``'s function of that name, and say which one it was.

        Parameters
        ----------
        x : array
            (N, H, W, C), contiguous.

        Returns
        -------
        y : array
            (N, oH, oW, C); minus infinity where a window has no pixel.
        argmax : array or None
            (N, oH, oW, C) of uint8: ``i*kW + j`` of the first largest element or of the last NaN, or ``kH*kW`` where a
            window has no pixel. None without `indices`.
        """
        check_ndim(x, "x", 4)
        shape = (len(x), *windows.output_size, x.shape[3])
        if not (self._does(x) and prod(windows.kernel_size) <= MOST_ELEMENTS and countable(x.shape, windows)):
            return None
        y = self._xp.empty(shape, x.dtype)
        argmax = self._xp.empty(shape, np.dtype("uint8")) if indices else None
        numbers = (prod(shape[:3]), *kernel_arguments(x.shape, windows))
        self._launch_rows("max_pool", numbers[0], shape[3], shape[3:], x, y, argmax, numbers=numbers)
        return y, argmax

    def max_pool_gradient(self, grad_y: Array, argmax: Array, windows: Windows, size: Pair) -> Array | None:
        """Give each window's gradient to its largest element: (N, oH, oW, C) -> (N, H, W, C) for `size` (H, W)."""
        check_ndim(grad_y, "grad_y", 4)
        check_same("argmax", argmax.shape, grad_y.shape)
        check_same("argmax's dtype", argmax.dtype, np.dtype("uint8"))
        check_same("windows.output_size", windows.output_size, grad_y.shape[1:3])
        shape = (len(grad_y), *size, grad_y.shape[3])
        if not (self._does(grad_y) and contiguous(argmax) and countable(shape, windows)):
            return None
        grad_x = self._xp.empty(shape, grad_y.dtype)
        numbers = (prod(shape[:3]), *kernel_arguments(shape, windows))
        arrays = (grad_y, argmax, grad_x)
        self._launch_rows("max_pool_gradient", numbers[0], shape[3], shape[3:], *arrays, numbers=numbers)
        return grad_x

    def _check_patches(self, images: Array, windows: Windows, patches: Array) -> int | None:
        """Return how many numbers apart the pixels of `images` lie, or None if the kernels can't do it."""
        check_ndim(images, "images", 4)
        check_ndim(patches, "patches", 2)
        N, _, _, C = images.shape
        length = prod(windows.kernel_size) * C
        check_same("patches' dtype", patches.dtype, images.dtype)
        if len(patches) != N * prod(windows.output_size) or patches.shape[1] < length:
            raise ValueError(
                f"patches must be of shape ({N * prod(windows.output_size)}, at least {length}), got {patches.shape}"
            )
        apart = pixel_distance(images)
        fits = self._does(patches) and countable(images.shape, windows) and patches.shape[1] <= MOST_COUNTED
        return apart if fits else None
