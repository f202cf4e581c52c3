"""AlexNet, as in figure 2 of the paper.

    A. Krizhevsky, I. Sutskever and G. Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", 2012.

Four things differ in the default network, `seed`. The paper speaks of 224 x 224 pixels; it is 227 that give its
figure's 55 x 55. Its two columns, which shared the work between two GPUs, are one here (no grouping). Its local
response normalisation is left out, for its effect is small. Dropout stands before the hidden linear layers, as in
torchvision's network, not after them. (And ``init="paper"`` is not the default.)

Other networks that are called AlexNet, the paper's as printed among them, are in `variants/`; `VARIANTS` lists all.
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from npalexnet.checks import integer, number
from npalexnet.layers.activation import Flatten, ReLU
from npalexnet.layers.init import Seed, generator, initialize, initialize_as
from npalexnet.layers.parameter import Shape
from npalexnet.layers.pooling import MaxPool2d
from npalexnet.layers.sequential import Sequential
from npalexnet.layers.summary import Summary, summarize
from npalexnet.variants.caffe import CAFFE, CAFFENET
from npalexnet.variants.one_weird_trick import ONE_WEIRD_TRICK
from npalexnet.variants.paper import PAPER
from npalexnet.variants.released import RELEASED
from npalexnet.variants.torchvision import TORCHVISION
from npalexnet.variants.variant import Makers, Parts, Variant
from npalexnet.windows import layout_advice

IMAGE_SIZE = 227  # of the default network


def seed(make: Makers) -> Parts:
    """The default network: (N, 3, 227, 227) -> (N, num_classes) logits."""
    conv, linear = make.conv, make.linear
    return {
        "layers": Sequential(  #                                            3 x 227 x 227
            conv(3, 96, kernel_size=11, stride=4),  #                      96 x  55 x  55
            ReLU(),
            MaxPool2d(kernel_size=3, stride=2),  #                         96 x  27 x  27
            conv(96, 256, kernel_size=5, padding=2),  #                   256 x  27 x  27
            ReLU(),
            MaxPool2d(kernel_size=3, stride=2),  #                        256 x  13 x  13
            conv(256, 384, kernel_size=3, padding=1),  #                  384 x  13 x  13
            ReLU(),
            conv(384, 384, kernel_size=3, padding=1),  #                  384 x  13 x  13
            ReLU(),
            conv(384, 256, kernel_size=3, padding=1),  #                  256 x  13 x  13
            ReLU(),
            MaxPool2d(kernel_size=3, stride=2),  #                        256 x   6 x   6
            Flatten(),  #                                                9216
        ),
        "classifier": Sequential(
            make.drop(),
            linear(256 * 6 * 6, 4096),
            ReLU(),
            make.drop(),
            linear(4096, 4096),
            ReLU(),
            linear(4096, make.num_classes),
        ),
    }


SEED = Variant(
    summary="npalexnet's default: one column, no response normalisation",
    figure=seed,
    image_size=IMAGE_SIZE,
    sizes=range(227, 259),
    initial=((0.01, 0), (0.01, 1), (0.01, 0), (0.01, 1), (0.01, 1), (0.01, 1), (0.01, 1), (0.01, 0)),
)
VARIANTS = {
    "seed": SEED,
    "paper": PAPER,
    "released": RELEASED,
    "caffe": CAFFE,
    "caffenet": CAFFENET,
    "torchvision": TORCHVISION,
    "one-weird-trick": ONE_WEIRD_TRICK,
}


class AlexNet(Sequential):
    """Five convolutions and three linear layers: (N, 3, 227, 227) -> (N, num_classes) logits.

    Parameters
    ----------
    num_classes : int
        Number of outputs.
    dropout : float
        Probability that a number is dropped in training, where the network has dropout.
    dtype : {"float32", "float64"}
        Dtype of the parameters, the images and the logits. Float32 parameters also take images of float16 and
        bfloat16: see `Conv2d`.
    device : str
        Where the parameters are: "cpu", "cuda", "cuda:1", or "auto" (a GPU if one is usable, else the CPU).
    seed : int, numpy.random.Generator or None
        Source of the initial parameters and of the dropout masks; None for a random seed.
    init : {"torch", "paper", "he", "xavier"}
        How the parameters are initialised, see `npalexnet.layers.init`; "paper" is what the variant's own source does.
        The default is that of ``npalexnet train``.
    variant : str
        Which of the networks that are called AlexNet: a key of `VARIANTS`. The others are in `npalexnet.variants`.

    Attributes
    ----------
    layers, classifier : Sequential
        The convolutional part, (N, 3, 227, 227) -> (N, 9216), and the fully connected part. "torchvision" has
        ``features``, ``avgpool`` and ``flatten`` instead of ``layers``.
    variant : str
        As given.
    image_size : int
        Pixels along each side of the variant's images; ``VARIANTS[variant].sizes`` are all that it takes.
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
        *,
        variant: str = "seed",
    ) -> None:
        described = described_variant(variant)
        num_classes = integer("num_classes", num_classes, 1)
        if not 0 <= number("dropout", dropout) <= 1:
            raise ValueError(f"dropout must be from 0 to 1, got {dropout}")
        rng = generator(seed)
        super().__init__(
            **described.figure(Makers(num_classes, dropout, {"dtype": dtype, "device": device, "seed": rng}))
        )
        self.variant, self.image_size = variant, described.image_size
        if init == "paper" and described.initial is not None:
            initialize_as(self, described.initial, rng)
        elif init not in ("torch", "paper"):  # layers are made as torch makes them
            initialize(self, init, rng)

    def output_shape(self, input_shape: Shape) -> Shape:
        """(N, 3, 227, 227) -> (N, num_classes)."""
        if self._fits(input_shape):
            return super().output_shape(input_shape)
        size, sizes = self.image_size, VARIANTS[self.variant].sizes
        others = f"any from {sizes[0]} pixels"
        if self.variant != "torchvision":
            others = f"up to {sizes[-1]} each way will do: the last pooling still gives 6 x 6"
        raise ValueError(
            f"AlexNet expects images of shape (N, 3, {size}, {size}) ({others}), got an input of shape {input_shape}"
            f"{layout_advice(input_shape, self._fits)}"
        )

    def summary(self, batch_size: int = 1) -> Summary:
        """Return the layers with their output shapes, parameters, multiply-adds and memory: a table, if printed."""
        size = self.image_size
        shape = integer("batch_size", batch_size, 1), 3, size, size
        return Summary(list(summarize(self, shape, np.dtype(self.dtype).itemsize)))

    def _fits(self, input_shape: Shape) -> bool:
        if len(input_shape) == 4 and input_shape[1] == 3:
            with suppress(ValueError):
                super().output_shape(input_shape)
                return True
        return False


def described_variant(name: str) -> Variant:
    """Return what `VARIANTS` has of a name, or raise a ValueError with all names."""
    if not isinstance(name, str) or name not in VARIANTS:
        raise ValueError(f"variant must be one of {', '.join(map(repr, VARIANTS))}, got {name!r}")
    return VARIANTS[name]
