"""Winograd's convolution: the same sums with fewer multiplications.

A kernel g of 3 values, moved over 4 values d, gives 2 outputs, F(2, 3). By definition that takes 6 multiplications::

    y0 = d0 g0 + d1 g1 + d2 g2,   y1 = d1 g0 + d2 g1 + d3 g2

and with these it takes 4, one at each of n = 4 *points*::

    m0 = (d0 - d2)   * g0
    m1 = (d1 + d2)/2 * (g0 + g1 + g2)
    m2 = (d2 - d1)/2 * (g0 - g1 + g2)
    m3 = (d3 - d1)   * g2
    y0 = m0 + m1 + m2,   y1 = m1 - m2 + m3

(Halving is not counted, and the sums of g are computed once for all positions.) In matrices it is
``y = A.T ((B d) * (G g))``: three linear maps and an elementwise product. A, B and G have a row for each point.

*Where they come from.* Take g as the r coefficients of a polynomial, and another one, a, with m coefficients, which
goes away again below. Their product s has n = m + r - 1 coefficients, and at a point p it is ``s(p) = g(p) a(p)``. So
evaluate both at n points (``G g`` and ``A a``, with rows 1, p, p^2, ...), multiply, and interpolate:
``s = B.T ((G g) * (A a))``. For a fixed g, s is a linear function of a: the full convolution with g. Its transpose is
the correlation wanted here, and transposing reverses the order of the maps: ``y = A.T ((G g) * (B d))``. The last point
is infinity, where a polynomial's value is its last coefficient.

*Images.* In two dimensions the maps act along columns and rows: ``y = A.T ((B x B.T) * (G w G.T)) A`` makes a tile of
m x m outputs from n x n pixels. The elementwise products are summed over the channels, which makes them a matrix
product at each of the n*n points: (tiles, C) @ (C, O). For 3x3 kernels, 7*7 multiplications give 5 x 5 outputs, 1.96
each instead of 9; for 5x5 kernels, 8*8 give 4 x 4 outputs, 4 each instead of 25. AlexNet's images do not divide into
whole tiles: 13 x 13 outputs are 3 x 3 tiles, 2.6 each, and 27 x 27 are 7 x 7, 4.3 each.

*The backward pass* is the chain rule through linear maps, with U = G w G.T, V = B x B.T, M = V U, y = A.T M A::

    dM = A dy A.T,   dV = dM U.T,   dx = B.T dV B,   dU = V.T dM,   dw = G.T dU G

*What it costs.* More additions, more memory, and rounding errors several times as large as im2col's. And a pixel that
is infinite or NaN makes its whole image NaN, because the maps multiply it by 0 for the tiles that do not hold it.

Symbols as in `im2col_gemm.py`; m outputs of a kernel of r at n points, along each axis; tH x tW tiles.

References
----------
S. Winograd, "Arithmetic Complexity of Computations", 1980. A. Lavin and S. Gray, "Fast Algorithms for Convolutional
Neural Networks", 2016 (whose B is the transpose of this one, up to factors). B. Barabasz et al., "Error Analysis and
Improving the Accuracy of Winograd Convolution for Deep Neural Networks", 2020: the choice of points.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from npalexnet.backend import Array, Device, device_of
from npalexnet.layers.im2col_gemm import ConvolutionAlgorithm, Groups, add_bias_relu
from npalexnet.windows import Windows

OUTPUTS = {2: 6, 3: 5, 4: 4, 5: 4}  # m for kernels of r x r: larger ones save more multiplications and round worse
# The n - 1 points besides infinity: pairs of +p and -p and, if their number is odd, 0; those for n = 4 are the
# example's. Rounding errors stay small if no power of a point is large or tiny; A and G are exact in float32.
POINTS = {4: (0, 1, -1), 7: (3 / 8, -3 / 8, 7 / 8, -7 / 8, 7 / 4, -7 / 4), 8: (0, 1 / 2, -1 / 2, 1, -1, 2, -2)}
BLOCK_TILES = 256  # most tiles in a block of images, which has at least one image
BLOCK_PAIRS = 1 << 14  # most kernels whose points are computed at a time: in the cache, and in products that are small


class Winograd(ConvolutionAlgorithm):
    """Winograd's convolution; an instance serves one layer in one pass, and U is computed by whoever needs it first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._U: Array | None = None

    def __reduce__(self) -> tuple[type[Winograd], tuple[()]]:
        """Copies, of a model between forward and backward, compute U anew: a lock can't be copied."""
        return type(self), ()

    def for_pass(self) -> Winograd:
        """Return a new instance: the weights may have changed."""
        return type(self)()

    def supports(self, windows: Windows, dtype: np.dtype) -> bool:
        """Whether these are square windows of 2 to 5 with stride 1 and dilation 1, in float32 or float64."""
        kH, kW = windows.kernel_size
        plain = windows.stride == windows.dilation == (1, 1) and kH == kW and kH in OUTPUTS
        return plain and dtype.name in ("float32", "float64")

    def output(
        self, x: Array, weight: Array, bias: Array | None, windows: Windows, groups: Groups, *, relu: bool = False
    ) -> Array:
        """``y = A.T M A`` with ``M = V U``."""
        device, maps, U = device_of(x), _maps(device_of(x), windows, x.shape[1:3], x.dtype), self._transformed(weight)
        y = device.xp.empty((len(x), *windows.output_size, weight.shape[-1]), x.dtype)

        def compute(block: slice) -> None:
            _output(x[block], U, maps, groups, y[block])
            add_bias_relu(y[block], bias, relu=relu)

        for _ in device.map(compute, _blocks(len(x), maps)):
            pass  # each block fills its part of y
        return y

    def input_gradient(self, grad_y: Array, x: Array, weight: Array, windows: Windows, groups: Groups) -> Array:
        """``dx = B.T dV B`` with ``dV = dM U.T``."""
        return self._gradients(grad_y, x, weight, windows, groups, of_weight=False)[0]

    def weight_gradient(self, grad_y: Array, x: Array, weight: Array, windows: Windows, groups: Groups) -> Array:
        """``dw = G.T dU G`` with ``dU = V.T dM``."""
        return self._gradients(grad_y, x, weight, windows, groups, of_input=False)[1]

    def gradients(
        self, grad_y: Array, x: Array, weight: Array, windows: Windows, groups: Groups
    ) -> tuple[Array, Array]:
        """Both, from one dM."""
        return self._gradients(grad_y, x, weight, windows, groups)

    def _gradients(
        self, grad_y: Array, x: Array, weight: Array, windows: Windows, groups: Groups, *,
        of_input: bool = True, of_weight: bool = True,
    ) -> tuple[Array, Array]:  # fmt: skip
        device, maps, U = device_of(x), _maps(device_of(x), windows, x.shape[1:3], x.dtype), self._transformed(weight)
        grad_x = device.xp.empty(x.shape, x.dtype) if of_input else None
        grad_weight = device.xp.zeros(weight.shape, x.dtype) if of_weight else None

        def compute(block: slice) -> Array | None:
            part = None if grad_x is None else grad_x[block]
            return _gradients(grad_y[block], x[block], U, maps, groups, part, of_weight=of_weight)

        for part in device.map(compute, _blocks(len(x), maps)):
            if grad_weight is not None:
                grad_weight += part
        return grad_x, grad_weight

    def _transformed(self, weight: Array) -> Array:
        """``U = G w G.T``: (r, r, C/G, O) -> (n, n, C/G, O)."""
        with self._lock:
            if self._U is None:
                device, r = device_of(weight), len(weight)
                G, w = _G(device, r, weight.dtype), weight.reshape(r, r, -1)
                n, pairs = len(G), w.shape[-1]  # C/G*O pairs of an input and an output channel
                U = device.pooled_buffer((n, n, pairs), weight.dtype)

                def fill(start: int) -> None:
                    part = slice(start, min(start + BLOCK_PAIRS, pairs))
                    Gw = device.scratch("G w", (n, r, part.stop - start), weight.dtype)
                    device.products(G, w[..., part].swapaxes(0, 1), out=Gw.swapaxes(0, 1))  # of each kernel column
                    device.products(G, Gw, out=U[..., part])  # of each row of points

                for _ in device.map(fill, range(0, pairs, BLOCK_PAIRS)):
                    pass  # each block of pairs fills its part of U
                self._U = U.reshape(n, n, *weight.shape[2:])
            return self._U


