"""Dropout."""

from __future__ import annotations

from math import prod

import numpy as np

from npalexnet.backend import Array, accumulation_dtype, device_of, primitive
from npalexnet.checks import number
from npalexnet.layers.init import Seed, generator
from npalexnet.layers.layer import Layer
from npalexnet.layers.parameter import Gradients, Shape
from npalexnet.layers.sharding import Noise


class Dropout(Layer):
    """Sets each number to 0 with probability `p` in training, as ``torch.nn.Dropout``; the identity in eval mode.

    It is inverted dropout: what stays is divided by ``1 - p``, so that the mean stays and eval mode has nothing to do.
    Each training pass draws a seed from the layer's own generator; the mask follows from that seed and each number's
    place in the batch alone, so that it is the same on every device and however the batch is cut.

    Parameters
    ----------
    p : float
        From 0 to 1.
    seed : int, numpy.random.Generator or None
        Source of the masks; None for a random seed.

    References
    ----------
    G. Hinton et al., "Improving neural networks by preventing co-adaptation of feature detectors", 2012.
    """

    per_image = True

    def __init__(self, p: float = 0.5, *, seed: Seed = None) -> None:
        self.p = number("p", p)
        if not 0 <= self.p <= 1:
            raise ValueError(f"p must be from 0 to 1, got {p}")
        self._generator = np.random.default_rng(generator(seed).integers(2**63))

    def draw_noise(self) -> Noise | None:
        """Draw one training pass's seed."""
        return Noise(int(self._generator.integers(2**63))) if self.training else None

    def compute(self, x: Array, noise: Noise | None = None) -> tuple[Array, Noise | None]:
        """Any shape that begins with the batch; backward needs the noise, to draw the mask again."""
        if noise is None or self.p == 0:
            return x, noise
        return dropout(x, self.p, noise.seed, noise.first_image), noise

    def gradients(self, grad_y: Array, noise: Noise | None) -> tuple[Array, Gradients]:
        """The gradient passes, and is scaled, where the number did."""
        return self.compute(grad_y, noise)[0], []

    def output_shape(self, input_shape: Shape) -> Shape:
        """The input's shape, which must begin with the batch."""
        if not input_shape:
            raise ValueError("Dropout expects a batch, got an input of shape ()")
        return input_shape

    def __repr__(self) -> str:
        return f"Dropout(p={self.p})"


@primitive
def dropout(x: Array, p: float, seed: int, first_image: int) -> Array:
    """Set each number of `x`, (N, ...), to 0 with probability `p`, and divide the others by ``1 - p``.

    Number e of the batch, in which `x` begins with image `first_image`, stays if the e-th 32-bit word of NumPy's Philox
    generator with the key `seed` is at least ``p * 2^32``.
    """
    start = first_image * prod(x.shape[1:])
    block, skip = divmod(start, 8)  # Philox makes 256 bits for each value of its counter
    raw = np.random.Philox(counter=block, key=seed).random_raw((skip + x.size + 1) // 2)
    words = raw.astype("<u8", copy=False).view("<u4")[skip : skip + x.size]
    mask = device_of(x).from_host((words >= p * 2.0**32).reshape(x.shape))
    scale = 0.0 if p == 1 else 1 / (1 - p)
    scaled = x.astype(accumulation_dtype(x.dtype), copy=False) * scale  # rounded once, to the numbers of x
    return device_of(x).masked(scaled.astype(x.dtype, copy=False), mask)
