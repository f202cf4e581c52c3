"""Caffe's two AlexNets."""

from __future__ import annotations

from npalexnet.layers.activation import Flatten, ReLU
from npalexnet.layers.normalization import LocalResponseNorm
from npalexnet.layers.pooling import MaxPool2d
from npalexnet.layers.sequential import Sequential
from npalexnet.variants.variant import Makers, Parts, Variant


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


CAFFE = Variant(
    summary="Caffe's bvlc_alexnet: groups, normalisation with k = 1, then pooling",
    figure=caffe,
    image_size=227,
    sizes=range(227, 259),
    initial=((0.01, 0), (0.01, 0.1), (0.01, 0), (0.01, 0.1), (0.01, 0.1), (0.005, 0.1), (0.005, 0.1), (0.01, 0)),
)


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


CAFFENET = Variant(
    summary="Caffe's bvlc_reference_caffenet: groups, pooling, then normalisation with k = 1",
    figure=caffenet,
    image_size=227,
    sizes=range(227, 259),
    initial=((0.01, 0), (0.01, 1), (0.01, 0), (0.01, 1), (0.01, 1), (0.005, 1), (0.005, 1), (0.01, 0)),
)
