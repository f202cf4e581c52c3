"""From pictures to the network's input. Needs Pillow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image


def open_picture(path: str | Path, *, at_least: int = 512) -> Image:
    """Open an image file as an RGB picture the right way up.

    Grey, palette and CMYK pictures become RGB, 16-bit grey is scaled to 8 bits, and what is transparent becomes white.

    Parameters
    ----------
    path : path
    at_least : int
        A JPEG picture that is larger is decoded at a half, a quarter or an eighth of its size, as long as its shorter
        side keeps so many pixels. Of a photograph of 12 million pixels that takes a quarter of the time; and 512 are
        twice what the network's recipes scale pictures down to.

    Raises
    ------
    OSError
        If the file can't be read, or is not a complete image of a kind that has a meaning in RGB; the message names it.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            image.draft(None, (at_least, at_least))
            return _as_rgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError:
        raise OSError(f"{path} is not an image file") from None
    except Image.DecompressionBombError as error:
        raise OSError(f"{path} is too large: {error}") from None
    except MemoryError:
        raise
    except Exception as error:  # on a damaged file Pillow's readers can stumble over anything
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise OSError(f"{path} is damaged, or not usable: {error}") from None


def _as_rgb(image: Image) -> Image:
    from PIL import Image

    if image.mode.startswith("I;16"):  # convert() would clip at 255
        return Image.fromarray((np.asarray(image) // 257).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError(f"its numbers are of mode {image.mode!r}, without a known range")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")
