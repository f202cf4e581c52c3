import numpy as np
from conv2d import conv2d
from conv2d_backward import conv2d_backward
from dropout import dropout, dropout_backward
from linear import linear, linear_backward
from max_pool2d import max_pool2d, max_pool2d_backward
from relu import relu, relu_backward

CONVOLUTIONS = {"layers.0": (4, 0), "layers.3": (1, 2), "layers.6": (1, 1), "layers.8": (1, 1), "layers.10": (1, 1)}
POOLED = ("layers.0", "layers.3", "layers.10")
LINEAR = ("classifier.1", "classifier.4", "classifier.6")


def forward(images, weights, p, training, rng):
    x, saved = images, {"p": p}
    for name, (stride, padding) in CONVOLUTIONS.items():
        y = conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], stride, padding)
        saved[name] = x, y
        x = relu(y)
        if name in POOLED:
            saved[f"{name} pooled"] = x
            x = max_pool2d(x, 3, 2)
    saved["shape"] = x.shape
    x = np.reshape(x, (len(x), -1))
    for name in LINEAR:
        mask = None
        if name != LINEAR[-1]:
            x, mask = dropout(x, p, training, rng)
        y = linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])
        saved[name] = x, y, mask
        x = y if name == LINEAR[-1] else relu(y)
    return x, saved


def backward(grad_logits, saved, weights):
    grad, found, p = grad_logits, {}, saved["p"]
    for name in reversed(LINEAR):
        x, y, mask = saved[name]
        if name != LINEAR[-1]:
            grad = relu_backward(grad, y)
        grad, found[f"{name}.weight"], found[f"{name}.bias"] = linear_backward(grad, x, weights[f"{name}.weight"])
        if name != LINEAR[-1]:
            grad = dropout_backward(grad, mask, p)
    grad = grad.reshape(saved["shape"])
    for name in reversed(CONVOLUTIONS):
        x, y = saved[name]
        if name in POOLED:
            grad = max_pool2d_backward(grad, saved[f"{name} pooled"], 3, 2)
        grad = relu_backward(grad, y)
        stride, padding = CONVOLUTIONS[name]
        three = conv2d_backward(grad, x, weights[f"{name}.weight"], stride, padding)
        grad, found[f"{name}.weight"], found[f"{name}.bias"] = three
    return found
