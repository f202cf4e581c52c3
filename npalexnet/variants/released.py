"""The AlexNet of the source that its author released."""

from __future__ import annotations

from npalexnet.layers.activation import Flatten, ReLU
from npalexnet.layers.normalization import LocalResponseNorm, SpatialResponseNorm
from npalexnet.layers.pooling import MaxPool2d
from npalexnet.layers.sequential import Sequential
from npalexnet.variants.variant import Makers, Parts, Variant


def released(make: Makers) -> Parts:
    """The network of the source that the paper's first author released, as it was in 2012.

    The last windows of the first convolution hang over. Its response normalisation comes before pooling and ReLU, so
    that it sees negative numbers. Each column normalises its own channels, with alpha divided by the size and k = 2;
    behind the second convolution a normalisation over neighbouring pixels follows, with k = 1. Dropout comes after both
    hidden layers. (Pooling rounds up there, too, which makes no difference for 224 pixels.)

    References
    ----------
    github.com/computerhistory/AlexNet-Source-Code: ``layers/layers-145.cfg`` (the layers), ``layer-params-145.cfg``
    beside it (what normalises how), ``layer.py`` (``modulesX`` rounds up; ``scale`` is divided) and ``src/layer.cu``.
    The k = 1 over pixels is in cuda-convnet's ``convResponseNorm``, github.com/dnouri/cuda-convnet,
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


RELEASED = Variant(
    summary="the source that its author released: normalisation before pooling and ReLU, and over pixels",
    figure=released,
    image_size=224,
    sizes=range(224, 256),
    initial=((0.01, 0), (0.01, 1), (0.03, 0), (0.03, 1), (0.03, 1), (0.01, 1), (0.01, 1), (0.01, 0)),
)
