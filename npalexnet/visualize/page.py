"""A self-contained HTML page: one file, with its pictures inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from npalexnet.visualize.html import paragraph, text

STYLE = Path(__file__).with_name("look.css")


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes
    ----------
    title, words : str
        Plain text: the heading, and a sentence or two below it.
    body : str
        HTML, made by `npalexnet.visualize.html`. A section without is left out.
    """

    title: str
    words: str
    body: str


def page(title: str, opening: str, sections: Sequence[Section]) -> str:
    """Return an HTML document, light or dark as the browser prefers, for wide screens and narrow ones.

    Parameters
    ----------
    title : str
        Plain text.
    opening : str
        HTML, what comes below the title.
    sections : sequence of Section
        What follows, with a link to each.
    """
    sections = [section for section in sections if section.body]
    links = "\n".join(f"<a href='#part-{i}'>{text(section.title)}</a>" for i, section in enumerate(sections))
    parts = "\n".join(
        f"<section>\n<h2 id='part-{i}'>{text(section.title)}</h2>\n"
        f"{paragraph(section.words) if section.words else ''}\n{section.body}\n</section>"
        for i, section in enumerate(sections)
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{text(title)}</title>
<link rel="icon" href="data:,">
<style>
{STYLE.read_text(encoding="utf-8")}</style>
</head>
<body>
<header>
<h1>{text(title)}</h1>
<nav>
{links}
</nav>
</header>
<main>
{opening}
{parts}
</main>
</body>
</html>
"""
