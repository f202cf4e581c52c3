"""AlexNet, as in figure 2 of the paper, on one device.

    A. Krizhevsky, I. Sutskever and G. Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", 2012.

The paper's two columns of kernels, which shared the work between two GPUs, are one here (no grouping), and its local
response normalisation, which later work found to change little, is left out; `LocalResponseNorm` is there to add it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from npalexnet.backend import Array
from npalexnet.checks import integer
from npalexnet.layers import sharding
from npalexnet.layers.activation import Flatten, ReLU
from npalexnet.layers.conv import Conv2d
from npalexnet.layers.dropout import Dropout
from npalexnet.layers.geometry import check_images
from npalexnet.layers.init import Seed, generator, initialize
from npalexnet.layers.layer import Layer
from npalexnet.layers.linear import Linear
from npalexnet.layers.parameter import Parameter, Shape
from npalexnet.layers.pooling import MaxPool2d
from npalexnet.layers.sequential import Sequential

IMAGE_SIZE = 227


class AlexNet(Layer):
    """Five convolutions and three linear layers: (N, 3, 227, 227) -> (N, num_classes) logits.

    Parameters
    ----------
    num_classes : int
        Width of the last layer.
    dropout : float
        Probability that a number in front of the first two linear layers is dropped in training.
    dtype : {"float32", "float64"}
        Of the parameters, the images and the logits. Float32 parameters take images of float16 and bfloat16, too: see
        `Conv2d`.
    device : str
        Where the parameters live: "cpu", "cuda", "cuda:1", or "auto" (a GPU where one is usable, else the CPU).
    seed : int, numpy.random.Generator or None
        Where the initial parameters and the dropout masks come from; None: unpredictable.
    init : {"torch", "paper", "he", "xavier"}
        How the parameters are drawn, see `npalexnet.layers.init`.

    Attributes
    ----------
    layers, classifier : Sequential
        The convolutional part, (N, 3, 227, 227) -> (N, 256*6*6), and the fully connected part.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        dropout: float = 0.5,
        dtype: str | np.dtype = "float32",
        device: str = "cpu",
        seed: Seed = 0,
        init: str = "torch",
    ) -> None:
        num_classes = integer("num_classes", num_classes, 1)
        rng = generator(seed)
        new: dict[str, Any] = {"dtype": dtype, "device": device, "seed": rng}
        self.layers = Sequential(  #                                         3 x 227 x 227
            Conv2d(3, 96, kernel_size=11, stride=4, **new),  #              96 x  55 x  55
            ReLU(),
            MaxPool2d(kernel_size=3, stride=2),  #                          96 x  27 x  27
            Conv2d(96, 256, kernel_size=5, padding=2, **new),  #           256 x  27 x  27
            ReLU(),
            MaxPool2d(kernel_size=3, stride=2),  #                         256 x  13 x  13
            Conv2d(256, 384, kernel_size=3, padding=1, **new),  #          384 x  13 x  13
            ReLU(),
            Conv2d(384, 384, kernel_size=3, padding=1, **new),  #          384 x  13 x  13
            ReLU(),
            Conv2d(384, 256, kernel_size=3, padding=1, **new),  #          256 x  13 x  13
            ReLU(),
            MaxPool2d(kernel_size=3, stride=2),  #                         256 x   6 x   6
            Flatten(),  #                                                 9216
        )
        self.classifier = Sequential(
            Dropout(dropout, seed=rng),
            Linear(256 * 6 * 6, 4096, **new),
            ReLU(),
            Dropout(dropout, seed=rng),
            Linear(4096, 4096, **new),
            ReLU(),
            Linear(4096, num_classes, **new),
        )
        if init != "torch":
            initialize(self, init, rng)
        if init == "paper":  # section 5: these start with inputs that their ReLU lets through
            shifted = [f"{name}.bias" for name in ("layers.3", "layers.8", "layers.10", "classifier.1", "classifier.4")]
            biases = {name: p for name, p in self.named_parameters() if name in shifted}
            self.load_state_dict({name: np.ones(p.shape, p.dtype) for name, p in biases.items()}, strict=False)

    def compute(self, x: Array, noise: Any = None) -> tuple[Array, Any]:
        """Forward through both parts."""
        layers_noise, classifier_noise = noise or (None, None)
        features, layers_saved = sharding.forward(self.layers, x, layers_noise)  # (N, 9216)
        logits, classifier_saved = sharding.forward(self.classifier, features, classifier_noise)  # (N, num_classes)
        return logits, (layers_saved, classifier_saved)

    def gradients(self, grad_y: Array, saved: Any) -> tuple[Array, list[tuple[Parameter, Array]]]:
        """Backward through both parts."""
        return self._gradients(grad_y, saved, input_gradient=True)

    def parameter_gradients(self, grad_y: Array, saved: Any) -> list[tuple[Parameter, Array]]:
        """Backward through both parts, but not to the images."""
        return self._gradients(grad_y, saved, input_gradient=False)[1]

    def _gradients(
        self, grad_y: Array, saved: Any, input_gradient: bool
    ) -> tuple[Array, list[tuple[Parameter, Array]]]:
        layers_saved, classifier_saved = saved
        deeper = input_gradient or self.layers.trainable
        grad_features, classifier_gradients = sharding.backward(self.classifier, grad_y, classifier_saved, deeper)
        grad_images, layers_gradients = sharding.backward(self.layers, grad_features, layers_saved, input_gradient)
        return grad_images, layers_gradients + classifier_gradients

    def infer(self, x: Array, noise: Any = None) -> Array:
        """Forward through both parts, keeping nothing."""
        layers_noise, classifier_noise = noise or (None, None)
        return sharding.infer(self.classifier, sharding.infer(self.layers, x, layers_noise), classifier_noise)

    def draw_noise(self) -> tuple[Any, Any]:
        """Draw both parts'."""
        return self.layers.draw_noise(), self.classifier.draw_noise()

    def output_shape(self, input_shape: Shape) -> Shape:
        """(N, 3, 227, 227) -> (N, num_classes)."""
        check_images("AlexNet", input_shape, channels=3)
        try:
            return self.classifier.output_shape(self.layers.output_shape(input_shape))
        except ValueError:
            raise ValueError(
                f"AlexNet expects images of {IMAGE_SIZE} x {IMAGE_SIZE} (from {IMAGE_SIZE} to 258 each way the last "
                f"pooling gives the 6 x 6 that the classifier needs), got an input of shape {input_shape}"
            ) from None

    def multiply_adds(self, input_shape: Shape) -> int:
        """Sum over the layers."""
        return self.layers.multiply_adds(input_shape) + self.classifier.multiply_adds(
            self.layers.output_shape(input_shape)
        )

    def __repr__(self) -> str:
        return "\n".join(
            ["AlexNet("]
            + [f"  ({name}): {child!r}".replace("\n", "\n  ") for name, child in self.named_children()]
            + [")"]
        )
