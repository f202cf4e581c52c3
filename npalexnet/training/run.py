"""The folder of a training run: weights, checkpoints, metrics and figures."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from npalexnet import visualize
from npalexnet.data.confusion import Confusion
from npalexnet.files import atomic_write, locked, remove_leftovers
from npalexnet.terminal import shown
from npalexnet.training.checkpoint import LAST, PREVIOUS, load_checkpoint, load_newest, save_checkpoint
from npalexnet.training.metrics import write_confusion
from npalexnet.training.metrics_log import MetricsLog
from npalexnet.training.tensorboard import EventWriter
from npalexnet.weights import FILE_NAME, save_weights

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CONFIG, SPLIT, METRICS = "config.json", "split.json", "metrics.jsonl"
ALL_FILES = {CONFIG, SPLIT, METRICS, LAST, PREVIOUS, FILE_NAME}


def new_run_folder(parent: Path = Path("runs")) -> Path:
    """Return the first of ``runs/1``, ``runs/2``, ... that does not exist."""
    return next(parent / str(i) for i in count(1) if not (parent / str(i)).exists())


def saved_split(folder: Path) -> dict[str, list[str]] | None:
    """Return how a run's pictures were split, or None; a damaged file is a ValueError."""
    path = folder / SPLIT
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {part: [str(name) for name in content[part]] for part in ("train", "val")}
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None


def names_of_outputs(classes: Sequence[str], count: int) -> list[str]:
    """Return a name for each of `count` outputs: the classes', then ``unused 10``, ``unused 11``, ..."""
    return [*classes, *(f"unused {number}" for number in range(len(classes), count))]


