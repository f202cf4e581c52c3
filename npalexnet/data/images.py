"""Image files. Needs Pillow."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from npalexnet.data.formats import FORMATS, NoImage, Refused, identified
from npalexnet.data.memory import PICTURES, bound, picture_limit
from npalexnet.data.names import is_rubbish
from npalexnet.data.orientation import stated_orientation
from npalexnet.data.pixels import GREY_MODES, low_bytes, stated_encoding, to_rgb, upright
from npalexnet.terminal import reason

if TYPE_CHECKING:
    from PIL.Image import Image

# Bytes for each pixel while a picture is decoded, turned and converted, at most.
BYTES_PER_PIXEL = {"WEBP": 16, "AVIF": 16, "HEIF": 16, "JPEG2000": 24, "TIFF": 12, "PPM": 16, "QOI": 16}
OTHER_BYTES_PER_PIXEL = 8
TOGETHER = 4  # all pictures together may take a quarter of what a single one may
PILLOWS_LIMIT = 89_478_485  # Image.MAX_IMAGE_PIXELS, unless a program sets it
_KINDS = (
    (stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a named pipe, not a file"), (stat.S_ISSOCK, "a socket, not a file"),
    (stat.S_ISCHR, "a device, not a file"), (stat.S_ISBLK, "a device, not a file"),
)  # fmt: skip


def find_images(folder: str | Path) -> tuple[list[str], list[str]]:
    """Find the images in a folder and below, as for training: all files that hold one, whatever their names.

    Hidden files and what systems leave in folders of pictures are left out; links are followed.

    Returns
    -------
    paths : list of str
        Sorted. Files that are images by their names are among them, even if they can't be read.
    faults : list of str
        A line for each pipe, device or damaged file whose name does not say what it is, and for each folder that can't
        be read.
    """
    from PIL import Image

    Image.init()
    limit = picture_limit()
    suffixes = {suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS}
    paths: list[str] = []
    faults: list[str] = []
    for path in _files(os.fspath(folder), (), faults):
        if os.path.splitext(path)[1].lower() not in suffixes:
            try:
                with opened(path) as file, _named(path):
                    identified(file, path, limit)
            except NoImage:  # nor does its name say so
                continue
            except OSError as error:
                faults.append(reason(error))
                continue
        paths.append(path)
    return paths, faults


def _files(folder: str, above: tuple[tuple[int, int], ...], faults: list[str]) -> Iterator[str]:
    """Yield the files in a folder and below, sorted; a folder that links lead back to is entered once.

    `faults` gets a line for each folder that can't be read.
    """
    try:
        info = os.stat(folder)
        here = (info.st_dev, info.st_ino)
        names = [] if here in above else sorted(name for name in os.listdir(folder) if not is_rubbish(name))
    except OSError as error:
        faults.append(reason(error))
        return
    for name in names:
        path = os.path.join(folder, name)
        if os.path.isdir(path):
            yield from _files(path, (*above, here), faults)
        else:
            yield path


def open_picture(source: Any, *, at_least: int = 512) -> Image:
    """Open an image file as an RGB picture, the right way up.

    Grey, palette and CMYK pictures become RGB, grey of more than 8 bits is scaled to 8, and transparent pixels become
    white. Of an animation this is the first picture.

    Parameters
    ----------
    source : path or binary file
        Of a file object, ``str(source)`` is what messages call it.
    at_least : int
        A larger JPEG picture is decoded at a half, a quarter or an eighth of its size, as long as its shorter side
        keeps so many pixels. For a photograph of 12 million pixels that takes a quarter of the time; and 512 is twice
        the size to which the network's pipelines scale pictures down.

    Raises
    ------
    OSError
        If the file can't be read, is not a regular file, or is not a complete image that can be shown in RGB, or would
        take more memory than `npalexnet.data.memory.picture_limit`; the message names it.
    """
    return decode(source, at_least=at_least)[0]


def decode(source: Any, *, at_least: int = 512) -> tuple[Image, bool]:
    """Open an image file as `open_picture` does; returns the picture, and whether it is grey."""
    if not isinstance(at_least, int) or at_least < 1:
        raise ValueError(f"at_least must be a whole number above 0, got {at_least!r}")
    if not isinstance(source, str | os.PathLike):
        if not hasattr(source, "seek") or not hasattr(source, "read"):
            raise TypeError(f"source must be a path or an open binary file, got {type(source).__name__}")
        return _decoded(source, str(source), at_least)
    with opened(source) as file:
        return _decoded(file, os.fspath(source), at_least)


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Context with a regular file, open to be read; an OSError, which names it, for anything else.

    Not even opened: a pipe would wait for a writer, and a device may do something.
    """
    if "\0" in os.fspath(path):  # which the system's calls refuse with a ValueError
        raise OSError(f"{os.fspath(path)!r} is not a path: it has a zero byte")
    _check_regular(path, os.stat(path))
    flags = getattr(os, "O_NONBLOCK", 0)  # should it be replaced by a pipe meanwhile
    with open(path, "rb", opener=lambda name, mode: os.open(name, mode | flags)) as file:
        _check_regular(path, os.fstat(file.fileno()))
        yield file


