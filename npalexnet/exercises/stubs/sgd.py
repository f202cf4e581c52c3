"""Exercise 10: a step of stochastic gradient descent with momentum."""

import numpy as np


def sgd_step(
    weight: np.ndarray, gradient: np.ndarray, velocity: np.ndarray, lr: float, momentum: float
) -> tuple[np.ndarray, np.ndarray]:
    """Change the velocity, then move the weight along it:

        velocity = momentum * velocity + gradient
        weight   = weight - lr * velocity

    (The paper has the learning rate inside of the velocity. It is the same as long as the rate stays as it is.)

    Three arrays of the same shape -> the new weight and the new velocity. The arrays may be changed in place, or not.
    """
    raise NotImplementedError
