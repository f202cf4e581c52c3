"""Fonts for names in any script: matplotlib's own lacks Chinese characters, Devanagari, most emoji and others."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Set
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, filterwarnings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger("npalexnet")
_told: set[str] = set()  # characters without a font that the user knows of


@contextmanager
def without_warnings() -> Iterator[None]:
    """Context without matplotlib's warnings about characters, one each: `add_fonts` says it once."""
    with catch_warnings():
        filterwarnings("ignore", r"Glyph \d+ .*missing from|Matplotlib currently does not support", UserWarning)
        yield


def add_fonts(figure: Figure) -> bool:
    """Give a figure's texts further fonts for what their own lack; returns whether there are any.

    To be called after the figure was drawn once: only then does it have the names along its axes. Characters that no
    font has are logged as a warning, once each.
    """
    from matplotlib.font_manager import FontProperties, findfont
    from matplotlib.ft2font import FT2Font
    from matplotlib.text import Text

    texts: list[Any] = [text for text in figure.findobj(Text) if not text.get_text().isascii()]
    lacking: set[str] = set()
    for families in {tuple(text.get_fontfamily()) for text in texts}:
        fonts = [FT2Font(findfont(FontProperties(family=[family]))) for family in families]
        used = {c for text in texts if tuple(text.get_fontfamily()) == families for c in text.get_text()}
        lacking |= {c for c in used if c.isprintable() and not any(font.get_char_index(ord(c)) for font in fonts)}
    lacking = {c for c in lacking if not "\ufe00" <= c <= "\ufe0f"}  # which choose between forms of an emoji
    if not lacking:
        return False
    found, nowhere = _families_with(lacking)
    for text in texts:
        text.set_fontfamily([*text.get_fontfamily(), *found])
    if untold := sorted(nowhere - _told):
        _told.update(untold)
        logger.warning(
            "Figures show boxes for %s%s: matplotlib knows no font with these characters. Install one, such as Noto "
            "Sans for their script, and delete the list of fonts in %s.",
            " ".join(untold[:10]), " ..." * (len(untold) > 10), _cache(),
        )  # fmt: skip
    return bool(found)


def _families_with(characters: Set[str]) -> tuple[list[str], set[str]]:
    """Return as few known families as have the characters, and the characters that none has."""
    from matplotlib.font_manager import fontManager
    from matplotlib.ft2font import FT2Font

    has: dict[str, set[str]] = {}
    for entry in fontManager.ttflist:
        if entry.name in has or "lastresort" in entry.name.lower().replace(" ", ""):  # which draws boxes for all
            continue
        try:
            font = FT2Font(entry.fname)
        except (OSError, RuntimeError):  # uninstalled since matplotlib made its list, or of a kind that it can't read
            continue
        if font.scalable:  # emoji in colours may be pictures of one size, which matplotlib refuses
            has[entry.name] = {c for c in characters if font.get_char_index(ord(c))}
    families: list[str] = []
    left = set(characters)
    while best := max(sorted(has), key=lambda name: len(has[name] & left), default=None):
        if not has[best] & left:
            break
        families.append(best)
        left -= has.pop(best)
    return families, left


def _cache() -> str:
    from matplotlib import get_cachedir

    return get_cachedir()
