"""Cross-entropy, and its gradient."""

from __future__ import annotations

from math import exp, log
from typing import Any

import numpy as np

from npalexnet.naive.windows import Array


def cross_entropy(logits: Array, labels: Array, label_smoothing: float = 0.0, reduction: str = "mean") -> Array:
    """``loss[n] = -sum over k of q[n, k] * log p[n, k]`` with ``p[n, k] = exp(logits[n, k]) / sum of exp(logits[n])``.

    ``q[n, k] = (1 - e) * [k == labels[n]] + e/K`` with label smoothing e. The largest logit is subtracted from all
    first, which leaves p as it is, so that no exponential overflows.

    logits (N, K), labels (N,) -> a scalar or, for reduction "none", (N,).
    """
    N, K = logits.shape
    losses = np.zeros(N, logits.dtype)
    for n, k in np.ndindex(N, K):
        top = max(logits[n])
        log_p = logits[n, k] - top - log(sum(exp(logit - top) for logit in logits[n]))
        losses[n] -= _target(labels[n], k, K, label_smoothing) * log_p
    if reduction == "none":
        return losses
    return np.asarray(sum(losses) / (N if reduction == "mean" else 1), logits.dtype)


def cross_entropy_gradient(
    logits: Array,
    labels: Array,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    grad_losses: Array | float = 1.0,
) -> Array:
    """Differentiate `cross_entropy`: ``grad_logits[n, k] = grad_losses[n] * (p[n, k] - q[n, k])``, over N for "mean".

    logits (N, K), labels (N,), grad_losses (N,) for reduction "none", else one number -> (N, K).
    """
    N, K = logits.shape
    grad_logits = np.zeros_like(logits)
    for n, k in np.ndindex(N, K):
        top = max(logits[n])
        p = exp(logits[n, k] - top) / sum(exp(logit - top) for logit in logits[n])
        g = np.broadcast_to(grad_losses, N)[n] / (N if reduction == "mean" else 1)
        grad_logits[n, k] = g * (p - _target(labels[n], k, K, label_smoothing))
    return grad_logits


def _target(label: Any, k: int, classes: int, label_smoothing: float) -> float:
    return (1 - label_smoothing) * (k == label) + label_smoothing / classes
