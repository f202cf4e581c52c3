"""The other networks that are called AlexNet, each as a figure: its layers in order, with the shapes that they make.

`npalexnet.alexnet` has the default, "seed", and the list of all. The differences are in the layers before the
classifier: the geometry of the first convolution, groups, and where which response normalisation stands. Dropout is
inverted in all of them, as in torch: the sources of "released" and "one-weird-trick" scale by 0.5 in evaluation
instead, so that weights of theirs need their last two linear layers' weights halved.

``conv`` and ``linear`` make layers with the parameters' dtype, device and seed; ``drop`` makes dropout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from npalexnet.layers.activation import Flatten, ReLU
from npalexnet.layers.average_pooling import AdaptiveAvgPool2d
from npalexnet.layers.conv import Conv2d
from npalexnet.layers.dropout import Dropout
from npalexnet.layers.layer import Layer
from npalexnet.layers.linear import Linear
from npalexnet.layers.normalization import LocalResponseNorm, SpatialResponseNorm
from npalexnet.layers.pooling import MaxPool2d
from npalexnet.layers.sequential import Sequential

Parts = Mapping[str, Layer]  # the parts of a network by their names, in order


@dataclass(frozen=True)
class Makers:
    """What a figure makes layers with: `settings` are the parameters' dtype, device and seed."""

    num_classes: int
    dropout: float
    settings: Mapping[str, Any]

    @property
    def conv(self) -> Callable[..., Conv2d]:
        """Make a `Conv2d`."""
        return partial(Conv2d, **self.settings)

    @property
    def linear(self) -> Callable[..., Linear]:
        """Make a `Linear`."""
        return partial(Linear, **self.settings)

    def drop(self) -> Dropout:
        """Make a `Dropout`."""
        return Dropout(self.dropout, seed=self.settings["seed"])


@dataclass(frozen=True)
class Variant:
    """A network that is called AlexNet.

    Attributes
    ----------
    summary : str
        What it is, in a line.
    figure : callable
        Makes its parts, from `Makers`.
    image_size : int
        Pixels along each side of its images, in its source.
    sizes : range
        The sizes that it can take: of the others, its linear layers would get too many numbers, or too few.
    initial : tuple of (float, float), or None
        For each convolution and linear layer in order, what its source initialises it with: the standard deviation of
        the weights, whose mean is 0, and the bias. None for torch's default.
    """

    summary: str
    figure: Callable[[Makers], Parts]
    image_size: int
    sizes: range
    initial: tuple[tuple[float, float], ...] | None


def paper(make: Makers) -> Parts:
    """The network of the paper as printed.

    224 pixels make 55 windows of 11 with stride 4 only if 3 columns are added, of which the paper says nothing: here
    2 at the left and 1 at the right. The two columns of its figure 2 are groups in the second, fourth and fifth
    convolution. Response normalisation (section 3.3) is over all channels of a layer, whichever column they are in, and
    its alpha is not divided by n. Dropout (section 4.2) is of the hidden neurons' outputs.

    References
    ----------
    A. Krizhevsky, I. Sutskever and G. Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", 2012.
    """
    conv, linear = make.conv, make.linear
    return {
        "layers": Sequential(  #                                                   3 x 224 x 224
            conv(3, 96, kernel_size=11, stride=4, padding=2),  #                  96 x  55 x  55
            ReLU(),
            LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2, divide_alpha=False),
            MaxPool2d(kernel_size=3, stride=2),  #                                96 x  27 x  27
            conv(96, 256, kernel_size=5, padding=2, groups=2),  #                256 x  27 x  27
            ReLU(),
            LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2, divide_alpha=False),
            MaxPool2d(kernel_size=3, stride=2),  #                               256 x  13 x  13
            conv(256, 384, kernel_size=3, padding=1),  #                         384 x  13 x  13
            ReLU(),
            conv(384, 384, kernel_size=3, padding=1, groups=2),  #               384 x  13 x  13
            ReLU(),
            conv(384, 256, kernel_size=3, padding=1, groups=2),  #               256 x  13 x  13
            ReLU(),
            MaxPool2d(kernel_size=3, stride=2),  #                               256 x   6 x   6
            Flatten(),  #                                                       9216
        ),
        "classifier": Sequential(
            linear(256 * 6 * 6, 4096),
            ReLU(),
            make.drop(),
            linear(4096, 4096),
            ReLU(),
            make.drop(),
            linear(4096, make.num_classes),
        ),
    }


