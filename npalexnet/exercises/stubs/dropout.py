"""Exercise 8: dropout."""

from typing import Any

import numpy as np


def dropout(x: np.ndarray, p: float, training: bool, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
    """Set each number to 0 with probability p in training, and divide the others by 1 - p.

    So the expected value stays as it is, and in evaluation (training = False) y is x. Draw from `rng` alone, one number
    an element, so that the same seed drops the same numbers.

    Any shape -> y of the same shape, and whatever `dropout_backward` needs: a mask, for example.
    """
    raise NotImplementedError


def dropout_backward(grad_y: np.ndarray, saved: Any, p: float) -> np.ndarray:
    """Take the gradient back: it goes the way of the numbers, through the same mask with the same scale.

    `saved` is the second result of `dropout`. Any shape -> the same.
    """
    raise NotImplementedError
