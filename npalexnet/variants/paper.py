"""The AlexNet of the paper of 2012."""

from __future__ import annotations

from npalexnet.layers.activation import Flatten, ReLU
from npalexnet.layers.normalization import LocalResponseNorm
from npalexnet.layers.pooling import MaxPool2d
from npalexnet.layers.sequential import Sequential
from npalexnet.variants.variant import Makers, Parts, Variant


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


PAPER = Variant(
    summary="the paper of 2012 as printed: groups, response normalisation with an undivided alpha, 224 pixels",
    figure=paper,
    image_size=224,
    sizes=range(223, 255),
    initial=((0.01, 0), (0.01, 1), (0.01, 0), (0.01, 1), (0.01, 1), (0.01, 1), (0.01, 1), (0.01, 0)),
)