def _check_regular(path: str | os.PathLike[str], info: os.stat_result) -> None:
    if not stat.S_ISREG(info.st_mode):
        kind = next((kind for is_a, kind in _KINDS if is_a(info.st_mode)), "not a regular file")
        raise OSError(f"{os.fspath(path)} is {kind}")


def _decoded(file: IO[bytes], name: str, at_least: int) -> tuple[Image, bool]:
    limit = picture_limit()
    with _named(name):
        image = identified(file, name, limit)
        encoding = stated_encoding(image)
        colour = encoding.raw_mode == "RGB;16B" and isinstance(image.info.get("transparency"), tuple)
        whole = image.size
        stored = _bytes_kept(image, file)
        image.draft(None, (at_least, at_least))
        each = BYTES_PER_PIXEL.get(image.format, OTHER_BYTES_PER_PIXEL) * (2 if colour else 1)
        needed = image.width * image.height * each + stored
        _check_size(name, whole, needed, limit)
        with PICTURES.reserve(needed, max(1, limit // TOGETHER)):
            if image.format == "TIFF":
                # Pillow would turn it by itself, but reads all the metadata for that, which may be odd.
                image.load_end = lambda: None
            image.load()
            image.fp = image._decoder = None  # in which WebP and AVIF keep the picture twice more
            grey, orientation = image.mode in GREY_MODES, stated_orientation(image)
            low = upright(low_bytes(file), orientation) if colour else None
            image = upright(image, orientation)  # of which the picture as it was is dropped
            return to_rgb(image, encoding, low), grey


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Context in which all errors of decoding become an OSError that names the file."""
    try:
        yield
    except MemoryError:
        raise MemoryError(f"{name} could not be decoded") from None
    except Exception as error:  # on a damaged file Pillow's readers can stumble over anything
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(error.errno, error.strerror, name) from error
        if isinstance(error, Refused):
            raise
        if type(error).__name__.startswith("DecompressionBomb"):  # of Pillow's own, while it opens or loads
            raise OSError(f"{name} is too large: {error}") from None
        raise OSError(f"{name} is damaged, or not usable: {error}") from None


def _bytes_kept(image: Any, file: IO[bytes]) -> int:
    """Return how many bytes a decoder keeps beside the pixels of an opened picture."""
    if image.format == "JPEG":
        # All coefficients, unless the first scan, at whose header the file is, holds all components.
        length = 6 + 2 * image.layers
        file.seek(-length, os.SEEK_CUR)
        whole = file.read(2) == length.to_bytes(2, "big") and not image.info.get("progressive")
        return 0 if whole else 2 * image.layers * image.width * image.height
    if image.format == "TIFF" and 322 in image.tag_v2:  # a tile, of any size, whatever that of the picture
        samples, bits = image.tag_v2.get(277, 1), max(image.tag_v2.get(258, (1,)))
        return image.tag_v2[322] * image.tag_v2.get(323, 1) * samples * bits // 8
    return 0


def _check_size(name: str, size: tuple[int, int], needed: int, limit: int) -> None:
    from PIL import Image

    set_by_program = Image.MAX_IMAGE_PIXELS if Image.MAX_IMAGE_PIXELS != PILLOWS_LIMIT else None
    if set_by_program is not None and size[0] * size[1] > 2 * set_by_program:  # as Pillow would have it
        raise Refused(f"{name} is too large: {size[0]} x {size[1]} pixels, with PIL.Image.MAX_IMAGE_PIXELS "
                       f"{set_by_program}")  # fmt: skip
    if needed > limit:
        raise Refused(
            f"{name} is too large: to decode {size[0]} x {size[1]} pixels may take {needed / 1e6:,.0f} MB of memory, "
            f"and {bound(limit)}"
        )
