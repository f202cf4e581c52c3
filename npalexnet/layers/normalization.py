"""Local response normalisation: over neighbouring channels, or over neighbouring pixels."""

from __future__ import annotations

from typing import Any

from npalexnet.backend import Array, accumulation_dtype, array_module
from npalexnet.checks import integer, number
from npalexnet.layers.layer import Layer
from npalexnet.layers.parameter import Gradients, Shape


class ResponseNorm(Layer):
    """What `LocalResponseNorm` and `SpatialResponseNorm` have in common: all but which numbers are neighbours.

    ``y[c] = x[c] / d[c]**beta`` with ``d[c] = k + alpha/divisor * sum of x[i]**2`` over the neighbours i of c.
    """

    per_image = True
    alpha: float
    beta: float
    k: float
    divisor: int  # of alpha

    def compute(self, x: Array, noise: Any = None) -> tuple[Array, tuple[Array, Array]]:
        """Keep the shape; backward needs x and d. Inputs of 16 bits are computed with in float32."""
        dtype, x = x.dtype, x.astype(accumulation_dtype(x.dtype), copy=False)
        d = self.k + self.alpha / self.divisor * self._sum(x * x)
        return (x * d**-self.beta).astype(dtype, copy=False), (x, d)

    def gradients(self, grad_y: Array, saved: tuple[Array, Array]) -> tuple[Array, Gradients]:
        """Differentiate ``y[c] = x[c] * d[c]**-beta`` by x[i].

        ``grad_x[i] = grad_y[i] * d[i]**-beta - 2*alpha*beta/divisor * x[i] * sum of grad_y[c]*x[c]*d[c]**(-beta-1)``,
        over all c in whose sum ``d[c]`` the number i takes part.
        """
        x, d = saved
        dtype, grad_y = grad_y.dtype, grad_y.astype(x.dtype, copy=False)
        power = d**-self.beta
        # In this order, because grad_y * x may be infinite where the gradient is not.
        through_d = self._sum(grad_y * (x * power) / d, transposed=True)
        grad_x = grad_y * power - x * (2 * self.alpha * self.beta / self.divisor * through_d)
        return grad_x.astype(dtype, copy=False), []

    def _sum(self, x: Array, *, transposed: bool = False) -> Array:
        """Sum over each number's neighbours or, transposed, over the numbers whose neighbour it is."""
        raise NotImplementedError


class LocalResponseNorm(ResponseNorm):
    """Divides each number by what its neighbouring channels have at the same pixel, as ``torch.nn.LocalResponseNorm``.

    ``y[c] = x[c] / d[c]**beta`` with ``d[c] = k + alpha/size * sum of x[i]**2`` over the `size` channels
    ``c - size//2 <= i <= c + (size-1)//2`` as far as they exist.

    Torch, Caffe and cuda-convnet divide alpha by `size`; the paper does not, and is
    ``LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2, divide_alpha=False)``. Caffe has k=1, as torch; cuda-convnet's k,
    which it calls minDiv, is 2 for AlexNet.

    Parameters
    ----------
    size : int
        Number of channels that are summed over.
    alpha, beta, k : float
        As in the formula.
    divide_alpha : bool
        Whether alpha is divided by `size`.
    groups : int
        The channels are divided into this many groups, across whose borders there are no neighbours: as where each
        half of a network has a GPU of its own.

    References
    ----------
    A. Krizhevsky, I. Sutskever and G. Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", 2012,
    section 3.3. Caffe: BVLC/caffe, ``src/caffe/layers/lrn_layer.cpp``. Cuda-convnet: akrizhevsky/cuda-convnet2,
    ``NormLayerParser`` in ``layer.py``.
    """

    def __init__(
        self,
        size: int,
        alpha: float = 1e-4,
        beta: float = 0.75,
        k: float = 1.0,
        *,
        divide_alpha: bool = True,
        groups: int = 1,
    ) -> None:
        self.size, self.groups = integer("size", size, 1), integer("groups", groups, 1)
        self.alpha, self.beta, self.k = number("alpha", alpha), number("beta", beta), number("k", k)
        self.divide_alpha = bool(divide_alpha)
        self.divisor = self.size if self.divide_alpha else 1

    def output_shape(self, input_shape: Shape) -> Shape:
        """The input's shape."""
        if len(input_shape) < 3:
            raise ValueError(f"{type(self).__name__} expects an input of shape (N, C, ...), got {input_shape}")
        if input_shape[1] % self.groups:
            raise ValueError(
                f"{type(self).__name__} expects channels that {self.groups} groups divide, got an input of shape "
                f"{input_shape}"
            )
        return input_shape

    def _sum(self, x: Array, *, transposed: bool = False) -> Array:
        total = array_module(x).empty_like(x)
        width = x.shape[1] // self.groups
        for first in range(0, x.shape[1], max(1, width)):
            group = slice(first, first + width)
            total[:, group] = _sum_of_neighbours(x[:, group], 1, self.size, transposed)
        return total

    def __repr__(self) -> str:
        others = "" if self.divide_alpha else ", divide_alpha=False"
        others += f", groups={self.groups}" if self.groups > 1 else ""
        return f"LocalResponseNorm({self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}{others})"


class SpatialResponseNorm(ResponseNorm):
    """Divides each number by what its neighbouring pixels have in the same channel.

    ``y[r, s] = x[r, s] / d[r, s]**beta`` with ``d[r, s] = k + alpha/size**2 * sum of x[i, j]**2`` over the `size` x
    `size` pixels ``r - size//2 <= i <= r + (size-1)//2``, and j likewise, as far as they exist. Cuda-convnet calls it
    response normalisation in the same map, Caffe WITHIN_CHANNEL.

    Parameters
    ----------
    size : int
        Side of the square of pixels that are summed over.
    alpha, beta, k : float
        As in the formula.

    References
    ----------
    Cuda-convnet: akrizhevsky/cuda-convnet2, ``NormLayerParser`` in ``layer.py`` and ``convResponseNorm`` in
    ``cudaconv3/src/conv_util.cu``.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        self.size = integer("size", size, 1)
        self.alpha, self.beta, self.k = number("alpha", alpha), number("beta", beta), number("k", k)
        self.divisor = self.size**2

    def output_shape(self, input_shape: Shape) -> Shape:
        """The input's shape."""
        if len(input_shape) != 4:
            raise ValueError(f"{type(self).__name__} expects an input of shape (N, C, H, W), got {input_shape}")
        return input_shape

    def _sum(self, x: Array, *, transposed: bool = False) -> Array:
        of_rows = _sum_of_neighbours(x, 2, self.size, transposed)
        return _sum_of_neighbours(of_rows, 3, self.size, transposed)

    def __repr__(self) -> str:
        return f"SpatialResponseNorm({self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k})"


def _sum_of_neighbours(x: Array, axis: int, size: int, transposed: bool) -> Array:
    """Sum along an axis over `size` numbers, from ``size//2`` before each on, as far as they exist.

    Transposed it is the other way round: from ``(size-1)//2`` before each on.
    """
    total = array_module(x).zeros_like(x)
    before, length = (size - 1) // 2 if transposed else size // 2, x.shape[axis]
    axes_before = (slice(None),) * axis
    for shift in range(-before, size - before):
        low, high = max(0, -shift), min(length, length - shift)
        if low < high:
            total[(*axes_before, slice(low, high))] += x[(*axes_before, slice(low + shift, high + shift))]
    return total
