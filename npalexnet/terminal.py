"""Text for people: what reaches a terminal or a spreadsheet, tables and progress bars."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from importlib.util import find_spec
from typing import Any
from unicodedata import category, combining, east_asian_width

# Control characters, marks without a width (some turn the direction of writing), half a character, ends of lines.
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # what a spreadsheet computes


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return an aligned table; the first `left` columns are aligned to the left, the others to the right."""
    widths = [max(map(_columns, column)) for column in zip(header, *rows, strict=True)]
    rule = ["-" * width for width in widths]

    def line(cells: Sequence[str]) -> str:
        spaces = [" " * (width - _columns(cell)) for cell, width in zip(cells, widths, strict=True)]
        padded = (c + s if i < left else s + c for i, (c, s) in enumerate(zip(cells, spaces, strict=True)))
        return "  ".join(padded).rstrip()

    return "\n".join(line(cells) for cells in (header, rule, *rows))


def _columns(text: str) -> int:
    """Return how many columns of a terminal a text takes: a Chinese character takes two, an accent none."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(c) else 1 + (east_asian_width(c) in "WF") for c in text)


def shows_bars() -> bool:
    """Whether progress bars are shown: with tqdm, on a terminal or, with ipywidgets, in a notebook."""
    in_notebook = "ipykernel.zmqshell" in sys.modules and find_spec("ipywidgets")
    return bool((in_notebook or Console(sys.stderr).isatty()) and find_spec("tqdm"))


@contextmanager
def progress(what: str, total: int, unit: str = "image") -> Iterator[Callable[[int], object]]:
    """Context with a function that advances a progress bar by a number of images.

    The bar appears after a second, on a terminal or in a notebook, if tqdm is installed; elsewhere nothing is shown.
    """
    stream = Console(sys.stderr)
    if not shows_bars():
        yield lambda done: None
        return
    from tqdm.auto import tqdm

    with tqdm(desc=what, total=total, unit=unit, dynamic_ncols=True, leave=False, delay=1, file=stream) as bar:
        yield bar.update


# --- names -------------------------------------------------------------------------------------------------------


def shown(text: str, keep: str = "") -> str:
    r"""Return a text in which every character can be seen, on one line: a name of a file or a class can hold any.

    Characters that a terminal would obey or hide are written as escapes: ``\x1b``, ``\n``, ``\u202e`` and, for a byte
    that is no text, ``\xe9``. Those in `keep` stay.
    """
    if text.isprintable():
        return text
    return "".join(_escaped(c) if c not in keep and category(c) in _HIDDEN else c for c in text)


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte, as Python reads names that are no text
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def reason(error: BaseException) -> str:
    """Return an error's message; of an error of the system's about a file, the file and what is wrong with it."""
    if not isinstance(error, OSError) or error.strerror is None or not isinstance(error.filename, str | bytes):
        return str(error)
    name = os.fsdecode(error.filename)
    if error.errno == errno.ENOENT and os.path.islink(name):
        return f"{name} is a link to {os.readlink(name)}, which does not exist"
    return f"{error.strerror}: '{name}'"


def valid(text: str) -> str:
    """Return a text that is valid Unicode as it is, and another as it is `shown`."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return shown(text)
    return text


def as_json(value: Any) -> str:
    """Return a line of JSON that means the same on any output: what a terminal would obey, or lacks, has escapes."""
    text = json.dumps(value, ensure_ascii=not (sys.stdout.encoding or "").lower().startswith("utf"))
    return "".join(json.dumps(c)[1:-1] if category(c) in _HIDDEN else c for c in text)


def spreadsheet_cell(text: str) -> str:
    """Return a text for a CSV file, with an apostrophe before what a spreadsheet would compute as a formula."""
    return f"'{text}" if text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA) else text


# --- standard output and standard error --------------------------------------------------------------------------


class Console:
    """A standard stream that never ends the program.

    A character that a terminal would obey is written as an escape, see `shown`, as is one that the stream's encoding
    lacks. When writing fails (the disk is full, the reader has left), the rest is dropped, and `failure` says why.

    Parameters
    ----------
    stream : text stream or None
        `sys.stdout` or `sys.stderr`; None where it was closed before Python began.
    """

    def __init__(self, stream: Any) -> None:
        self.failure: OSError | ValueError | None = None
        self._stream = stream
        if stream is None:
            self.failure = OSError(errno.EBADF, os.strerror(errno.EBADF))

    def write(self, text: str) -> int:
        """Write a text, if that is still possible."""
        if self.failure is None:
            try:
                self._stream.write(_printable(text, self._stream))
            except (OSError, ValueError) as error:  # a ValueError: the stream was closed
                self._fail(error)
        return len(text)

    def flush(self) -> None:
        """Hand on what was written, if that is still possible."""
        if self.failure is None:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._fail(error)

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        with suppress(OSError, ValueError):
            return self._stream is not None and bool(self._stream.isatty())
        return False

    def _fail(self, error: OSError | ValueError) -> None:
        self.failure = error
        # What is left in its buffer must not fail once more when Python ends.
        with suppress(OSError, ValueError, AttributeError):
            number = self._stream.fileno()
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, number)
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def console() -> Iterator[Console]:
    """Context in which standard output and standard error are a `Console`; the value is that of standard output."""
    _fill_standard_descriptors()
    streams: list[Any] = [Console(sys.stdout), Console(sys.stderr)]
    try:
        with redirect_stdout(streams[0]), redirect_stderr(streams[1]):
            yield streams[0]
    finally:
        for stream in streams:
            stream.flush()


def say(line: str = "", *, error: bool = False) -> None:
    """Print a line at once, to standard output or standard error, if it can be printed: also outside of a `console`."""
    stream = sys.stderr if error else sys.stdout
    if stream is not None:
        with suppress(OSError, ValueError):
            print(_printable(line, stream), file=stream, flush=True)


def _printable(text: str, stream: Any) -> str:
    """Return a text that a stream's encoding has, and in which a terminal finds nothing to obey but ends of lines."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return shown(text, keep="\n\r\t").encode(encoding, "backslashreplace").decode(encoding)


def output_works() -> bool:
    """Whether all that was printed to standard output so far has arrived."""
    sys.stdout.flush()
    return getattr(sys.stdout, "failure", None) is None


def _fill_standard_descriptors() -> None:
    """Open the null device where a standard stream is closed: else the next file has its number, and gets its text."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
