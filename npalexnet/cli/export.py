"""``npalexnet export``: a trained network in a file of another format."""

from __future__ import annotations

import argparse
from pathlib import Path

from npalexnet.backend.arrays import FULL, HALF
from npalexnet.cli.options import add_weights, load_classifier
from npalexnet.inference.export import check_path, export
from npalexnet.terminal import shown


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    add_weights(parser)
    parser.add_argument(
        "file", type=Path, metavar="FILE",
        help="what to write, by its suffix: .onnx, the network; .pth or .pt, .safetensors, .npz, its weights",
    )  # fmt: skip
    parser.add_argument(
        "--dtype", choices=(*FULL, *HALF), help="round the weights to this dtype (default: they stay what they are)"
    )
    parser.add_argument("--force", action="store_true", help="replace FILE if it exists")


def run(options: argparse.Namespace) -> int:
    """Write the file, and print what it is."""
    check_path(options.file, overwrite=options.force, how="--force")
    classifier = load_classifier(options)
    exported = export(classifier, options.file, dtype=options.dtype, overwrite=options.force)
    print(f"Wrote {shown(str(exported.path))}: {exported.summary}")
    return 0
