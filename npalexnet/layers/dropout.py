"""Dropout."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from npalexnet.backend import Array, accumulation_dtype, device_of
from npalexnet.layers.init import Seed, generator
from npalexnet.layers.layer import Layer
from npalexnet.layers.parameter import Parameter, Shape
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
        Where the masks come from; None: unpredictable.

    References
    ----------
    G. Hinton et al., "Improving neural networks by preventing co-adaptation of feature detectors", 2012.
    """

    per_image = True

    def __init__(self, p: float = 0.5, *, seed: Seed = None) -> None:
        if isinstance(p, bool) or not isinstance(p, int | float | np.floating | np.integer):
            raise TypeError(f"p must be a number, got {p!r}")
        if not 0 <= p <= 1:
            raise ValueError(f"p must be from 0 to 1, got {p}")
        self.p = float(p)
        self._generator = np.random.default_rng(generator(seed).integers(2**63))

    def draw_noise(self) -> Noise | None:
        """Draw one training pass's seed."""
        return Noise(int(self._generator.integers(2**63))) if self.training else None

    def compute(self, x: Array, noise: Noise | None = None) -> tuple[Array, Any]:
        """Any shape that begins with the batch; backward needs the mask, a byte for each number, or draws it again."""
        if noise is None or self.p == 0:
            return x, None
        if (y := device_of(x).kernels.dropout(x, self.p, noise.seed, noise.first_image)) is not None:
            return y, noise
        mask = device_of(x).from_host(self._mask(x.shape, noise))
        return self._masked(x, mask), mask

    def gradients(self, grad_y: Array, saved: Any) -> tuple[Array, list[tuple[Parameter, Array]]]:
        """The gradient passes, and is scaled, where the number did."""
        if isinstance(saved, Noise):
            return self.compute(grad_y, saved)[0], []
        return (grad_y if saved is None else self._masked(grad_y, saved)), []

    def output_shape(self, input_shape: Shape) -> Shape:
        """The input's shape, which must begin with the batch."""
        if not input_shape:
            raise ValueError("Dropout expects a batch, got an input of shape ()")
        return input_shape

    def _masked(self, x: Array, mask: Array) -> Array:
        scale = 0.0 if self.p == 1 else 1 / (1 - self.p)
        scaled = x.astype(accumulation_dtype(x.dtype), copy=False) * scale  # rounded once, to the numbers of x
        return device_of(x).masked(scaled.astype(x.dtype, copy=False), mask)

    def _mask(self, shape: Shape, noise: Noise) -> np.ndarray:
        """Number e of the batch stays if the e-th 32-bit word of the generator is at least p * 2^32."""
        count, start = prod(shape), noise.first_image * prod(shape[1:])
        block, skip = divmod(start, 8)  # Philox makes 256 bits for each value of its counter
        raw = np.random.Philox(counter=block, key=noise.seed).random_raw((skip + count + 1) // 2)
        words = raw.astype("<u8", copy=False).view("<u4")[skip : skip + count]
        return (words >= self.p * 2.0**32).reshape(shape)

    def __repr__(self) -> str:
        return f"Dropout(p={self.p})"
