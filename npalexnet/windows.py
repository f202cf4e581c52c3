"""Windows over images: where they lie, how many fit, and how far they reach. Convolution and pooling share them.

Symbols: N images, C channels, H x W pixels, windows of kH x kW, oH x oW of them. Sizes follow torch to the letter.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from npalexnet.checks import Pair

Padding = tuple[Pair, Pair]  # ((top, bottom), (left, right))


@dataclass(frozen=True)
class Windows:
    """The windows over images of one size: window (p, q) begins at pixel ``(p, q) * stride - padding``.

    Attributes
    ----------
    kernel_size, stride, dilation : pair of int
        (vertical, horizontal).
    padding : pair of int
        Rows above and columns to the left of the image; below 0, the first window begins inside.
    output_size : pair of int
        (oH, oW).
    """

    kernel_size: Pair
    stride: Pair
    dilation: Pair
    padding: Pair
    output_size: Pair

    def rows(self, part: slice) -> Windows:
        """Return the windows of the rows ``part.start`` to ``part.stop - 1`` alone."""
        top, left = self.padding
        padding = top - part.start * self.stride[0], left
        return replace(self, padding=padding, output_size=(part.stop - part.start, self.output_size[1]))

    def covered(self, H: int, W: int) -> tuple[Padding, tuple[slice, slice, slice]]:
        """Return by how much the windows hang over images (N, H, W, C), and the index of the pixels inside."""
        borders, inside = [], []
        for size, kernel, stride, dilation, padding, count in zip(
            (H, W), self.kernel_size, self.stride, self.dilation, self.padding, self.output_size, strict=True
        ):
            length = (count - 1) * stride + dilation * (kernel - 1) + 1  # of all windows together
            start = min(max(-padding, 0), size)
            stop = max(min(length - padding, size), start)
            before = min(max(start + padding, 0), length)
            borders.append((before, length - before - (stop - start)))
            inside.append(slice(start, stop))
        return (borders[0], borders[1]), (slice(None), inside[0], inside[1])

    def first_inside(self, H: int, W: int) -> tuple[list[int], list[int]]:
        """Return the first element inside the image: of the windows of each row, and of each column, of windows.

        Element i of window p lies at ``p*stride + i*dilation - padding``. Where none is inside: the kernel's size.
        """
        firsts: list[list[int]] = []
        for size, kernel, stride, dilation, padding, count in zip(
            (H, W), self.kernel_size, self.stride, self.dilation, self.padding, self.output_size, strict=True
        ):
            starts = [p * stride - padding for p in range(count)]
            not_before = [max(0, -(start // dilation)) for start in starts]  # the first with start + i*dilation >= 0
            firsts.append(
                [
                    min(i, kernel) if start + i * dilation < size else kernel
                    for start, i in zip(starts, not_before, strict=True)
                ]
            )
        return firsts[0], firsts[1]


@dataclass(frozen=True)
class Geometry:
    """What the arguments of `Conv2d` and `MaxPool2d` say of their windows, whatever the size of the images.

    Attributes
    ----------
    kernel_size, stride, dilation : pair of int
        (vertical, horizontal).
    padding : pair of pair of int
        ((top, bottom), (left, right)).
    ceil_mode : bool
        Whether a last window may hang over the end, if it starts inside the image or the padding before it.
    """

    kernel_size: Pair
    stride: Pair
    dilation: Pair
    padding: Padding
    ceil_mode: bool = False

    def windows(self, who: str, input_shape: tuple[int, ...], channels: int | None = None) -> Windows:
        """Return the windows over images (N, C, H, W).

        Raises
        ------
        ValueError
            If the shape has not four axes, other than `channels` channels, or no room for a window.
        """
        if len(input_shape) != 4:
            raise ValueError(f"{who} expects an input of shape (N, C, H, W), got {input_shape}")
        if channels is not None and input_shape[1] != channels:
            raise ValueError(f"{who} expects {channels} input channels, got an input of shape {input_shape}")
        counts = []
        for size, kernel, stride, dilation, (before, after) in zip(
            input_shape[2:], self.kernel_size, self.stride, self.dilation, self.padding, strict=True
        ):
            room = size + before + after - (dilation * (kernel - 1) + 1)  # behind the first window
            count = (-(-room // stride) if self.ceil_mode else room // stride) + 1
            if self.ceil_mode and (count - 1) * stride >= size + before:
                count -= 1
            counts.append(count)
        oH, oW = counts
        if min(oH, oW) < 1:
            raise ValueError(
                f"{who} can't fit a window of {self.kernel_size} into an input of shape {input_shape}: "
                f"the output would be {oH} x {oW}"
            )
        (top, _), (left, _) = self.padding
        return Windows(self.kernel_size, self.stride, self.dilation, (top, left), (oH, oW))
