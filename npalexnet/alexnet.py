"""AlexNet, as in figure 2 of the paper.

    A. Krizhevsky, I. Sutskever and G. Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", 2012.

Three things differ. The paper speaks of 224 x 224 pixels; it is 227 that give its figure's 55 x 55. Its two columns,
which shared the work between two GPUs, are one here (no grouping). Its local response normalisation is left out, for
its effect is small; `LocalResponseNorm` is there to add it. (And ``init="paper"`` is not the default.)
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np

from npalexnet.checks import integer
from npalexnet.layers.activation import Flatten, ReLU
from npalexnet.layers.conv import Conv2d
from npalexnet.layers.dropout import Dropout
from npalexnet.layers.init import Seed, generator, initialize
from npalexnet.layers.linear import Linear
from npalexnet.layers.parameter import Shape
from npalexnet.layers.pooling import MaxPool2d
from npalexnet.layers.sequential import Sequential
from npalexnet.windows import layout_advice

IMAGE_SIZE = 227
# Initialised by the paper (section 5) with 1: the second, fourth and fifth convolutions, the hidden linear layers.
BIASES_OF_ONE = ("layers.3.bias", "layers.8.bias", "layers.10.bias", "classifier.1.bias", "classifier.4.bias")


class AlexNet(Sequential):
    """Five convolutions and three linear layers: (N, 3, 227, 227) -> (N, num_classes) logits.

    Parameters
    ----------
    num_classes : int
        Number of outputs.
    dropout : float
        Probability that an input of the first two linear layers is dropped in training.
    dtype : {"float32", "float64"}
        Dtype of the parameters, the images and the logits. Float32 parameters also take images of float16 and
        bfloat16: see `Conv2d`.
    device : str
        Where the parameters are: "cpu", "cuda", "cuda:1", or "auto" (a GPU if one is usable, else the CPU).
    seed : int, numpy.random.Generator or None
        Source of the initial parameters and of the dropout masks; None for a random seed.
    init : {"torch", "paper", "he", "xavier"}
        How the parameters are initialised, see `npalexnet.layers.init`. The default is that of ``npalexnet train``.

    Attributes
    ----------
    layers, classifier : Sequential
        The convolutional part, (N, 3, 227, 227) -> (N, 9216), and the fully connected part.
    """

    layers: Sequential
    classifier: Sequential

    def __init__(
        self,
        num_classes: int = 1000,
        dropout: float = 0.5,
        dtype: str | np.dtype = "float32",
        device: str = "cpu",
        seed: Seed = 0,
        init: str = "he",
    ) -> None:
        num_classes = integer("num_classes", num_classes, 1)
        rng = generator(seed)
        new: dict[str, Any] = {"dtype": dtype, "device": device, "seed": rng}
        super().__init__(
            layers=Sequential(  #                                            3 x 227 x 227
                Conv2d(3, 96, kernel_size=11, stride=4, **new),  #          96 x  55 x  55
                ReLU(),
                MaxPool2d(kernel_size=3, stride=2),  #                      96 x  27 x  27
                Conv2d(96, 256, kernel_size=5, padding=2, **new),  #       256 x  27 x  27
                ReLU(),
                MaxPool2d(kernel_size=3, stride=2),  #                     256 x  13 x  13
                Conv2d(256, 384, kernel_size=3, padding=1, **new),  #      384 x  13 x  13
                ReLU(),
                Conv2d(384, 384, kernel_size=3, padding=1, **new),  #      384 x  13 x  13
                ReLU(),
                Conv2d(384, 256, kernel_size=3, padding=1, **new),  #      256 x  13 x  13
                ReLU(),
                MaxPool2d(kernel_size=3, stride=2),  #                     256 x   6 x   6
                Flatten(),  #                                             9216
            ),
            classifier=Sequential(
                Dropout(dropout, seed=rng),
                Linear(256 * 6 * 6, 4096, **new),
                ReLU(),
                Dropout(dropout, seed=rng),
                Linear(4096, 4096, **new),
                ReLU(),
                Linear(4096, num_classes, **new),
            ),
        )
        if init != "torch":
            initialize(self, init, rng, ones=BIASES_OF_ONE if init == "paper" else ())

    def output_shape(self, input_shape: Shape) -> Shape:
        """(N, 3, 227, 227) -> (N, num_classes)."""
        if self._fits(input_shape):
            return super().output_shape(input_shape)
        raise ValueError(
            f"AlexNet expects images of shape (N, 3, {IMAGE_SIZE}, {IMAGE_SIZE}) (up to 258 each way will do: the last "
            f"pooling still gives 6 x 6), got an input of shape {input_shape}"
            f"{layout_advice(input_shape, self._fits)}"
        )

    def _fits(self, input_shape: Shape) -> bool:
        if len(input_shape) == 4 and input_shape[1] == 3:
            with suppress(ValueError):
                super().output_shape(input_shape)
                return True
        return False
