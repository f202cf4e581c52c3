"""The loss that a classifier is trained on."""

from __future__ import annotations

import numpy as np

from npalexnet import backend
from npalexnet.backend import Array, primitive
from npalexnet.checks import number

REDUCTIONS = ("mean", "sum", "none")


def log_softmax(logits: Array) -> Array:
    """(N, K) -> (N, K): the logarithm of ``exp(logits[n, k]) / sum over j of exp(logits[n, j])``.

    It is computed from ``logits - max(logits)``, so that no exponential overflows, and of 16-bit numbers in float32.
    """
    xp = backend.array_module(logits)
    logits = logits.astype(backend.accumulation_dtype(logits.dtype), copy=False)
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - xp.log(xp.exp(shifted).sum(axis=1, keepdims=True))


@primitive
def cross_entropy(logits: Array, labels: Array, label_smoothing: float) -> tuple[Array, Array]:
    """(N, K), (N,) -> the losses, (N,), and the log-probabilities, (N, K)."""
    log_probabilities = log_softmax(logits)  # (N, K)
    losses = -log_probabilities[backend.array_module(logits).arange(len(labels)), labels]  # (N,)
    if label_smoothing:
        losses = (1 - label_smoothing) * losses - label_smoothing * log_probabilities.mean(axis=1)
    return losses, log_probabilities


@primitive
def cross_entropy_gradient(
    grad_losses: Array, log_probabilities: Array, labels: Array, label_smoothing: float, dtype: np.dtype
) -> Array:
    """(N,) -> (N, K), of `dtype`: ``grad_logits = grad_losses * (softmax(logits) - q)``."""
    xp = backend.array_module(log_probabilities)
    grad_logits = xp.exp(log_probabilities)  # (N, K)
    grad_logits -= label_smoothing / grad_logits.shape[1]
    grad_logits[xp.arange(len(labels)), labels] -= 1 - label_smoothing
    grad_logits *= grad_losses[:, None]
    return grad_logits.astype(dtype, copy=False)