def _output(x: Array, U: Array, maps: Maps, groups: Groups, y: Array) -> None:
    """(N, H, W, C) -> `y`, (N, oH, oW, O), which is filled."""
    device, n, O = device_of(x), maps.n, U.shape[-1]
    Bx = _columns_to_points(maps.B[0], x, n, "B x")  # (n, tH, W, N, C)
    MA = _room_for_rows(maps.A[1], Bx, O, "M A")  # (oW, n, tH, N, O)

    def row_of_points(a: int) -> None:  # a row at a time, so that V and M stay in the cache
        V = _row_to_points(maps.B[1], Bx[a], n, "V")  # (n, tW*tH*N, C)
        M = device.scratch("M", (*V.shape[:2], O), x.dtype)  # (n, tW*tH*N, O)
        for c, o in groups:
            device.products(V[..., c], U[a, ..., o], out=M[..., o])
        _row_from_points(maps.A[1], M, MA[:, a])

    for _ in device.map(row_of_points, range(n)):
        pass  # each row fills its part of M A
    _columns_from_points(maps.A[0], MA, y)


def _gradients(
    grad_y: Array, x: Array, U: Array, maps: Maps, groups: Groups, grad_x: Array | None, *, of_weight: bool
) -> Array | None:
    """(N, oH, oW, O) -> `grad_x`, (N, H, W, C), which is filled; return the weight's gradient, (r, r, C/G, O)."""
    device, n, r, C = device_of(x), maps.n, maps.G.shape[1], x.shape[-1]
    Ady = _columns_to_points(maps.A[0], grad_y, n, "M A")  # (n, tH, oW, N, O), in M A's memory
    Bx = _columns_to_points(maps.B[0], x, n, "B x")  # (n, tH, W, N, C)
    dVB = _room_for_rows(maps.B[1], Bx, C, "dV B")  # (W, n, tH, N, C)
    dUG = device.scratch("dU G", (n, r, U[0, 0].size), x.dtype)

    def row_of_points(a: int) -> None:
        dM = _row_to_points(maps.A[1], Ady[a], n, "M")  # (n, tW*tH*N, O)
        if grad_x is not None:
            dV = device.scratch("V", (*dM.shape[:2], C), x.dtype)  # (n, tW*tH*N, C)
            for c, o in groups:
                device.products(dM[..., o], U[a, ..., o].swapaxes(1, 2), out=dV[..., c])
            _row_from_points(maps.B[1], dV, dVB[:, a])
        if of_weight:
            V = _row_to_points(maps.B[1], Bx[a], n, "V")  # (n, tW*tH*N, C)
            dU = device.scratch("dU", U.shape[1:], x.dtype)  # (n, C/G, O)
            for c, o in groups:
                device.products(V[..., c].swapaxes(1, 2), dM[..., o], out=dU[..., o])
            device.products(maps.G.T, dU.reshape(n, -1), out=dUG[a])

    for _ in device.map(row_of_points, range(n)):
        pass  # each row fills its parts of dV B and dU G
    if grad_x is not None:
        _columns_from_points(maps.B[0], dVB, grad_x)
    return device.products(maps.G.T, dUG.reshape(n, -1)).reshape(r, r, *U.shape[2:]) if of_weight else None


