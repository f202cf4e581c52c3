"""From the pixels of a file, grey or coloured, of whatever depth and with or without transparency, to RGB.

Pictures are converted some rows at a time, so that a large one is never there a third time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_BOXES = 1000  # before the pixels of a JPEG 2000 file
BAND = 1 << 20  # pixels that are converted at a time
GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N")
_DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_TRANSPOSES = {  # by EXIF's orientation
    2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270", 7: "TRANSVERSE",
    8: "ROTATE_90",
}  # fmt: skip


class Encoding(NamedTuple):
    """What a file says about its numbers: the highest possible one, whether 0 is white, Pillow's name for them."""

    highest: int = 65535
    white_is_zero: bool = False
    raw_mode: str = ""
    png: bool = False


def stated_encoding(image: Any) -> Encoding:
    """Return the encoding of an opened Pillow image that is not loaded yet; a ValueError if its range is not known."""
    raw_mode = image.tile[0][3] if len(image.tile) == 1 else ""
    encoding = Encoding(raw_mode=raw_mode if isinstance(raw_mode, str) else "", png=image.format == "PNG")
    if image.format == "TIFF":
        bits, sample_format = image.tag_v2.get(258, (1,)), image.tag_v2.get(339, (1,))
        if 2 in sample_format:
            raise ValueError("its numbers are signed, without a known range")
        encoding = Encoding(2 ** bits[0] - 1, image.white_is_zero)
    elif image.format == "JPEG2000":
        deepest = _bits_of_jpeg_2000(image.fp)
        if deepest > (16 if image.mode in _DEEP else 8):
            raise ValueError(
                f"its colours have {deepest} bits, and Pillow would make the brightest ones black; save it as PNG"
            )
        if image.mode in _DEEP:
            encoding = encoding._replace(highest=(2**deepest - 1) << (16 - deepest))
    elif image.mode == "I" and image.format not in ("PPM", "PNG"):  # which Pillow scales to 65535, or stores so
        raise ValueError(f"its numbers are of mode {image.mode!r}, without a known range")
    if image.mode == "F":
        raise ValueError("its numbers are of mode 'F', without a known range")
    return encoding


def _bits_of_jpeg_2000(file: IO[bytes]) -> int:
    """Return the largest number of bits of a channel of a JPEG 2000 file.

    References
    ----------
    ITU-T T.800, annexes A.5.1 (the marker SIZ) and I.4 (boxes).
    """
    file.seek(0)
    place, start = 0, file.read(8)
    for _ in range(MOST_BOXES):  # the codestream, which begins with SIZ: at the beginning of the file, or in a box
        if start.startswith(b"\xff\x4f\xff\x51"):
            file.seek(place + 4)
            siz = file.read(int.from_bytes(file.read(2), "big") - 2)
            return max(((bits & 0x7F) + 1 for bits in siz[36::3]), default=0)
        length, kind, header = int.from_bytes(start[:4], "big"), start[4:], 8
        if length == 1:
            length, header = int.from_bytes(file.read(8), "big"), 16
        if kind != b"jp2c" and length < header:
            break
        place += header if kind == b"jp2c" else length
        file.seek(place)
        start = file.read(8)
    raise ValueError("it has no pixels where they must be")


def low_bytes(file: IO[bytes]) -> Any:
    """Return the lower halves of the numbers of a PNG of 16 bits, of which Pillow otherwise gives the higher ones."""
    from PIL.PngImagePlugin import PngImageFile

    file.seek(0)
    image: Any = PngImageFile(file)
    image.tile = [image.tile[0]._replace(args="RGB;16L")]
    image.load()
    return image


def upright(image: Image, orientation: int) -> Image:
    """Return a picture turned as its orientation says, or itself if it is upright."""
    from PIL import Image

    return image.transpose(Image.Transpose[_TRANSPOSES[orientation]]) if orientation in _TRANSPOSES else image


def to_rgb(image: Image, encoding: Encoding, low_bytes: Image | None = None) -> Image:
    """Return a loaded picture in RGB, with white where it is transparent; itself if that is what it is.

    Grey of more than 8 bits is scaled to 8. `low_bytes` are the other half of the numbers of a picture of 16 bits that
    has a transparent colour.
    """
    from PIL import Image

    transparent = _transparent(image, encoding)
    if transparent is not None and image.mode not in _DEEP and low_bytes is None:
        image.info["transparency"] = transparent
    convert: Callable[[Any], Any]
    if image.mode in _DEEP:

        def convert(band: Any) -> Any:
            return _grey(np.asarray(band), encoding, transparent)
    elif low_bytes is None and image.mode == "RGB" and not image.has_transparency_data:
        return image
    else:
        convert = _on_white
    width, height = image.size
    rgb, rows = Image.new("RGB", image.size), max(1, BAND // width)
    for top in range(0, height, rows):
        box = (0, top, width, min(top + rows, height))
        band = image.crop(box)
        if low_bytes is None:
            rgb.paste(convert(band), box)
        else:
            rgb.paste(_without_colour(np.asarray(band), np.asarray(low_bytes.crop(box)), transparent), box)
    return rgb


def _transparent(image: Any, encoding: Encoding) -> Any:
    """Return the transparent grey or colour in the numbers of a loaded PNG: its file gives it in those of its depth."""
    stated = image.info.get("transparency")
    if not encoding.png or image.mode not in ("L", "RGB", *_DEEP) or not isinstance(stated, int | tuple):
        return None
    if encoding.raw_mode in ("L;2", "L;4"):
        depth = int(encoding.raw_mode[2:])
        return (stated & (2**depth - 1)) * 255 // (2**depth - 1)
    if encoding.raw_mode in ("L", "RGB"):
        return stated & 255 if isinstance(stated, int) else tuple(number & 255 for number in stated)
    return stated


def _grey(numbers: np.ndarray, encoding: Encoding, transparent: int | None) -> Image:
    """Scale grey numbers to 8 bits, in RGB."""
    from PIL import Image

    if encoding.highest > 65535:
        numbers = numbers.astype(np.int64) & 0xFFFFFFFF  # Pillow has them as signed ones
    wide = numbers.astype(np.int64 if encoding.highest > 65535 else np.uint32)
    if encoding.white_is_zero:
        wide = encoding.highest - wide
    grey = (wide * 255 // encoding.highest).astype(np.uint8)
    if transparent is not None:
        grey[numbers == transparent] = 255
    return Image.fromarray(grey).convert("RGB")


def _on_white(band: Any) -> Image:
    from PIL import Image

    if not band.has_transparency_data:
        return band.convert("RGB")
    band = band.convert("LA") if band.mode == "La" else band
    return Image.alpha_composite(Image.new("RGBA", band.size, "white"), band.convert("RGBA")).convert("RGB")


def _without_colour(high: np.ndarray, low: np.ndarray, colour: tuple[int, int, int]) -> Image:
    from PIL import Image

    pixels = high.copy()
    pixels[(high * np.uint16(256) + low == np.array(colour, np.uint16)).all(axis=2)] = 255
    return Image.fromarray(pixels)
