"""Exercise 7: ReLU."""

import numpy as np


def relu(x: np.ndarray) -> np.ndarray:
    """Return x where it is above 0, and 0 elsewhere. Any shape -> the same; x must not be changed."""
    raise NotImplementedError


def relu_backward(grad_y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Let the gradient pass where x is above 0 (and not where it is exactly 0). Any shape -> the same."""
    raise NotImplementedError
