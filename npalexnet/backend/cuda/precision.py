"""How exactly a GPU multiplies float32 matrices: a choice that is made for the whole process."""

from __future__ import annotations

PRECISIONS = ("highest", "high")
_precision = "highest"


def set_float32_matmul_precision(precision: str) -> None:
    """Choose how exactly matrix products of float32 arrays are computed, as ``torch.set_float32_matmul_precision``.

    Parameters
    ----------
    precision : {"highest", "high"}
        "highest", the default, is float32 throughout. With "high" a GPU's tensor cores may round what they multiply to
        TF32, which has 10 bits behind the point instead of 23; they add up in float32. Sums, and all that is no matrix
        product, stay float32; the CPU computes in float32 always.

    Raises
    ------
    ValueError
        If it is neither.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be 'highest' (float32) or 'high' (TF32), got {precision!r}")
    global _precision
    _precision = precision


def get_float32_matmul_precision() -> str:
    """Return what `set_float32_matmul_precision` chose: "highest" or "high"."""
    return _precision