class CrossEntropyLoss:
    """Cross-entropy of softmax(logits) against class labels, as ``torch.nn.CrossEntropyLoss``.

    ``loss[n] = -sum over k of q[n, k] * log(softmax(logits[n])[k])`` for K classes and label smoothing e, with
    ``q[n, k] = (1 - e) * [k == labels[n]] + e/K``.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
        What becomes of the N losses.
    label_smoothing : float
        e, from 0 to 1.

    References
    ----------
    C. Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2016, section 7: label smoothing.
    """

    def __init__(self, *, reduction: str = "mean", label_smoothing: float = 0.0) -> None:
        if reduction not in REDUCTIONS:
            raise ValueError(f"reduction must be one of {', '.join(map(repr, REDUCTIONS))}, got {reduction!r}")
        self.reduction = reduction
        self.label_smoothing = number("label_smoothing", label_smoothing)
        if not 0 <= self.label_smoothing <= 1:
            raise ValueError(f"label_smoothing must be from 0 to 1, got {label_smoothing}")
        self._last_call: tuple[Array, Array, np.dtype] | None = None

    # --- the stateless core -----------------------------------------------------------------------------------------

    def compute(self, logits: Array, labels: Array) -> tuple[Array, tuple[Array, Array, np.dtype]]:
        """(N, K), (N,) -> (N,) losses, and what `gradients` needs."""
        losses, log_probabilities = cross_entropy(logits, labels, self.label_smoothing)
        return losses, (log_probabilities, labels, logits.dtype)

    def gradients(self, grad_losses: Array, saved: tuple[Array, Array, np.dtype]) -> Array:
        """(N,) -> (N, K): ``grad_logits = grad_losses * (softmax(logits) - q)``."""
        log_probabilities, labels, dtype = saved
        return cross_entropy_gradient(grad_losses, log_probabilities, labels, self.label_smoothing, dtype)

    # --- the public interface ------------------------------------------------------------------------------------

    def __call__(self, logits: Array, labels: Array) -> Array:
        """Call `forward`."""
        return self.forward(logits, labels)

    def forward(self, logits: Array, labels: Array) -> Array:
        """Return the loss and remember what `backward` needs.

        Parameters
        ----------
        logits : array
            (N, K) of floating-point numbers: each image's score for each class.
        labels : array
            (N,) of integers from 0 to K - 1, on the same device.

        Returns
        -------
        array
            A scalar, or (N,) for ``reduction="none"``, of the logits' dtype; float32 for logits of 16 bits.

        Raises
        ------
        TypeError, ValueError
            If shapes, dtypes or devices don't fit, or a label is no class.
        """
        logits, labels = self._checked(logits, labels)
        with backend.device_of(logits).active():
            losses, self._last_call = self.compute(logits, labels)
            if self.reduction == "none":
                return losses
            return losses.mean() if self.reduction == "mean" else losses.sum()

    def backward(self, grad_loss: Array | None = None) -> Array:
        """Return the gradient of the last forward call's logits.

        Parameters
        ----------
        grad_loss : array or float, optional
            Gradient of what `forward` returned: (N,) for ``reduction="none"``, else a scalar; 1 by default.

        Returns
        -------
        array
            (N, K), of the logits' dtype.

        Raises
        ------
        RuntimeError
            Without a forward call since the last backward.
        ValueError
            If `grad_loss` has not the loss's shape.
        """
        if self._last_call is None:
            raise RuntimeError("CrossEntropyLoss.backward() needs a forward call before it, one for each backward")
        log_probabilities, labels, _ = saved = self._last_call
        xp = backend.array_module(log_probabilities)
        if grad_loss is None and self.reduction != "none":
            grad_loss = 1.0
        expected = (len(labels),) if self.reduction == "none" else ()
        if not isinstance(grad_loss, int | float | np.number | None):
            grad_loss = backend.check_array(
                grad_loss, "CrossEntropyLoss's loss gradient", device=backend.device_of(log_probabilities)
            )
        if grad_loss is None or getattr(grad_loss, "shape", ()) != expected:
            given = "nothing" if grad_loss is None else f"shape {getattr(grad_loss, 'shape', ())}"
            raise ValueError(f"grad_loss must have the loss's shape {expected}, got {given}")
        self._last_call = None
        with backend.device_of(log_probabilities).active():
            share = 1 / len(labels) if self.reduction == "mean" else 1.0
            grad_losses = xp.full(len(labels), share, log_probabilities.dtype) * grad_loss
            return self.gradients(grad_losses.astype(log_probabilities.dtype, copy=False), saved)

    def _checked(self, logits: Array, labels: Array) -> tuple[Array, Array]:
        """Return both as plain arrays; raise if they don't fit."""
        logits = backend.check_array(logits, "CrossEntropyLoss's logits")
        if logits.ndim != 2 or 0 in logits.shape:
            raise ValueError(
                f"CrossEntropyLoss expects logits of shape (N, K) with at least one image, got {logits.shape}"
            )
        labels = backend.plain_array(labels, "CrossEntropyLoss's labels", "int64")
        home = backend.device_of(labels)
        if home is not backend.device_of(logits):
            raise ValueError(
                f"CrossEntropyLoss's labels are on {home.name!r}, expected them on {backend.device_of(logits).name!r}"
            )
        if labels.dtype.kind not in "iu":
            advice = ": cast them by .astype('int64')" if labels.dtype.kind in "bf" and labels.ndim == 1 else ""
            raise TypeError(f"CrossEntropyLoss expects integer labels, got dtype {labels.dtype}{advice}")
        if labels.shape != logits.shape[:1]:
            raise ValueError(f"CrossEntropyLoss expects labels of shape {logits.shape[:1]}, got {labels.shape}")
        with home.active():
            smallest, largest = home.read(labels.min(), labels.max(), dtype=labels.dtype)
        if smallest < 0 or largest >= logits.shape[1]:
            wrong = smallest if smallest < 0 else largest
            raise ValueError(f"CrossEntropyLoss expects labels from 0 to {logits.shape[1] - 1}, got {wrong}")
        return logits, labels

    def __repr__(self) -> str:
        return f"CrossEntropyLoss(reduction={self.reduction!r}, label_smoothing={self.label_smoothing})"