# --- from pixels to points and back, along one axis of the image after the other --------------------------------------
# Along an axis, a map on all tiles is one banded matrix. First along H, from images to rows of points; then along W,
# from one row of points to its points. Batch and channels stay innermost, so that a row of points is one block of
# memory, and all of these are matrix products of views: nothing is copied.


def _columns_to_points(matrix: Array, x: Array, n: int, name: str) -> Array:
    """(n*tH, H) times (N, H, W, C) -> (n, tH, W, N, C)."""
    N, _, W, C = x.shape
    points = device_of(x).scratch(name, (len(matrix), W, N, C), x.dtype)
    device_of(x).products(matrix, x.swapaxes(1, 2), out=points.transpose(2, 1, 0, 3))  # of each image and column
    return points.reshape(n, len(matrix) // n, W, N, C)


def _row_to_points(matrix: Array, row: Array, n: int, name: str) -> Array:
    """(n*tW, W) times one row of points, (tH, W, N, C) -> (n, tW*tH*N, C)."""
    tH, W, N, C = row.shape
    points = device_of(row).scratch(name, (len(matrix), tH, N * C), row.dtype)
    device_of(row).products(matrix, row.reshape(tH, W, N * C), out=points.swapaxes(0, 1))  # of each row of tiles
    return points.reshape(n, len(matrix) // n * tH * N, C)


def _room_for_rows(matrix: Array, points: Array, channels: int, name: str) -> Array:
    """(n*tW, W) and (n, tH, _, N, _) -> (W, n, tH, N, channels), whose ``[:, a]`` `_row_from_points` fills."""
    n, tH, _, N, _ = points.shape
    return device_of(points).scratch(name, (matrix.shape[1], n, tH, N, channels), points.dtype)


def _row_from_points(matrix: Array, points: Array, out: Array) -> None:
    """The transpose of `_row_to_points`: (n*tW, W) and (n, tW*tH*N, C) -> `out`, (W, tH, N, C)."""
    W, rest = len(out), prod(out.shape[1:])
    device_of(points).products(matrix.T, points.reshape(len(matrix), rest), out=out.reshape(W, rest))


def _columns_from_points(matrix: Array, points: Array, out: Array) -> None:
    """The transpose of `_columns_to_points`: (n*tH, H) and (W, n, tH, N, C) -> `out`, (N, H, W, C)."""
    W, _, _, N, C = points.shape
    points = points.reshape(W, len(matrix), N, C).swapaxes(1, 2)
    device_of(points).products(matrix.T, points, out=out.transpose(2, 0, 1, 3))  # of each column and image


# --- the matrices -----------------------------------------------------------------------------------------------------


class Maps(NamedTuple):
    """What a convolution needs, on its device: n, A as (n*tH, oH) and (n*tW, oW), B as (n*tH, H) and (n*tW, W), G."""

    n: int
    A: tuple[Array, Array]
    B: tuple[Array, Array]
    G: Array


@lru_cache(maxsize=32)
def _maps(device: Device, windows: Windows, size: tuple[int, int], dtype: np.dtype) -> Maps:
    """Return the matrices for images of `size`, (H, W)."""
    r = windows.kernel_size[0]
    m = OUTPUTS[r]
    A, _, B = matrices(m, r)
    axes = list(zip(windows.output_size, windows.padding, size, strict=True))
    both_A = [banded(A, m, -(-outputs // m), 0, outputs) for outputs, _, _ in axes]
    both_B = [banded(B, m, -(-outputs // m), -padding, inputs) for outputs, padding, inputs in axes]
    there = [device.from_host(matrix.astype(dtype)) for matrix in (*both_A, *both_B)]
    return Maps(len(A), (there[0], there[1]), (there[2], there[3]), _G(device, r, dtype))


@lru_cache
def _G(device: Device, r: int, dtype: np.dtype) -> Array:
    """(n, r), on the device: copied there once, because a CUDA graph can't."""
    return device.from_host(matrices(OUTPUTS[r], r)[1].astype(dtype))


def banded(matrix: np.ndarray, m: int, tiles: int, start: int, size: int) -> np.ndarray:
    """(n, k) -> (n*tiles, size): `matrix` times the k values from ``start + tile*m`` on; outside there are zeros."""
    n, k = matrix.shape
    result = np.zeros((n, tiles, size))
    for tile in range(tiles):
        for j in range(k):
            if 0 <= (position := start + tile * m + j) < size:
                result[:, tile, position] = matrix[:, j]
    return result.reshape(n * tiles, size)


@lru_cache
def matrices(m: int, r: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return A (n, m), G (n, r) and B (n, n) of F(m, r), in float64.

    The rows of B are the polynomials that interpolate. With N(t), the product of (t - p) over the finite points, they
    are Lagrange's ``N(t) / (t - p)``, divided by its value at p, and for infinity N(t) itself.
    """
    points = np.array(POINTS[m + r - 1], float)
    B = np.zeros((len(points) + 1, len(points) + 1))
    for i, p in enumerate(points):
        others = np.delete(points, i)
        B[i, :-1] = np.poly(others)[::-1] / np.prod(p - others)
    B[-1] = np.poly(points)[::-1]
    return _powers(points, m), _powers(points, r), B


def _powers(points: np.ndarray, k: int) -> np.ndarray:
    """(n, k): 1, p, p^2, ... for each point p; and for infinity 0, ..., 0, 1."""
    return np.vstack([np.vander(points, k, increasing=True), np.eye(k)[-1]])


def _blocks(images: int, maps: Maps) -> list[slice]:
    """Split the images into blocks of nearly equal size, which threads may share."""
    tiles = len(maps.A[0]) * len(maps.A[1]) // maps.n**2
    count = -(-images // max(1, BLOCK_TILES // tiles))
    return [slice(images * i // count, images * (i + 1) // count) for i in range(count)]
