"""Figures of training, and of the inside of a trained network. Needs matplotlib.

A figure is written with ``write_figure("filters.png", figure)``.
"""

from npalexnet.visualize.augmenting import augmentations, evaluation_crops
from npalexnet.visualize.figures import write_figure
from npalexnet.visualize.images import mistakes, occlusion, top_activating
from npalexnet.visualize.network import feature_maps, filters
from npalexnet.visualize.results import confusion, curves

__all__ = [
    "augmentations", "confusion", "curves", "evaluation_crops", "feature_maps", "filters", "mistakes", "occlusion",
    "top_activating", "write_figure",
]  # fmt: skip
