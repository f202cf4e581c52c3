"""``npalexnet train``."""

from __future__ import annotations

import argparse
import warnings
from importlib import import_module

from npalexnet.cli.training_options import add_options
from npalexnet.training.interrupt import INTERRUPTED

__all__ = ["add_options", "run"]


def run(options: argparse.Namespace) -> int:
    """Train as the command line's options say; returns 130 if Ctrl-C stopped it, else 0."""
    for needed in ("PIL", "matplotlib", "safetensors", "tqdm"):
        import_module(needed)  # a missing one is to be known before training, not when its result is to be written
    from npalexnet.cli.training_run import train

    with warnings.catch_warnings():
        # NumPy's, of training that diverges, which has a message of its own.
        warnings.filterwarnings("ignore", "(overflow|invalid value) encountered", RuntimeWarning)
        return 0 if train(vars(options)) else INTERRUPTED
