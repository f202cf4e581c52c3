"""Small images for a page: photographs, maps of activations, filters. Titles and numbers stand beside them, as text."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any

import numpy as np

from npalexnet.visualize.figures import displayable

AGAINST, FOR = (0.13, 0.42, 0.85), (0.87, 0.16, 0.12)  # blue and red


def photograph(picture: Any) -> str:
    """Return a picture as the address of a JPEG image that holds it; `picture` as `displayable` takes it."""
    return _address(_bytes(displayable(picture)), "jpeg")


def activation_map(values: np.ndarray, largest: float) -> str:
    """Return a map as an image of a pixel for each number.

    Parameters
    ----------
    values : ndarray of float, (H, W)
        From 0 up in magma's colours. With negative numbers among them, red above 0, blue below, transparent at 0; NaN
        is transparent.
    largest : float
        The number that has the brightest colour.
    """
    from matplotlib import colormaps

    strength = values / max(largest, 1e-30)
    if np.nanmin(strength) < 0:
        colour = np.where((strength < 0)[..., None], AGAINST, FOR)
        pixels = np.concatenate([colour, np.minimum(1, np.abs(np.nan_to_num(strength)))[..., None]], axis=2)
    else:
        pixels = colormaps["magma"](strength)  # transparent where NaN
    return _address(_bytes(pixels), "png")


def filter_image(kernel: np.ndarray) -> str:
    """Return a filter, (3, kH, kW), as an image: 0 is middle grey, its largest magnitude black or full colour."""
    largest = max(float(np.abs(kernel).max()), 1e-30)
    return _address(_bytes(kernel.transpose(1, 2, 0) / (2 * largest) + 0.5), "png")


def heat_map(picture: Any, decreases: np.ndarray) -> str:
    """Return a grey picture under an occlusion map: red is evidence for the class, blue against it.

    Parameters
    ----------
    picture
        As `displayable` takes it.
    decreases : ndarray of float, (cells, cells)
        See `npalexnet.visualize.activations.occlusion_map`; interpolated between the cells.
    """
    from PIL import Image

    grey = _bytes(displayable(picture)).mean(axis=2, keepdims=True) / 255
    height, width = grey.shape[:2]
    cells = Image.fromarray(decreases.astype(np.float32))
    smooth = np.asarray(cells.resize((width, height), Image.Resampling.BICUBIC))
    largest = max(float(np.abs(decreases).max()), 1e-6)
    opacity = 0.85 * np.minimum(1, np.abs(smooth) / largest)[..., None]
    colour = np.where((smooth < 0)[..., None], AGAINST, FOR)
    return photograph(_bytes((0.15 + 0.7 * grey) * (1 - opacity) + colour * opacity))


def share_map(fractions: np.ndarray) -> str:
    """Return fractions, (K, K), as an image: transparent at 0, blue at 1; so that it suits any background."""
    colour = np.broadcast_to(AGAINST, (*fractions.shape, 3))
    return _address(_bytes(np.concatenate([colour, np.sqrt(fractions)[..., None]], axis=2)), "png")


def _bytes(pixels: np.ndarray) -> np.ndarray:
    return pixels if pixels.dtype == np.uint8 else (255 * np.clip(pixels, 0, 1)).round().astype(np.uint8)


def _address(pixels: np.ndarray, kind: str) -> str:
    from PIL import Image

    file = BytesIO()
    Image.fromarray(pixels).save(file, kind, **({"quality": 88} if kind == "jpeg" else {"optimize": True}))
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
