"""TIFF files of which Pillow knows the numbers, but not with white as 0. Needs Pillow."""

from __future__ import annotations

from PIL.TiffImagePlugin import TiffImageFile

PHOTOMETRIC, BITS = 262, 258  # tags


class TiffFile(TiffImageFile):
    """A TIFF file, opened as Pillow does.

    Attributes
    ----------
    white_is_zero : bool
        Whether 0 is white, as PhotometricInterpretation says. Grey of more than 8 bits is then not turned round yet.
    """

    def _setup(self) -> None:
        self.white_is_zero = self.tag_v2.get(PHOTOMETRIC, 0) == 0
        if self.white_is_zero and self.tag_v2.get(BITS, (1,)) in ((12,), (16,), (32,)):
            self.tag_v2[PHOTOMETRIC] = 1  # for Pillow, which has not all orders of bytes and numbers of bits with 0
        super()._setup()  # type: ignore[no-untyped-call, unused-ignore]
