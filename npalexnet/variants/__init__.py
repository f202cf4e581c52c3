"""The other networks that are called AlexNet, each as a figure: its layers in order, with the shapes that they make.

`npalexnet.alexnet` has the default, "seed", and the list of all. They differ in the layers before the classifier: the
geometry of the first convolution, groups, and where which response normalisation stands; and in where dropout stands.

Dropout is inverted in all of them, as in torch: the sources of "released" and "one-weird-trick" scale by 0.5 in
evaluation instead, so that weights of theirs need those of their last two linear layers halved.
"""

from npalexnet.variants.variant import Makers, Parts, Variant

__all__ = ["Makers", "Parts", "Variant"]