def released(make: Makers) -> Parts:
    """The network of the source that the paper's first author released, which won the competition of 2012.

    The last windows of the first convolution hang over. Its response normalisation comes before pooling and ReLU, so
    that it sees negative numbers. Each column normalises its own channels, with alpha divided by the size and k = 2;
    behind the second convolution a normalisation over neighbouring pixels follows, with k = 1. Dropout comes after both
    hidden layers. (Pooling rounds up there, too, which makes no difference at these sizes.)

    References
    ----------
    github.com/computerhistory/AlexNet-Source-Code: ``layers/layers-145.cfg`` (the layers), ``layer-params-145.cfg``
    beside it (what normalises how), ``layer.py`` (``modulesX`` rounds up; ``scale`` is divided) and ``src/layer.cu``.
    The k = 1 over pixels is in cuda-convnet's ``kRNorm``, github.com/dnouri/cuda-convnet,
    ``src/cudaconv2/conv_util.cu``.
    """
    conv, linear = make.conv, make.linear
    return {
        "layers": Sequential(  #                                                   3 x 224 x 224
            conv(3, 96, kernel_size=11, stride=4, ceil_mode=True),  #             96 x  55 x  55
            LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2, groups=2),
            MaxPool2d(kernel_size=3, stride=2),  #                                96 x  27 x  27
            ReLU(),
            conv(96, 256, kernel_size=5, padding=2, groups=2),  #                256 x  27 x  27
            ReLU(),
            LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2, groups=2),
            SpatialResponseNorm(5, alpha=1e-3, beta=0.75, k=1),
            MaxPool2d(kernel_size=3, stride=2),  #                               256 x  13 x  13
            conv(256, 384, kernel_size=3, padding=1),  #                         384 x  13 x  13
            ReLU(),
            conv(384, 384, kernel_size=3, padding=1, groups=2),  #               384 x  13 x  13
            ReLU(),
            conv(384, 256, kernel_size=3, padding=1, groups=2),  #               256 x  13 x  13
            MaxPool2d(kernel_size=3, stride=2),  #                               256 x   6 x   6
            ReLU(),
            Flatten(),  #                                                       9216
        ),
        "classifier": Sequential(
            linear(256 * 6 * 6, 4096),
            ReLU(),
            make.drop(),
            linear(4096, 4096),
            ReLU(),
            make.drop(),
            linear(4096, make.num_classes),
        ),
    }


def caffe(make: Makers) -> Parts:
    """Caffe's AlexNet, ``bvlc_alexnet``: the paper's for 227 pixels, with k = 1 and alpha divided by the size.

    References
    ----------
    github.com/BVLC/caffe, ``models/bvlc_alexnet/train_val.prototxt`` and ``src/caffe/layers/lrn_layer.cpp``.
    """
    conv, linear = make.conv, make.linear
    return {
        "layers": Sequential(  #                                                   3 x 227 x 227
            conv(3, 96, kernel_size=11, stride=4),  #                             96 x  55 x  55
            ReLU(),
            LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1),
            MaxPool2d(kernel_size=3, stride=2),  #                                96 x  27 x  27
            conv(96, 256, kernel_size=5, padding=2, groups=2),  #                256 x  27 x  27
            ReLU(),
            LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1),
            MaxPool2d(kernel_size=3, stride=2),  #                               256 x  13 x  13
            conv(256, 384, kernel_size=3, padding=1),  #                         384 x  13 x  13
            ReLU(),
            conv(384, 384, kernel_size=3, padding=1, groups=2),  #               384 x  13 x  13
            ReLU(),
            conv(384, 256, kernel_size=3, padding=1, groups=2),  #               256 x  13 x  13
            ReLU(),
            MaxPool2d(kernel_size=3, stride=2),  #                               256 x   6 x   6
            Flatten(),  #                                                       9216
        ),
        "classifier": Sequential(
            linear(256 * 6 * 6, 4096),
            ReLU(),
            make.drop(),
            linear(4096, 4096),
            ReLU(),
            make.drop(),
            linear(4096, make.num_classes),
        ),
    }


