"""What a picture may be as an argument: of pipelines, figures and the classifier."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from npalexnet.checks import unmasked

if TYPE_CHECKING:
    from PIL.Image import Image

EXPECTED = "a picture must be a PIL.Image or an array of uint8"


def as_image(picture: Any) -> Image:
    """Return a picture as a PIL image, which it may be already.

    Raises
    ------
    TypeError, ValueError
        If it is neither that nor an array of uint8, (H, W) or (H, W, 3), not empty.
    """
    from PIL import Image

    if isinstance(picture, Image.Image):
        return picture
    if isinstance(picture, str | PathLike):
        raise TypeError(f"{EXPECTED}, got {picture!r}: open it by npalexnet.data.open_picture(path)")
    if not isinstance(picture, np.ndarray):
        raise TypeError(f"{EXPECTED}, got {type(picture).__name__}")
    unmasked("a picture", picture)
    fits = picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] == 3)
    if picture.dtype != np.uint8 or not fits or not picture.size:
        raise ValueError(
            "a picture must be of uint8 and shape (H, W) or (H, W, 3), not empty, got "
            f"{picture.dtype} of shape {picture.shape}"
        )
    return Image.fromarray(picture)


def is_one_picture(pictures: Any) -> bool:
    """Whether something is one picture, or a path, rather than several.

    An array with one to four numbers at each pixel is one, too, so that one with transparency (H, W, 4) is refused as
    that: it is not taken for H grey pictures, four pixels wide.
    """
    one_array = isinstance(pictures, np.ndarray) and (
        pictures.ndim < 3 or (pictures.ndim == 3 and pictures.shape[2] <= 4)
    )
    return hasattr(pictures, "convert") or isinstance(pictures, str | PathLike) or one_array


def check_pictures(pictures: Any) -> None:
    """Raise a TypeError if what should be several pictures is one, or a path."""
    if is_one_picture(pictures) and not isinstance(pictures, str | PathLike):
        raise TypeError("pictures must be a list of pictures, got one: pass it as [picture]")
    if isinstance(pictures, str | PathLike):
        raise TypeError(
            f"pictures must be a list of pictures, got {pictures!r}: pass [npalexnet.data.open_picture(path)]"
        )
