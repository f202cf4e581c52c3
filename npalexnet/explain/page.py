"""The page: one HTML file with its style, its scripts and its numbers inside, which asks the network for nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from npalexnet.explain.content import contents
from npalexnet.layers.layer import Layer
from npalexnet.visualize.html import bars, paragraph, text
from npalexnet.visualize.page import STYLE
from npalexnet.visualize.tiles import photograph

FOLDER = Path(__file__).parent
SCRIPTS = (
    "data", "numbers", "words", "elements", "map", "cells", "windows", "convolution", "convolution_backward",
    "pooling", "pointwise", "normalization", "linear", "ending", "strip", "main",
)  # fmt: skip
LARGEST = 3_000_000  # bytes of a page
CHANNELS = (3, 2, 1)  # of each convolution: as many as the page has room for
ANSWERS = 5


def explain(
    model: Layer,
    image: np.ndarray,
    picture: np.ndarray,
    name: str,
    classes: Sequence[str],
    label: int,
    *,
    why: str,
    title: str,
    dropout: float | None = None,
) -> str:
    """Return an HTML document that shows one picture's way through a network, forward and backward.

    Parameters
    ----------
    model, image, classes, label, dropout
        See `npalexnet.explain.content.contents`.
    picture : ndarray of uint8, (H, W, 3)
        The image in its original colours, pixel by pixel.
    name : str
        What the picture is called.
    why : str
        Why the loss is that of the class `label`: "its class in the validation data".
    title : str

    Raises
    ------
    ValueError
        If the network's numbers are not finite, or the page would be larger than 3 MB.
    """
    for channels in CHANNELS:
        content = contents(model, image, label, classes, dropout=dropout, channels=channels)
        document = _document(content, picture, name, title, why)
        if len(document.encode()) <= LARGEST:
            return document
    raise ValueError(
        f"the page would have {len(document.encode()) / 1e6:.1f} MB, of at most {LARGEST / 1e6:.0f}: images of "
        f"{image.shape[1]} x {image.shape[2]} pixels are too large for it"
    )


def _document(content: dict[str, Any], picture: np.ndarray, name: str, title: str, why: str) -> str:
    classes, label = content["classes"], content["label"]
    found = content["probabilities"]
    best = np.argsort(-found, kind="stable")[:ANSWERS].tolist()
    about = [
        "Choose a layer, and an output of it: its window, its products and its sum are shown with the network's own "
        "numbers; backward, where its gradient goes.",
        f"The loss is the cross-entropy for the class {classes[label]}, {why}: {content['loss']:.4g}. All gradients "
        "are of this loss.",
    ]
    if not content["loss"]:
        about.append("The network is so certain that this leaves next to none; --class NAME takes another class.")
    parts = {
        "title": text(title),
        "style": _file(STYLE) + _file(FOLDER / "explain.css"),
        "picture": photograph(picture),
        "picture_name": text(name),
        "answer": bars([(classes[k], float(found[k]), f"{100 * found[k]:.1f} %") for k in best]),
        "about": "".join(map(paragraph, about)),
        "data": _json({key: value for key, value in content.items() if key != "probabilities"}),
        "script": "".join(_file(FOLDER / "js" / f"{part}.js") for part in SCRIPTS),
    }
    pieces = _file(FOLDER / "page.html").split("{{")
    ends = [piece.split("}}", 1) for piece in pieces[1:]]
    return pieces[0] + "".join(parts[key] + rest for key, rest in ends)


def _json(content: dict[str, Any]) -> str:
    """Return JSON in which no text ends the script element that it stands in."""
    return json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _file(path: Path) -> str:
    return path.read_text(encoding="utf-8")
