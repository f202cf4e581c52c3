def linear(x, weight, bias):
    return x @ weight.T + bias


def linear_backward(grad_y, x, weight):
    return grad_y @ weight, grad_y.T @ x, grad_y.sum(axis=0)
