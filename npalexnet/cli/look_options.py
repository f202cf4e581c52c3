"""The options of ``npalexnet look``, and what they name: units and classes of a network."""

from __future__ import annotations

import argparse

import numpy as np

from npalexnet.cli.options import add_data, add_device, add_out, add_weights, number
from npalexnet.cli.parser import suggestion
from npalexnet.data.names import normal, quoted
from npalexnet.inference.classifier import Classifier
from npalexnet.terminal import shown
from npalexnet.visualize.activations import activations, check_layer


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    add_weights(parser)
    parser.add_argument(
        "image", nargs="*", metavar="IMAGE", help="image files to show in the network (default: a validation image)"
    )
    add_data(parser)
    parser.add_argument(
        "--images", type=number(int, 1), default=1000, metavar="N", help="use at most N validation images"
    )
    parser.add_argument(
        "--unit", type=as_unit, action="append", metavar="LAYER:CHANNEL",
        help="show the top-activating images of this channel, like layers.4:17; may be repeated (default: one channel "
        "of each convolution)",
    )  # fmt: skip
    parser.add_argument(
        "--class", dest="class_name", metavar="NAME",
        help="show which part of each image is evidence for this class (default: the image's most probable one); a "
        "name that begins with - is given as --class=NAME",
    )  # fmt: skip
    add_out(parser, "look")
    add_device(parser)


def as_unit(text: str) -> tuple[str, int]:
    """Read ``layers.4:17``: a layer and a channel of it."""
    layer, _, channel = text.rpartition(":")
    if not (layer and channel.isdecimal()):
        raise argparse.ArgumentTypeError(f"must be LAYER:CHANNEL, like layers.4:17, got {text!r}")
    return layer, int(channel)


def existing_unit(classifier: Classifier, layer: str, channel: int) -> tuple[str, int]:
    """Return the layer and the channel, or raise a ValueError if the network has no such unit."""
    check_layer(classifier.model, layer)
    size = classifier.pipeline.output_shape[-2:]
    shape = activations(classifier.model, np.zeros((1, 3, *size), np.float32), [layer])[layer].shape
    if channel >= shape[1]:
        raise ValueError(f"unit {layer}:{channel} doesn't exist; {layer} has the channels 0 to {shape[1] - 1}")
    return layer, channel


def class_number(classifier: Classifier, name: str) -> int:
    """Return the number of a class, or raise a ValueError if the network doesn't know it.

    The name may also be as it is shown, with escapes, and have its accents in another Unicode normal form.
    """
    for form in (str, normal, shown):
        forms = [form(known) for known in classifier.classes]
        if forms.count(form(name)) == 1:
            return forms.index(form(name))
    hint = suggestion(name, classifier.names)
    raise ValueError(f"class must be one of {quoted(classifier.names)}, got {name!r}{'; ' * bool(hint)}{hint}")
