from conv2d import conv2d
from conv2d_backward import conv2d_backward
from dropout import dropout, dropout_backward
from linear import linear, linear_backward
from max_pool2d import max_pool2d, max_pool2d_backward
from relu import relu, relu_backward


class Tape:
    """What to do on the way back, in the order of the way there."""

    def __init__(self, x, weights):
        self.x, self.weights, self.back, self.gradients = x, weights, [], {}

    def _parameters(self, name):
        return self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]

    def _keep(self, name, gradients):
        grad, self.gradients[f"{name}.weight"], self.gradients[f"{name}.bias"] = gradients
        return grad

    def conv(self, name, stride, padding):
        x, (weight, bias) = self.x, self._parameters(name)
        self.x = conv2d(x, weight, bias, stride, padding)
        self.back.append(lambda g: self._keep(name, conv2d_backward(g, x, weight, stride, padding)))

    def linear(self, name):
        x, (weight, bias) = self.x, self._parameters(name)
        self.x = linear(x, weight, bias)
        self.back.append(lambda g: self._keep(name, linear_backward(g, x, weight)))

    def relu(self):
        x = self.x
        self.x = relu(x)
        self.back.append(lambda g: relu_backward(g, x))

    def pool(self):
        x = self.x
        self.x = max_pool2d(x, 3, 2)
        self.back.append(lambda g: max_pool2d_backward(g, x, 3, 2))

    def drop(self, p, training, rng):
        self.x, saved = dropout(self.x, p, training, rng)
        self.back.append(lambda g: dropout_backward(g, saved, p))

    def flatten(self):
        shape = self.x.shape
        self.x = self.x.reshape(shape[0], -1)
        self.back.append(lambda g: g.reshape(shape))


def forward(images, weights, p, training, rng):
    tape = Tape(images, weights)
    for name, stride, padding in (("layers.0", 4, 0), ("layers.3", 1, 2)):
        tape.conv(name, stride, padding)
        tape.relu()
        tape.pool()
    for name in ("layers.6", "layers.8", "layers.10"):
        tape.conv(name, 1, 1)
        tape.relu()
    tape.pool()
    tape.flatten()
    for name in ("classifier.1", "classifier.4"):
        tape.drop(p, training, rng)
        tape.linear(name)
        tape.relu()
    tape.linear("classifier.6")
    return tape.x, tape


def backward(grad_logits, tape, weights):
    grad = grad_logits
    for step in reversed(tape.back):
        grad = step(grad)
    return tape.gradients
