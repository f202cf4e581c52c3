"""Small picture files of many kinds, good and broken, for tests."""

import numpy as np
from PIL import Image

BROKEN = (
    "cut.bmp",
    "cut.jpg",
    "cut.png",
    "cut.webp",
    "empty.jpg",
    "text.jpg",
    "damaged.png",
    "folder.jpg",
    "float.tiff",
)


def noise(size=(40, 30), mode="RGB", seed=0):
    """A picture of random colours."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def fill(folder, **counts):
    """Write `counts` pictures of each class."""
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            noise((9, 8), seed=i).save(folder / name / f"{i:03}.png")


def write_good(folder):
    """Write a file of each kind that is usable; returns how many."""
    folder.mkdir(parents=True)
    for mode in ("L", "RGB", "CMYK"):
        noise(mode=mode).save(folder / f"{mode}.jpg")
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        noise(mode=mode).save(folder / f"{mode}.png")
    Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40) * 50).save(folder / "16-bit.png")
    noise().save(folder / "lossy.webp")
    noise(mode="RGBA").save(folder / "lossless.webp", lossless=True)
    noise(mode="P").save(folder / "some.gif")
    exif = Image.Exif()
    exif[0x0112] = 6
    noise().save(folder / "sideways.jpeg", exif=exif)
    good = (folder / "RGB.jpg").read_bytes()
    (folder / "more-behind.jpg").write_bytes(good + b"a camera's notes")
    (folder / "no-suffix").write_bytes(good)
    (folder / ".hidden").write_text("not a picture, and nobody's business")
    return sum(not path.name.startswith(".") for path in folder.iterdir())


def write_broken(folder):
    """Write the files that `BROKEN` names."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind in ("bmp", "jpg", "png", "webp"):
        noise().save(folder / f"cut.{kind}")
        content = (folder / f"cut.{kind}").read_bytes()
        (folder / f"cut.{kind}").write_bytes(content[: len(content) * 2 // 3])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("I am a text")
    noise().save(folder / "damaged.png")
    content = bytearray((folder / "damaged.png").read_bytes())
    content[len(content) // 2] ^= 255
    (folder / "damaged.png").write_bytes(content)
    (folder / "folder.jpg").mkdir()
    Image.new("F", (6, 4), 0.5).save(folder / "float.tiff")
