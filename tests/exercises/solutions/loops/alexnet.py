from conv2d import conv2d
from conv2d_backward import conv2d_backward
from dropout import dropout, dropout_backward
from linear import linear, linear_backward
from max_pool2d import max_pool2d, max_pool2d_backward
from relu import relu, relu_backward


def forward(images, weights, p, training, rng):
    def parameters(name):
        return weights[f"{name}.weight"], weights[f"{name}.bias"]

    c1 = conv2d(images, *parameters("layers.0"), 4, 0)
    a1 = relu(c1)
    p1 = max_pool2d(a1, 3, 2)
    c2 = conv2d(p1, *parameters("layers.3"), 1, 2)
    a2 = relu(c2)
    p2 = max_pool2d(a2, 3, 2)
    c3 = conv2d(p2, *parameters("layers.6"), 1, 1)
    a3 = relu(c3)
    c4 = conv2d(a3, *parameters("layers.8"), 1, 1)
    a4 = relu(c4)
    c5 = conv2d(a4, *parameters("layers.10"), 1, 1)
    a5 = relu(c5)
    p5 = max_pool2d(a5, 3, 2)
    d1, mask1 = dropout(p5.reshape(len(p5), -1), p, training, rng)
    h1 = linear(d1, *parameters("classifier.1"))
    d2, mask2 = dropout(relu(h1), p, training, rng)
    h2 = linear(d2, *parameters("classifier.4"))
    a7 = relu(h2)
    logits = linear(a7, *parameters("classifier.6"))
    return logits, (images, c1, a1, p1, c2, a2, p2, c3, a3, c4, a4, c5, a5, p5, d1, mask1, h1, d2, mask2, h2, a7, p)


def backward(grad_logits, saved, weights):
    images, c1, a1, p1, c2, a2, p2, c3, a3, c4, a4, c5, a5, p5, d1, mask1, h1, d2, mask2, h2, a7, p = saved
    gradients = {}

    def through_linear(grad, x, name):
        grad, gradients[f"{name}.weight"], gradients[f"{name}.bias"] = linear_backward(
            grad, x, weights[f"{name}.weight"]
        )
        return grad

    def through_conv(grad, x, name, stride, padding):
        grad, gradients[f"{name}.weight"], gradients[f"{name}.bias"] = conv2d_backward(
            grad, x, weights[f"{name}.weight"], stride, padding
        )
        return grad

    grad = relu_backward(through_linear(grad_logits, a7, "classifier.6"), h2)
    grad = dropout_backward(through_linear(grad, d2, "classifier.4"), mask2, p)
    grad = dropout_backward(through_linear(relu_backward(grad, h1), d1, "classifier.1"), mask1, p)
    grad = max_pool2d_backward(grad.reshape(p5.shape), a5, 3, 2)
    grad = through_conv(relu_backward(grad, c5), a4, "layers.10", 1, 1)
    grad = through_conv(relu_backward(grad, c4), a3, "layers.8", 1, 1)
    grad = through_conv(relu_backward(grad, c3), p2, "layers.6", 1, 1)
    grad = relu_backward(max_pool2d_backward(grad, a2, 3, 2), c2)
    grad = through_conv(grad, p1, "layers.3", 1, 2)
    grad = relu_backward(max_pool2d_backward(grad, a1, 3, 2), c1)
    through_conv(grad, images, "layers.0", 4, 0)
    return gradients
