"""Image files. Needs Pillow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image


def find_images(folder: str | Path) -> list[str]:
    """Return the paths of all image files in a folder and below, sorted; their names say which files are images.

    Hidden files and folders, whose names begin with a dot, are left out.
    """
    from PIL import Image

    readable = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    found = [
        path
        for path in Path(folder).rglob("*")
        if path.suffix.lower() in readable
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    ]
    return [str(path) for path in sorted(found)]


def open_picture(path: str | Path, *, at_least: int = 512) -> Image:
    """Open an image file as an RGB picture, the right way up.

    Grey, palette and CMYK pictures become RGB, 16-bit grey is scaled to 8 bits, and transparent pixels become white.

    Parameters
    ----------
    path : path
    at_least : int
        A larger JPEG picture is decoded at a half, a quarter or an eighth of its size, as long as its shorter side
        keeps so many pixels. For a photograph of 12 million pixels that takes a quarter of the time; and 512 is twice
        the size to which the network's recipes scale pictures down.

    Raises
    ------
    OSError
        If the file can't be read, or is not a complete image that can be shown in RGB; the message names it.
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
