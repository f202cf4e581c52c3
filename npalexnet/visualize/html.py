"""What a page is made of: text, tiles in a grid, bars, tables, parts that unfold. All texts are plain: see `text`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from npalexnet.terminal import shown

Box = tuple[float, float, float, float]  # left, top, width, height, as fractions of an image


def text(words: str) -> str:
    """Return plain text as HTML: what looks like a tag is no tag, and every character can be seen."""
    return escape(shown(words))


def paragraph(words: str) -> str:
    """Return a paragraph."""
    return f"<p>{text(words)}</p>"


def tile(address: str, description: str, lines: Sequence[str] = (), *, box: Box | None = None) -> str:
    """Return an image with lines of text below it.

    Parameters
    ----------
    address : str
        Where the image is: of `npalexnet.visualize.tiles`, in the address itself.
    description : str
        What it shows, for those who can't see it.
    lines : sequence of str
        The first one stands out.
    box : tuple of four floats, optional
        A frame on the image: left, top, width and height, as fractions of it.
    """
    frame = ""
    if box is not None:
        places = zip(("left", "top", "width", "height"), box, strict=True)
        frame = f"<i style='{';'.join(f'{name}:{100 * part:.2f}%' for name, part in places)}'></i>"
    words = [f"<b>{text(lines[0])}</b>", *(f"<span>{text(line)}</span>" for line in lines[1:])] if lines else []
    caption = f"<figcaption>{''.join(words)}</figcaption>" if words else ""
    image = f"<img alt='{text(description)}' src='{address}'>"
    return f"<figure class='tile'><div class='image'>{image}{frame}</div>{caption}</figure>"


def grid(tiles: Iterable[str], kind: str = "") -> str:
    """Return tiles in rows, as many in each as have room; `kind` is "small" for narrow ones, "tiny", or "hero"."""
    return f"<div class='grid {kind}'>{''.join(tiles)}</div>"


def bars(rows: Sequence[tuple[str, float, str]]) -> str:
    """Return a bar for each name, with its length from 0 to 1 (negative: to the left's colour) and its number."""
    lines = (
        f"<li><span>{text(name)}</span><b>{text(number)}</b>"
        f"<i class='{_sign(length)}' style='width:{100 * min(1, abs(length)):.1f}%'></i></li>"
        for name, length, number in rows
    )
    return f"<ol class='bars'>{''.join(lines)}</ol>"


def _sign(length: float) -> str:
    return "minus" if length < 0 else "plus"


def facts(rows: Sequence[tuple[str, str]]) -> str:
    """Return a table of names and values."""
    lines = "".join(f"<tr><th scope='row'>{text(name)}</th><td>{text(value)}</td></tr>" for name, value in rows)
    return f"<table class='facts'>{lines}</table>"


def unfolding(title: str, note: str, body: str, *, is_open: bool) -> str:
    """Return a part that unfolds at a click on its title."""
    heading = f"<summary><b>{text(title)}</b> <span>{text(note)}</span></summary>"
    return f"<details{' open' * is_open}>{heading}{body}</details>"