def caffenet(make: Makers) -> Parts:
    """CaffeNet, ``bvlc_reference_caffenet``: Caffe's AlexNet with pooling before response normalisation.

    References
    ----------
    github.com/BVLC/caffe, ``models/bvlc_reference_caffenet/train_val.prototxt``.
    """
    conv, linear = make.conv, make.linear
    return {
        "layers": Sequential(  #                                                   3 x 227 x 227
            conv(3, 96, kernel_size=11, stride=4),  #                             96 x  55 x  55
            ReLU(),
            MaxPool2d(kernel_size=3, stride=2),  #                                96 x  27 x  27
            LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1),
            conv(96, 256, kernel_size=5, padding=2, groups=2),  #                256 x  27 x  27
            ReLU(),
            MaxPool2d(kernel_size=3, stride=2),  #                               256 x  13 x  13
            LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1),
            conv(256, 384, kernel_size=3, padding=1),  #                         384 x  13 x  13
            ReLU(),
            conv(384, 384, kernel_size=3, padding=1, groups=2),  #               384 x  13 x  13
            ReLU(),
            conv(384, 256, kernel_size=3, padding=1, groups=2),  #               256 x  13 x  13
            ReLU(),
            MaxPool2d(kernel_size=3, stride=2),  #                               256 x   6 x   6
            Flatten(),  #                                                       9216
        ),
        "classifier": Sequential(
            linear(256 * 6 * 6, 4096),
            ReLU(),
            make.drop(),
            linear(4096, 4096),
            ReLU(),
            make.drop(),
            linear(4096, make.num_classes),
        ),
    }


def torchvision(make: Makers) -> Parts:
    """Torchvision's ``alexnet``: "one-weird-trick" without normalisation, for images of any size from 63 pixels.

    Average pooling makes 6 x 6 of whatever is left of an image; 224 pixels leave just that. Parameters have
    torchvision's names.

    References
    ----------
    github.com/pytorch/vision, ``torchvision/models/alexnet.py``.
    """
    conv, linear = make.conv, make.linear
    return {
        "features": Sequential(  #                                                 3 x 224 x 224
            conv(3, 64, kernel_size=11, stride=4, padding=2),  #                  64 x  55 x  55
            ReLU(),
            MaxPool2d(kernel_size=3, stride=2),  #                                64 x  27 x  27
            conv(64, 192, kernel_size=5, padding=2),  #                          192 x  27 x  27
            ReLU(),
            MaxPool2d(kernel_size=3, stride=2),  #                               192 x  13 x  13
            conv(192, 384, kernel_size=3, padding=1),  #                         384 x  13 x  13
            ReLU(),
            conv(384, 256, kernel_size=3, padding=1),  #                         256 x  13 x  13
            ReLU(),
            conv(256, 256, kernel_size=3, padding=1),  #                         256 x  13 x  13
            ReLU(),
            MaxPool2d(kernel_size=3, stride=2),  #                               256 x   6 x   6
        ),
        "avgpool": AdaptiveAvgPool2d(6),  #                                      256 x   6 x   6
        "flatten": Flatten(),  #                                                9216
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


def one_weird_trick(make: Makers) -> Parts:
    """The network with a single column of the code of Krizhevsky's paper of 2014.

    As in "released", windows of the first convolution hang over, its normalisation comes before pooling and ReLU, and
    alpha is divided by the size, with k = 2.

    References
    ----------
    A. Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014.
    github.com/akrizhevsky/cuda-convnet2: ``layers/layers-imagenet-1gpu.cfg``, ``layer-params-imagenet-1gpu.cfg`` beside
    it, and ``layer.py``.
    """
    conv, linear = make.conv, make.linear
    return {
        "layers": Sequential(  #                                                   3 x 224 x 224
            conv(3, 64, kernel_size=11, stride=4, ceil_mode=True),  #             64 x  55 x  55
            LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2),
            MaxPool2d(kernel_size=3, stride=2),  #                                64 x  27 x  27
            ReLU(),
            conv(64, 192, kernel_size=5, padding=2),  #                          192 x  27 x  27
            ReLU(),
            LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2),
            MaxPool2d(kernel_size=3, stride=2),  #                               192 x  13 x  13
            conv(192, 384, kernel_size=3, padding=1),  #                         384 x  13 x  13
            ReLU(),
            conv(384, 256, kernel_size=3, padding=1),  #                         256 x  13 x  13
            ReLU(),
            conv(256, 256, kernel_size=3, padding=1),  #                         256 x  13 x  13
            MaxPool2d(kernel_size=3, stride=2),  #                               256 x   6 x   6
            ReLU(),
            Flatten(),  #                                                       9216
        ),
        "classifier": Sequential(
            linear(256 * 6 * 6, 4096),
            ReLU(),
            make.drop(),
            linear(4096, 4096),
            ReLU(),
            make.drop(),
            linear(4096, make.num_classes),
        ),
    }
