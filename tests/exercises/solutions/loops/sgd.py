import numpy as np


def sgd_step(weight, gradient, velocity, lr, momentum):
    new_weight, new_velocity = np.zeros(weight.shape), np.zeros(weight.shape)
    for index in np.ndindex(weight.shape):
        new_velocity[index] = momentum * velocity[index] + gradient[index]
        new_weight[index] = weight[index] - lr * new_velocity[index]
    return new_weight, new_velocity
