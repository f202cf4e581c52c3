"""Printing: output that can't be written, tables, progress bars, and the names of files."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import Any


class Steady:
    """A text stream that goes on where another one fails: what can't be written is left out.

    A reader may have left (``| head``), a disk be full, a terminal be closed, or the stream be None, as Python has it
    for one that was closed before the program began. None of these is a reason to end work that takes hours.

    Parameters
    ----------
    stream : text stream or None
        What is written to.
    essential : bool
        Whether the output is the result: then an error is an OSError, as usual.

    Attributes
    ----------
    lost : OSError or None
        Why something could not be written.
    """

    def __init__(self, stream: Any, *, essential: bool = False) -> None:
        self._stream, self.essential = stream, essential
        self.lost: OSError | None = None

    def write(self, text: str) -> int:
        """Write a text, with escapes for characters that the stream's encoding does not have."""
        try:
            if self._stream is None:
                raise OSError(errno.EBADF, "the output is closed")
            try:
                self._stream.write(text)
            except UnicodeEncodeError as error:
                self._stream.write(text.encode(error.encoding, "backslashreplace").decode(error.encoding))
        except (OSError, ValueError) as error:  # a ValueError: of a file that is closed
            self._note(error)
        return len(text)

    def flush(self) -> None:
        """Write what waits."""
        try:
            if self._stream is not None:
                self._stream.flush()
        except (OSError, ValueError) as error:
            self._note(error)

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        with suppress(OSError, ValueError):
            return self._stream is not None and bool(self._stream.isatty())
        return False

    @property
    def failed(self) -> bool:
        """Whether something is missing that somebody wanted: a reader of the result who has left has had enough."""
        return self.lost is not None and not (self.essential and isinstance(self.lost, BrokenPipeError))

    def _note(self, error: OSError | ValueError) -> None:
        self.lost = error if isinstance(error, OSError) else OSError(errno.EBADF, str(error))
        if isinstance(error, BrokenPipeError) and self.essential:
            raise error
        if self.essential:
            raise OSError(f"can't write to the standard output: {self.lost.strerror}") from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def steady_output() -> Iterator[tuple[Steady, Steady]]:
    """Context of a program in which both of its output streams are `Steady`; yields them.

    On leaving it, what could not be written is dropped: the interpreter would fail on it when it ends.
    """
    before: tuple[Any, Any] = sys.stdout, sys.stderr
    _open_standard_descriptors()
    streams = Steady(sys.stdout), Steady(sys.stderr)
    sys.stdout, sys.stderr = streams
    try:
        yield streams
    finally:
        sys.stdout, sys.stderr = before
        for steady, stream in zip(streams, before, strict=True):
            with suppress(OSError):
                steady.flush()
            if steady.lost and stream is not None and stream in (sys.__stdout__, sys.__stderr__):
                with suppress(OSError, ValueError):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _open_standard_descriptors() -> None:
    """Take the numbers of closed standard streams, which a file of the run would get else, and their output."""
    for descriptor in range(3) if os.name != "nt" else ():
        try:
            os.fstat(descriptor)
        except OSError:
            with suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free


def say(line: str = "", *, error: bool = False) -> None:
    """Print a line at once, on the standard output or error stream; one that can't be printed is left out."""
    stream = Steady(sys.stderr if error else sys.stdout)
    stream.write(f"{line}\n")
    stream.flush()


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return an aligned table; the first `left` columns are aligned to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    rule = ["-" * width for width in widths]

    def line(cells: Sequence[str]) -> str:
        padded = (c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True)))
        return "  ".join(padded).rstrip()

    return "\n".join(line(cells) for cells in (header, rule, *rows))


@contextmanager
def progress(what: str, total: int, unit: str = "image") -> Iterator[Callable[[int], object]]:
    """Context with a function that advances a progress bar by a number of images.

    The bar appears after a second, on a terminal and if tqdm is installed; elsewhere nothing is shown.
    """
    stream = Steady(sys.stderr)
    if not (stream.isatty() and find_spec("tqdm")):
        yield lambda done: None
        return
    from tqdm import tqdm

    with tqdm(desc=what, total=total, unit=unit, dynamic_ncols=True, leave=False, delay=1, file=stream) as bar:
        yield bar.update


def shown(text: str) -> str:
    """Return a text that holds names of files in a form that can be printed, whatever bytes the names consist of."""
    return os.fsencode(text).decode("utf-8", "replace")
