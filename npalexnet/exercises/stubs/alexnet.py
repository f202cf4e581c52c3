"""Exercise 11: AlexNet, put together from your own functions.

The layers, with the names of their weights (npalexnet's own, so that you can give it a trained network's):

    conv2d "layers.0", stride 4, padding 0    relu    max_pool2d 3, stride 2
    conv2d "layers.3", stride 1, padding 2    relu    max_pool2d 3, stride 2
    conv2d "layers.6", stride 1, padding 1    relu
    conv2d "layers.8", stride 1, padding 1    relu
    conv2d "layers.10", stride 1, padding 1   relu    max_pool2d 3, stride 2
    reshape (N, C, H, W) to (N, C*H*W)
    dropout    linear "classifier.1"          relu
    dropout    linear "classifier.4"          relu
               linear "classifier.6"

`weights` is a dict with, for each of the eight, "layers.0.weight", "layers.0.bias" and so on. Widths are those of the
weights: don't write numbers of channels into the code. (The check uses a narrow network, and grey images of 67 x 67
pixels.)
"""

from typing import Any

import numpy as np

# from conv2d import conv2d
# from conv2d_backward import conv2d_backward
# from dropout import dropout, dropout_backward
# from linear import linear, linear_backward
# from max_pool2d import max_pool2d, max_pool2d_backward
# from relu import relu, relu_backward


def forward(
    images: np.ndarray, weights: dict[str, np.ndarray], p: float, training: bool, rng: np.random.Generator
) -> tuple[np.ndarray, Any]:
    """Compute the logits.

    `p`, `training` and `rng` are dropout's. images (N, C, H, W) -> logits (N, classes), and whatever `backward` needs:
    the input of each layer, for example.
    """
    raise NotImplementedError


def backward(grad_logits: np.ndarray, saved: Any, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Compute the gradient of every weight, layer by layer from the end.

    `saved` is the second result of `forward`. grad_logits (N, classes) -> a dict with the keys of `weights`, and of
    each weight the gradient, of the weight's shape.
    """
    raise NotImplementedError
