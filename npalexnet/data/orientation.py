"""How a picture is to be turned, as its file says; nothing else of the metadata is read, for any of it may be odd."""

from __future__ import annotations

import re
import struct
from typing import Any

TAG = 0x0112
_BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_NUMBERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}  # TIFF's types of whole numbers


def stated_orientation(image: Any) -> int:
    """Return the orientation of a loaded Pillow image, from 1 (upright) to 8; 1 if there is none that can be read."""
    for read in (_of_tiff, _of_exif, _of_xmp):
        try:
            found = read(image)
        except Exception:  # metadata can be anything
            continue
        if found is not None:
            return int(found) if found in range(1, 9) else 1
    return 1


def _of_tiff(image: Any) -> Any:
    return image.tag_v2.get(TAG) if image.format == "TIFF" else None


def _of_exif(image: Any) -> int | None:
    """Return the tag from the first directory of an EXIF block, which is a small TIFF file."""
    block = image.info.get("exif")
    if block is None and "Raw profile type exif" in image.info:  # ImageMagick's PNG files
        block = bytes.fromhex("".join(image.info["Raw profile type exif"].split("\n")[3:]))
    if block is None:
        return None
    while block.startswith(b"Exif\0\0"):
        block = block[6:]
    order = _BYTE_ORDERS[block[:4]]
    (start,) = struct.unpack_from(f"{order}I", block, 4)
    (entries,) = struct.unpack_from(f"{order}H", block, start)
    for place in range(start + 2, start + 2 + 12 * entries, 12):
        tag, kind, count = struct.unpack_from(f"{order}HHI", block, place)
        if tag == TAG:
            return struct.unpack_from(order + _NUMBERS[kind], block, place + 8)[0] if count else None
    return None


def _of_xmp(image: Any) -> int | None:
    text = image.info.get("XML:com.adobe.xmp") or image.info.get("xmp") or ""
    text = text if isinstance(text, str) else text.decode("latin-1")
    found = re.search(r'tiff:Orientation(?:="|>)([0-9])', text)
    return int(found[1]) if found else None
