"""Torchvision's AlexNet."""

from __future__ import annotations

from npalexnet.layers.activation import Flatten, ReLU
from npalexnet.layers.average_pooling import AdaptiveAvgPool2d
from npalexnet.layers.pooling import MaxPool2d
from npalexnet.layers.sequential import Sequential
from npalexnet.variants.variant import Makers, Parts, Variant


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


TORCHVISION = Variant(
    summary="torchvision's alexnet: 64 first channels, no normalisation, average pooling, images of any size",
    figure=torchvision,
    image_size=224,
    sizes=range(63, 1 << 31),
    initial=None,  # torch's
)
