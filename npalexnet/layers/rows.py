"""What convolutions and linear layers do with rows of O numbers, one for each output channel: add biases, add up."""

from __future__ import annotations

from npalexnet.backend import Array, accumulation_dtype, device_of


def add_bias(y: Array, bias: Array | None, *, relu: bool = False) -> None:
    """Add (O,) to each row of `y`, (..., O) and contiguous, in place; then, with `relu`, what is below 0 becomes 0."""
    device = device_of(y)
    if (bias is None and not relu) or device.kernels.add_bias_relu(_rows(y), bias, relu=relu) is not None:
        return
    if bias is not None and y.ndim == 4:
        bias_row = device.xp.empty(y.shape[2:], y.dtype)  # (oW, O): added to a row of windows at once
        bias_row[...] = bias
        y += bias_row
    elif bias is not None:
        y += bias
    if relu:
        device.xp.maximum(y, 0, out=y)


def sum_rows(grad_y: Array) -> Array:
    """(..., O) -> (O,): the sum of all rows, the gradient of what was added to each; float32 for 16-bit numbers."""
    found = device_of(grad_y).kernels.sum_rows(_rows(grad_y))
    if found is not None:
        return found
    dtype = accumulation_dtype(grad_y.dtype)
    if grad_y.ndim == 4:
        grad_y = grad_y.sum(axis=(0, 1), dtype=dtype)  # (oW, O): in two steps, because the first has longer runs
    return _rows(grad_y).sum(axis=0, dtype=dtype)


def _rows(array: Array) -> Array:
    """(..., O) -> (M, O), a view: the array is contiguous."""
    return array.reshape(-1, array.shape[-1])
