"""The AlexNet of the code of the paper of 2014."""

from __future__ import annotations

from npalexnet.layers.activation import Flatten, ReLU
from npalexnet.layers.normalization import LocalResponseNorm
from npalexnet.layers.pooling import MaxPool2d
from npalexnet.layers.sequential import Sequential
from npalexnet.variants.variant import Makers, Parts, Variant


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


ONE_WEIRD_TRICK = Variant(
    summary="the paper of 2014: 64 first channels, one column, normalisation before pooling and ReLU",
    figure=one_weird_trick,
    image_size=224,
    sizes=range(224, 256),
    initial=((0.01, 0), (0.01, 1), (0.03, 0), (0.03, 1), (0.03, 1), (0.01, 1), (0.01, 1), (0.01, -7)),
)
