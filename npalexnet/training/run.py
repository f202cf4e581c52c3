"""The folder of a training run: weights, checkpoints, metrics and figures."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from npalexnet import visualize
from npalexnet.data.confusion import Confusion
from npalexnet.fields import Kind, List, Nullable, Record, Text, read_json
from npalexnet.files import atomic_write
from npalexnet.terminal import shown
from npalexnet.training.checkpoint import LAST, PREVIOUS, Check, load_checkpoint, load_newest, save_checkpoint
from npalexnet.training.folder import ATTEMPTS, CONFIG, METRICS, SPLIT, RunFolder
from npalexnet.training.folder import new_run_folder as new_run_folder
from npalexnet.training.folder import newest_run as newest_run
from npalexnet.training.metrics import write_confusion
from npalexnet.training.metrics_log import MetricsLog
from npalexnet.training.tensorboard import EventWriter
from npalexnet.weights import FILE_NAME, save_weights

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NAMES = List(Text(), most=10_000_000)
_SPLIT_FIELDS = Record({"train": _NAMES, "val": _NAMES})
_PLACES = {"data": Nullable(Text()), "labels": Nullable(Text())}
ALL_FILES = {CONFIG, SPLIT, METRICS, LAST, PREVIOUS, FILE_NAME}


def saved_split(folder: Path) -> dict[str, list[str]] | None:
    """Return how a run's pictures were split, or None; a damaged file is a ValueError."""
    path = folder / SPLIT
    return read_json(path, _SPLIT_FIELDS, most_bytes=100_000_000) if path.exists() else None


def saved_places(folder: Path) -> dict[str, str | None]:
    """Return where a run's data and list of labels are, as far as its settings say; a damaged file is a ValueError.

    The weights say so, too, but a run that was resumed with moved data may have older weights.
    """
    path = folder / CONFIG
    settings = read_json(path, Record({}, _PLACES, others=Kind())) if path.exists() else {}
    return {name: settings[name] for name in _PLACES if name in settings}


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
        self._begin(RunFolder.make(Path(folder)), metadata, grey)

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
        run._begin(RunFolder(folder), metadata, grey)
        with run.locked():
            run._place.remove_leftovers()
        return run

    @classmethod
    def numbered(cls, metadata: Mapping[str, Any] | None = None, *, grey: bool = False) -> Run:
        """Return a run in the first free one of ``runs/1``, ``runs/2``, ..., which no other process gets, too."""
        for _ in range(ATTEMPTS):
            folder = new_run_folder()
            try:
                run = cls(folder, metadata, grey=grey)
            except ValueError:  # another process was faster
                continue
            if run._place.made:
                return run
        raise ValueError(f"no free folder was found beside {folder}: name one with --out")

    def _begin(self, place: RunFolder, metadata: Mapping[str, Any] | None, grey: bool) -> None:
        self._place, self.folder, self.metadata, self.grey = place, place.path, dict(metadata or {}), grey
        self._log = MetricsLog(self.folder / METRICS)
        self._events = EventWriter(self.folder)
        self.notes: list[str] = []  # what the user should know of the folder

    def describe(self, **metadata: Any) -> None:
        """Add to `metadata` what it doesn't have yet."""
        self.metadata = {**metadata, **self.metadata}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Context in which no other process can train this run; a ValueError if one does so already."""
        with self._place.locked():
            yield

    def check_space(self, needed: int) -> None:
        """Raise an OSError unless there is room for `needed` bytes."""
        self._place.check_space(needed)

    def promises(self) -> str | None:
        """Return a note of what the folder's file system can't do for a run, or None."""
        return self._place.promises()

    def remove_leftovers(self) -> None:
        """Remove the temporary files of processes that were killed."""
        self._place.remove_leftovers()

    # --- metrics ---------------------------------------------------------------------------------------------------

    def record(self, **values: Any) -> None:
        """Add a line to ``metrics.jsonl``; numbers that are not finite become null.

        After an OSError the line is kept, and written with the next one that can be.
        """
        self._place.file(METRICS)
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
        if len(kept) < lines:
            self.notes.append(f"{self.folder / METRICS} is missing: the run goes on, and its curves begin anew")
        if checkpoint is not None and not self._is_last(checkpoint):
            with atomic_write(self.folder / LAST) as temporary:
                shutil.copyfile(checkpoint, temporary)
        self._log.keep(kept)
        self._events.rewind(self.records)

    # --- what was learned ------------------------------------------------------------------------------------------

    def save_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write ``config.json``, the options that ``--resume`` needs, or ``split.json``, the names of all pictures."""
        with atomic_write(self._place.file(name)) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    def save_weights(self, state: Mapping[str, np.ndarray], **metadata: Any) -> None:
        """Write ``weights.safetensors`` and ``filters.png``, in the place of earlier ones."""
        save_weights(self._place.file(FILE_NAME), state, {**self.metadata, **metadata})
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
        write_confusion(self._place.file("confusion.csv"), confusion, names)
        self._draw("confusion.png", lambda: visualize.confusion(confusion, names))

    def save_checkpoint(self, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> None:
        """Write ``last.safetensors``; the one before is kept as ``previous.safetensors``.

        On an OSError, for the checkpoint or a line of the metrics, the last good checkpoint is still there.
        """
        self._log.flush(to_disk=True)
        self._events.flush()
        save_checkpoint(self._place.file(LAST), tensors, {**metadata, "lines": len(self.records)})

    def remove_checkpoints(self) -> None:
        """Remove what only a resume needs."""
        for name in (LAST, PREVIOUS):
            (self.folder / name).unlink(missing_ok=True)

    def has_checkpoint(self) -> bool:
        """Whether there is a checkpoint to resume from, good or damaged."""
        return any((self.folder / name).exists() for name in (LAST, PREVIOUS))

    def has_weights(self) -> bool:
        """Whether weights were written."""
        return (self.folder / FILE_NAME).exists()

    def load_checkpoint(
        self, path: Path | None = None, check: Check = lambda tensors, metadata: None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the last checkpoint, or the one at `path`; see `npalexnet.training.checkpoint.load_newest`."""
        newest = path is None or self._is_last(path)
        return load_newest(self.folder, check)[1:] if newest or path is None else load_checkpoint(path, check)

    def close(self) -> None:
        """Close the event file; a record opens another one."""
        self._events.close()

    def discard_if_empty(self) -> bool:
        """Remove the folder, and the parents made for it, if nothing was learned; returns whether it did."""
        return not self.records and self._place.discard()

    def _is_last(self, path: Path) -> bool:
        return path.resolve() == (self.folder / LAST).resolve()

    def _draw(self, name: str, figure: Callable[[], Figure]) -> None:
        try:
            visualize.write_figure(self._place.file(name), figure())
        except OSError:
            raise
        except (
            Exception
        ):  # no matplotlib, no room for it, settings that it can't use: no pictures, but training goes on
            return
