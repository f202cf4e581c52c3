"""The formats of image files that are read, and which of them a file is of. Needs Pillow."""

from __future__ import annotations

import os
import struct
from typing import IO, Any

from npalexnet.data.memory import bound

# Pillow's names of the formats that are read, those that are recognised by the least at the end. Others of Pillow's
# hand the file to another program (PostScript, to Ghostscript), hold no photographs, or hold a picture of a size other
# than they say.
FORMATS = (
    "JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF", "JPEG2000", "PPM", "QOI", "SGI", "DIB", "PCX", "TGA",
)  # fmt: skip
# Brands in files of the ISO base media format, and what these are, with a plug-in for Pillow or without.
_CONTAINED = {
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"), "HEIC (HEIF)"),
    **dict.fromkeys((b"avif", b"avis"), "AVIF"), b"crx ": "Canon's raw format CR3",
}  # fmt: skip


class Refused(OSError):
    """The message is complete."""


class NoImage(Refused):
    """The file is of no format that is read."""


def identified(file: IO[bytes], name: str, limit: int) -> Any:
    """Return a file as a Pillow image that is not decoded yet; an OSError, which names it, if it is none.

    Not by `Image.open`: it bounds sizes itself, and takes any format if given a file whose name it doesn't know.
    """
    from PIL import Image
    from PIL.JpegImagePlugin import JpegImageFile

    from npalexnet.data.tiff import TiffFile

    Image.init()
    size = file.seek(0, os.SEEK_END)  # some formats are read whole, and a block in others can be as long as the file
    if size > limit:
        raise Refused(f"{name} is too large: a file of {size / 1e6:,.0f} MB, and {bound(limit)}")
    file.seek(0)
    head, why = file.read(64), ""
    start = head[:16]
    for kind in FORMATS:
        factory, accept = Image.OPEN.get(kind, (None, None))
        if factory is None or not _accepts(accept, start):
            continue
        if kind == "AVIF" and not (b"avif" in head or b"avis" in head):  # of a brand that HEIC may have, too
            continue
        try:
            file.seek(0)
            # Of JPEG the first picture of several, which MPO has.
            return {"JPEG": JpegImageFile, "TIFF": TiffFile}.get(kind, factory)(file, "")
        except (SyntaxError, IndexError, TypeError, struct.error) as error:
            if accept is not None:
                why = f"{kind}: {error}"
    if why:
        raise Refused(f"{name} is damaged, or not usable: {why}")
    other = _CONTAINED.get(start[8:12], "") if start[4:8] == b"ftyp" else ""
    other = other or next((kind for kind, (_, accept) in Image.OPEN.items() if accept and _accepts(accept, start)), "")
    advice = f" of a format that is read, but {other}; save it as JPEG or PNG" if other else ""
    raise NoImage(f"{name} is not an image file{advice}")


def _accepts(accept: Any, start: bytes) -> bool:
    try:
        return accept is None or accept(start) is True
    except (IndexError, struct.error):  # too short
        return False
