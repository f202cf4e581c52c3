"""In which precision the matrix products of the network are computed, the same in npalexnet and in torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.rounds import AGREEMENT


@dataclass(frozen=True)
class Precision:
    """A policy for both libraries. Parameters, their gradients and SGD are float32 in all of them."""

    name: str  # "fp32"
    what: str  # in words
    matmul: str  # of float32 products: "highest", or "high", which is TF32
    dtype_name: str  # of images and activations
    tolerance: float  # how far apart, relative to the norm, what two libraries computed may be: for the network,
    layer_tolerance: float  # and for one layer

    @property
    def itemsize(self) -> int:
        """Bytes of a number of an activation."""
        return 2 if self.dtype_name == "bfloat16" else 4

    @property
    def dtype(self) -> np.dtype:
        """Of images and activations in npalexnet; an ImportError where bfloat16 needs ml_dtypes and has none."""
        if self.dtype_name == "bfloat16":
            import ml_dtypes

            return np.dtype(ml_dtypes.bfloat16)
        return np.dtype(self.dtype_name)


# What the tolerances are made of. TF32 keeps 10 bits behind the point: an operand is rounded by 2^-11 at the most, but
# by up to 2^-10, always downwards, where a library lets the tensor cores cut the rest off. Both operands of a product
# together: 2^-9. Through the whole network, all operands cut off or all rounded are 0.0023 apart in the logits (tried
# on a CPU with the bits masked), a third of 2^-7. bfloat16 keeps 7 bits, so a number is rounded by 2^-9 at the most. A
# layer's output may be rounded twice (product, then bias), and torch rounds weight gradients: 2^-7 is four of those.
# The network's logits in bfloat16 are 0.0032 away from float32's, the norm of the gradients 0.0022 (torch's on a CPU),
# a fifth of 2^-6. Another computation, such as a layer without its bias, is further away than any of these.
PRECISIONS = {
    precision.name: precision
    for precision in (
        Precision("fp32", "strict float32", "highest", "float32", AGREEMENT, AGREEMENT),
        Precision("tf32", "float32, products rounded to TF32", "high", "float32", 2**-7, 2**-9),
        Precision("bf16", "activations in bfloat16, parameters in float32", "highest", "bfloat16", 2**-6, 2**-7),
    )
}
FP32 = PRECISIONS["fp32"]
