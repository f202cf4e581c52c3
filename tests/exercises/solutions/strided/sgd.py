def sgd_step(weight, gradient, velocity, lr, momentum):
    velocity *= momentum
    velocity += gradient
    weight -= lr * velocity
    return weight, velocity
