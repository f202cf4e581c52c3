"""Bounding the norm of all gradients together."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, isfinite, sqrt

import numpy as np

from npalexnet import backend
from npalexnet.backend import Array
from npalexnet.checks import number
from npalexnet.layers.parameter import Parameter, check_parameters

NUMBERS_AT_A_TIME = 1 << 20  # squared in float64: 8 MiB


def clip_grad_norm_(parameters: Iterable[Parameter], max_norm: float, *, error_if_nonfinite: bool = False) -> float:
    """Scale all gradients so that their norm is at most `max_norm`, as ``torch.nn.utils.clip_grad_norm_``.

    ``norm = sqrt(sum of all squares)``; each gradient is multiplied by ``max_norm / (norm + 1e-6)`` if that is below 1.
    The squares are added in float64 in an order of their own: the norm does not depend on the number of threads.

    Parameters
    ----------
    parameters : iterable of Parameter
        Those without a gradient are passed over.
    max_norm : float
        Above 0; infinite: nothing is scaled.
    error_if_nonfinite : bool
        Whether a norm that is not finite is an error. Otherwise the gradients are scaled all the same, as in torch.

    Returns
    -------
    float
        The norm before.

    Raises
    ------
    TypeError, ValueError
        If `max_norm` is not above 0, or a gradient doesn't fit its parameter; nothing is changed.
    RuntimeError
        With `error_if_nonfinite`; nothing is changed.

    References
    ----------
    R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of training recurrent neural networks", 2013, section 3.2.
    """
    if not 0 < number("max_norm", max_norm) <= inf:
        raise ValueError(f"max_norm must be above 0, got {max_norm}")
    with_gradient = [parameter for parameter in check_parameters(parameters) if parameter.grad is not None]
    for parameter in with_gradient:
        parameter.check_gradient()
    norm = _norm(with_gradient)
    if not isfinite(norm):  # the squares of float64 numbers from 1e154 on are infinite
        norm = _norm(with_gradient, 2.0**-600)
    if error_if_nonfinite and not isfinite(norm):
        raise RuntimeError(f"the norm of the gradients is {norm}, so they can't be clipped")
    factor = max_norm / (norm + 1e-6)
    if not factor >= 1:  # NaN too
        for parameter in with_gradient:
            device = backend.device_of(parameter.data)
            with device.active():
                out = device.xp.empty_like(parameter.grad)  # in the same order in memory
                parameter.grad = device.xp.multiply(parameter.grad, factor, out=out)
    return norm


def _norm(parameters: list[Parameter], scale: float = 1.0) -> float:
    """Return the norm of all gradients, computed of `scale` times them."""
    with np.errstate(over="ignore"):
        return sqrt(sum(_square_sums(parameters, scale))) / scale


def _square_sums(parameters: list[Parameter], scale: float) -> list[float]:
    """Return the sum of the squares of `scale` times each gradient; the host waits once for each device."""
    sums: dict[backend.Device, list[Array]] = {}
    for parameter in parameters:
        device = backend.device_of(parameter.data)
        with device.active():
            sums.setdefault(device, []).append(_square_sum(parameter.grad, scale))
    return [value for device, scalars in sums.items() for value in device.read(*scalars, dtype="float64")]


def _square_sum(array: Array, scale: float) -> Array:
    rows = array.reshape(1) if array.ndim == 0 else array
    count = max(1, NUMBERS_AT_A_TIME * len(rows) // max(1, rows.size))
    total: Array = 0.0
    for start in range(0, len(rows), count):
        part = rows[start : start + count].astype(np.float64) * scale
        total = total + (part * part).sum()
    return total
