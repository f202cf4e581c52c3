"""Picture files written byte by byte, for what Pillow doesn't write."""

import struct
import zlib


def png(width, height, depth, colour_type, rows, *chunks):
    """A PNG of packed rows; `chunks` are pairs of name and data that come before the pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = ((b"IHDR", header), *chunks, (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*part) for part in parts)


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def tiff(width, height, bits, photometric, pixels, *tags, order="<"):
    """An uncompressed grey TIFF; `tags` are (tag, type, count, value) with a value of four bytes at most."""
    entries = sorted([
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, bits), (259, 3, 1, 1), (262, 3, 1, photometric),
        (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, len(pixels)), *tags,
    ])  # fmt: skip
    pixels += b"\0" * (len(pixels) % 2)
    start = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8 + len(pixels))
    return start + pixels + directory(entries, order)


def directory(entries, order="<"):
    """A directory of a TIFF file or an EXIF block."""
    content = struct.pack(f"{order}H", len(entries))
    for tag, kind, count, value in entries:
        number = {3: "H2x", 4: "I", 5: "I", 9: "i"}[kind]
        content += struct.pack(f"{order}HHI{number}", tag, kind, count, value)
    return content + bytes(4)


def exif(*entries, order="<", behind=b""):
    """An EXIF block with one directory, at 8, and what it points to behind."""
    start = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8)
    return b"Exif\0\0" + start + directory(entries, order) + behind
