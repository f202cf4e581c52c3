"""A self-contained HTML page: one file, with its pictures inside."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from npalexnet.terminal import shown

STYLE = """
:root { color-scheme: light dark; --text: #1c1e21; --back: #f6f6f4; --card: #ffffff; --line: #d9d9d6; --soft: #62666c; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e6e3; --back: #17181a; --card: #222427; --line: #3a3d41; --soft: #a4a8ae; }
}
body { margin: 0 auto; padding: 2rem 1rem 4rem; max-width: 64rem; background: var(--back); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { margin: 0 0 1rem; font-size: 1.8rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 3rem 0 0.5rem; padding-top: 1rem; border-top: 1px solid var(--line); font-size: 1.3rem; }
p, figcaption { max-width: 48rem; }
nav { margin-top: 1rem; }
nav a { display: inline-block; margin-right: 1rem; color: inherit; }
table { border-collapse: collapse; }
td, th { padding: 0.2rem 1.2rem 0.2rem 0; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th { color: var(--soft); font-weight: normal; white-space: nowrap; }
@media (max-width: 36rem) { th, td { display: block; padding: 0; } td { padding-bottom: 0.5rem; } }
figure { margin: 1rem 0; padding: 0.7rem; background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  overflow-x: auto; }
figure img { display: block; max-width: 100%; height: auto; background: #ffffff; border-radius: 4px; cursor: zoom-in; }
figure img:focus { max-width: none; outline: none; }
figcaption { margin-top: 0.5rem; color: var(--soft); font-size: 0.9rem; overflow-wrap: anywhere; }
"""


@dataclass(frozen=True)
class Section:
    """A section of the page: a heading, a sentence or two, and pictures.

    Attributes
    ----------
    title, text : str
        Plain text.
    pictures : sequence of (Path, str)
        PNG files and their captions.
    """

    title: str
    text: str
    pictures: Sequence[tuple[Path, str]]


def page(title: str, facts: Sequence[tuple[str, str]], sections: Sequence[Section]) -> str:
    """Return an HTML document, light or dark as the browser prefers; a click shows a picture in full size.

    Parameters
    ----------
    title : str
        Plain text, like all other texts.
    facts : sequence of pair of str
        Names and values, for a table below the title.
    sections : sequence of Section
        Sections without pictures are left out.
    """
    sections = [section for section in sections if section.pictures]
    rows = "\n".join(f"<tr><th scope='row'>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in facts)
    links = "\n".join(f"<a href='#part-{i}'>{_text(section.title)}</a>" for i, section in enumerate(sections))
    parts = "\n".join(_section(i, section) for i, section in enumerate(sections))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_text(title)}</title>
<link rel="icon" href="data:,">
<style>{STYLE}</style>
</head>
<body>
<h1>{_text(title)}</h1>
<table>
{rows}
</table>
<nav>{links}</nav>
{parts}
</body>
</html>
"""


def _section(number: int, section: Section) -> str:
    figures = "\n".join(_figure(path, caption, section.title) for path, caption in section.pictures)
    return f"<h2 id='part-{number}'>{_text(section.title)}</h2>\n<p>{_text(section.text)}</p>\n{figures}"


def _figure(path: Path, caption: str, title: str) -> str:
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    below = f"<figcaption>{_text(caption)}</figcaption>" if caption else ""
    image = f"<img tabindex='0' alt='{_text(caption or title)}' src='data:image/png;base64,{data}'>"
    return f"<figure>{image}{below}</figure>"


def _text(text: str) -> str:
    return escape(shown(text))