class Run:
    """Writes a run's files.

    ``metrics.jsonl`` grows line by line; all other files are written atomically.

    Parameters
    ----------
    folder : Path or str
        It is made; one that holds anything already is refused, so that no run overwrites another.
    metadata : mapping
        Written to ``weights.safetensors``, too. `Trainer` adds the classes, and how validation images are prepared,
        unless they are given here.
    grey : bool
        Whether the images are grey: see `npalexnet.visualize.filters`.

    Raises
    ------
    ValueError
        If the folder exists and is not empty.
    OSError
        If it can't be made.
    """

    def __init__(self, folder: Path | str, metadata: Mapping[str, Any] | None = None, *, grey: bool = False) -> None:
        folder = Path(folder)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ValueError(
                f"{folder} holds something already; name a new folder, remove it first, or go on with "
                f"--resume {folder} (in Python, Run.reopen)"
            )
        self._made = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        self._begin(folder, metadata, grey)

    @classmethod
    def reopen(cls, folder: Path | str, metadata: Mapping[str, Any] | None = None, *, grey: bool = False) -> Run:
        """Return the run of a folder that an earlier process wrote, to continue it.

        Temporary files that a killed process left there are removed. A ValueError if it is not a run's folder.
        """
        folder = Path(folder)
        names = {path.name for path in folder.glob("[!.]*")}  # one killed at once may have left an empty folder
        if not folder.is_dir() or (names and not names & ALL_FILES):
            raise ValueError(f"{folder} is not the folder of a run: it holds none of {', '.join(sorted(ALL_FILES))}")
        run = cls.__new__(cls)
        run._made = []
        run._begin(folder, metadata, grey)
        with run.locked():
            remove_leftovers(folder)
        return run

    def _begin(self, folder: Path, metadata: Mapping[str, Any] | None, grey: bool) -> None:
        self.folder, self.metadata, self.grey = folder, dict(metadata or {}), grey
        self._log = MetricsLog(folder / METRICS)
        self._events = EventWriter(folder)
        self._holds = False

    def describe(self, **metadata: Any) -> None:
        """Add to `metadata` what it doesn't have yet."""
        self.metadata = {**metadata, **self.metadata}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Context in which no other process can train this run; a ValueError if one does so already."""
        if self._holds:
            yield
            return
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(self.folder))
            except BlockingIOError:
                raise ValueError(f"{self.folder} is in use: another process is training this run") from None
            self._holds = True
            stack.callback(setattr, self, "_holds", False)
            yield

    def check_space(self, needed: int) -> None:
        """Raise an OSError unless there is room for `needed` bytes."""
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise OSError(f"{self.folder} needs {needed / 1e6:.0f} MB of free space, but has {free / 1e6:.0f} MB")

    # --- metrics ---------------------------------------------------------------------------------------------------

    def record(self, **values: Any) -> None:
        """Add a line to ``metrics.jsonl``; numbers that are not finite become null.

        After an OSError the line is kept, and written with the next one that can be.
        """
        self._events.add(self._log.add(values))
        self._log.flush()

    @property
    def metrics_wait(self) -> bool:
        """Whether lines of the metrics could not be written yet."""
        return self._log.waits

    @property
    def records(self) -> list[dict[str, Any]]:
        """The lines of the metrics."""
        return self._log.records

    def rewind(self, lines: int, checkpoint: Path | None = None) -> None:
        """Forget all but the first lines of the metrics: the others are of steps that will be taken again.

        The `checkpoint` with that number of lines is copied to ``last.safetensors``, even over a newer one. Otherwise
        the next checkpoint would move that newer one, maybe damaged, to ``previous.safetensors``, over a good one,
        before it is in place itself.
        """
        kept = self._log.read(lines)
        if checkpoint is not None and not self._is_last(checkpoint):
            with atomic_write(self.folder / LAST) as temporary:
                shutil.copyfile(checkpoint, temporary)
        self._log.keep(kept)

    # --- what was learned ------------------------------------------------------------------------------------------

    def save_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write ``config.json``, the options that ``--resume`` needs, or ``split.json``, the names of all pictures."""
        with atomic_write(self.folder / name) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    def save_weights(self, state: Mapping[str, np.ndarray], **metadata: Any) -> None:
        """Write ``weights.safetensors`` and ``filters.png``, in the place of earlier ones."""
        save_weights(self.folder / FILE_NAME, state, {**self.metadata, **metadata})
        first = next((w for w in state.values() if w.ndim == 4 and w.shape[1] == 3), None)
        if first is not None:
            self._draw("filters.png", lambda: visualize.filters(first, grey=self.grey))

    def save_curves(self) -> None:
        """Write ``curves.png``."""
        if any("loss" in record for record in self.records):
            self._draw("curves.png", lambda: visualize.curves(self.records))

    def save_confusion(self, confusion: Confusion | np.ndarray, classes: Sequence[str]) -> None:
        """Write ``confusion.csv`` and ``confusion.png``."""
        names = names_of_outputs([*map(shown, classes)], len(confusion))
        write_confusion(self.folder / "confusion.csv", confusion, names)
        self._draw("confusion.png", lambda: visualize.confusion(confusion, names))

    def save_checkpoint(self, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> None:
        """Write ``last.safetensors``; the one before is kept as ``previous.safetensors``.

        On an OSError, for the checkpoint or a line of the metrics, the last good checkpoint is still there.
        """
        self._log.flush(to_disk=True)
        self._events.flush()
        save_checkpoint(self.folder / LAST, tensors, {**metadata, "lines": len(self.records)})

    def has_checkpoint(self) -> bool:
        """Whether there is a checkpoint to resume from, good or damaged."""
        return any((self.folder / name).exists() for name in (LAST, PREVIOUS))

    def has_weights(self) -> bool:
        """Whether weights were written."""
        return (self.folder / FILE_NAME).exists()

    def load_checkpoint(self, path: Path | None = None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the last checkpoint, or the one at `path`; see `npalexnet.training.checkpoint.load_newest`."""
        return load_newest(self.folder)[1:] if path is None or self._is_last(path) else load_checkpoint(path)

    def close(self) -> None:
        """Close the event file; a record opens another one."""
        self._events.close()

    def discard_if_empty(self) -> bool:
        """Remove the folder, and the parents made for it, if nothing was learned; returns whether it did."""
        if self.records or not self._made or any(p.name not in (CONFIG, SPLIT) for p in self.folder.iterdir()):
            return False
        for name in (CONFIG, SPLIT):
            (self.folder / name).unlink(missing_ok=True)
        with suppress(OSError):  # others use it by now
            for path in self._made:
                path.rmdir()
        return True

    def _is_last(self, path: Path) -> bool:
        return path.resolve() == (self.folder / LAST).resolve()

    def _draw(self, name: str, figure: Callable[[], Figure]) -> None:
        try:
            drawn = figure()
        except ModuleNotFoundError:  # no matplotlib, no pictures
            return
        visualize.write_figure(self.folder / name, drawn)
