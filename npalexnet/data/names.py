"""Names of files and classes: which are left out, which are equal, and how many a message lists."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from itertools import islice

MOST_LISTED = 10  # names in a message
# What systems and programs leave in folders of pictures; all names that begin with a dot are left out, too.
_RUBBISH = {
    "__macosx", "__pycache__", "@eadir", "@recycle", "#recycle", "$recycle.bin", "system volume information",
    "lost+found", "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "thumbs.db:encryptable", "desktop.ini", "picasa.ini",
    "icon\r",
}  # fmt: skip


def is_rubbish(name: str) -> bool:
    """Return whether a file or folder is hidden, or something that systems leave in folders of pictures."""
    return name.startswith(".") or name.lower() in _RUBBISH


def normal(name: str) -> str:
    """Return the same for names that look the same: é is one character on some file systems, two on others."""
    return unicodedata.normalize("NFC", name)


def quoted(names: Collection[str]) -> str:
    """Return names for a message, each in quotation marks; of many the first, and how many there are."""
    return listed([*map(repr, names)])


def listed(names: Collection[str], most: int = MOST_LISTED) -> str:
    """Return names for a message: all, or the first and how many there are."""
    some = ", ".join(islice(names, most))
    return some if len(names) <= most else f"{some}, ... ({len(names):,} in all)"
