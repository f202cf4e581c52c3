"""Windows over images: where they are, how many fit, how far they reach. Convolution and pooling share them.

Symbols: N images, C channels, H x W pixels, windows of kH x kW, oH x oW of them. Sizes are exactly torch's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from npalexnet.checks import Pair

Sides = tuple[Pair, Pair]  # ((top, bottom), (left, right))


@dataclass(frozen=True)
class Windows:
    """The windows over images of one size: window (p, q) starts at pixel ``(p, q) * stride - padding``.

    Attributes
    ----------
    kernel_size, stride, dilation : pair of int
        (vertical, horizontal).
    padding : pair of int
        Rows above and columns to the left of the image; negative if the first window starts inside it.
    output_size : pair of int
        (oH, oW).
    """

    kernel_size: Pair
    stride: Pair
    dilation: Pair
    padding: Pair
    output_size: Pair

    def for_output_rows(self, part: slice) -> Windows:
        """Return only the windows of output rows ``part.start`` to ``part.stop - 1``, with their origin shifted."""
        top, left = self.padding
        padding = top - part.start * self.stride[0], left
        return replace(self, padding=padding, output_size=(part.stop - part.start, self.output_size[1]))

    def covered(self, H: int, W: int) -> tuple[Sides, tuple[slice, slice, slice]]:
        """Return what the windows cover: the width of the border outside the image, and the pixels inside.

        Returns
        -------
        border : ((top, bottom), (left, right))
            All of it, if no window touches the image.
        inside : tuple of slice
            Index of (N, H, W, C).
        """
        borders, inside = [], []
        for size, kernel, stride, dilation, padding, count in zip(
            (H, W), self.kernel_size, self.stride, self.dilation, self.padding, self.output_size, strict=True
        ):
            length = (count - 1) * stride + dilation * (kernel - 1) + 1  # from the first window's start, at -padding
            start = min(max(-padding, 0), size)
            stop = max(min(length - padding, size), start)
            before = min(max(start + padding, 0), length)
            borders.append((before, length - before - (stop - start)))
            inside.append(slice(start, stop))
        return (borders[0], borders[1]), (slice(None), inside[0], inside[1])

    def first_inside(self, H: int, W: int) -> tuple[list[int], list[int]]:
        """Return, for each output row, the first kernel row inside the image; and for each output column likewise.

        If none is inside: the kernel's size. Kernel row i of output row p is at ``p*stride + i*dilation - padding``.
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
    """What `Conv2d` and `MaxPool2d` know of their windows before they know the size of the images.

    Attributes
    ----------
    kernel_size, stride, dilation : pair of int
        (vertical, horizontal).
    padding : pair of pair of int
        ((top, bottom), (left, right)).
    ceil_mode : bool
        Whether a last window may extend past the end, if it starts inside the image or the padding before it.
    """

    kernel_size: Pair
    stride: Pair
    dilation: Pair
    padding: Sides
    ceil_mode: bool = False

    def windows(self, who: str, input_shape: tuple[int, ...], channels: int | None = None) -> Windows:
        """Return the windows over images (N, C, H, W).

        Raises
        ------
        ValueError
            If the shape has not four axes, has other than `channels` channels, or is too small for a window.
        """
        wrong = None
        if len(input_shape) != 4:
            wrong = f"{who} expects an input of shape (N, C, H, W), got {input_shape}"
        elif channels is not None and input_shape[1] != channels:
            wrong = f"{who} expects {channels} input channels, got an input of shape {input_shape}"
        if wrong is not None:
            raise ValueError(wrong + layout_advice(input_shape, lambda shape: channels in (None, shape[1])))
        counts = []
        for size, kernel, stride, dilation, (before, after) in zip(
            input_shape[2:], self.kernel_size, self.stride, self.dilation, self.padding, strict=True
        ):
            room = size + before + after - (dilation * (kernel - 1) + 1)  # for further windows, after the first
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


def layout_advice(shape: tuple[int, ...], fits: Callable[[tuple[int, ...]], bool]) -> str:
    """Return the end of a message about images of a wrong shape: what makes them (N, C, H, W), or nothing.

    `fits` says whether a shape would do.
    """
    axes = {
        ": channels come second, transpose it by .transpose(0, 3, 1, 2)": (0, 3, 1, 2),
        ": a batch comes first, add that axis by [None]": (None, 0, 1, 2),
        ": make a batch of it, channels second, by .transpose(2, 0, 1)[None]": (None, 2, 0, 1),
    }
    for advice, order in axes.items():
        if len(shape) != sum(axis is not None for axis in order):
            continue
        if fits(tuple(1 if axis is None else shape[axis] for axis in order)):
            return advice
    return ""


def padding_of_sides(padding: Pair | str, kernel_size: Pair, stride: Pair = (1, 1), dilation: Pair = (1, 1)) -> Sides:
    """Return ((top, bottom), (left, right)) for a pair (vertical, horizontal), "valid" or "same"; see `Conv2d`.

    Raises
    ------
    ValueError
        For "same" with another stride than 1, or another string.
    """
    if padding == "same":
        if stride != (1, 1):
            raise ValueError(f"padding='same' needs stride 1, got stride {stride}")
        vertical, horizontal = (d * (k - 1) for d, k in zip(dilation, kernel_size, strict=True))
        return (vertical // 2, vertical - vertical // 2), (horizontal // 2, horizontal - horizontal // 2)
    if padding == "valid":
        return (0, 0), (0, 0)
    if isinstance(padding, str):
        raise ValueError(f"padding must be an int, a pair of ints, 'same' or 'valid', got {padding!r}")
    vertical, horizontal = padding
    return (vertical, vertical), (horizontal, horizontal)
