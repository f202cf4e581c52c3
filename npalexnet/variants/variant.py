"""What a variant of AlexNet is, and what its figure makes layers with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from npalexnet.layers.conv import Conv2d
from npalexnet.layers.dropout import Dropout
from npalexnet.layers.layer import Layer
from npalexnet.layers.linear import Linear

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
