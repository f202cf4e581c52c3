"""Which exercises there are, in the order in which they build on each other."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Exercise:
    """An exercise: a file of the reader's, of the same name, with functions to be written."""

    title: str
    module: str  # in `checks/`, where its checks are
    seconds: float = 30.0  # that its functions may take, many times what plain loops need


EXERCISES = {
    "conv2d": Exercise("convolution by loops", "convolution"),
    "im2col": Exercise("windows as the rows of a matrix", "columns"),
    "col2im": Exercise("its adjoint: rows added back into an image", "columns"),
    "conv2d_backward": Exercise("the three gradients of a convolution", "convolution_backward"),
    "max_pool2d": Exercise("max-pooling, forward and backward", "pooling"),
    "linear": Exercise("a linear layer, forward and backward", "linear"),
    "relu": Exercise("ReLU, forward and backward", "activation"),
    "dropout": Exercise("dropout, forward and backward", "dropout"),
    "cross_entropy": Exercise("softmax and cross-entropy, with the gradient", "loss"),
    "sgd": Exercise("a step of SGD with momentum", "sgd"),
    "alexnet": Exercise("your own AlexNet, put together from them", "alexnet", seconds=120.0),
}
