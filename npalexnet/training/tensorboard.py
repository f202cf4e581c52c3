"""Event files for TensorBoard, where tensorboard or tensorboardX is installed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

NAMES = {  # of values in metrics.jsonl: their tags in event files, which stay the same from version to version
    "loss": "training/loss", "accuracy": "training/accuracy", "lr": "training/lr", "grad_norm": "training/grad_norm",
    "test_loss": "held-out/loss", "test_accuracy": "held-out/top-1", "test_top5": "held-out/top-5",
}  # fmt: skip


class EventWriter:
    """Writes a run's metrics as scalars to its folder; does nothing where no package for that is installed.

    A file is made with the first metrics, and with the first ones after `close`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None
        self._again: list[Mapping[str, Any]] | None = None  # what a resumed run begins with, see `rewind`
        self._kind = next((name for name in ("tensorboard", "tensorboardX") if find_spec(name)), None)

    def rewind(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Have TensorBoard forget all steps after these records, which a resumed run will take again.

        It forgets all values from a step on: the last one's are written anew.
        """
        if next(self._folder.glob("events.out.tfevents.*"), None) is not None:
            last = records[-1]["step"] if records else 0
            self._again = [{"step": last}, *(record for record in records if record["step"] == last)]

    def add(self, record: Mapping[str, Any]) -> None:
        """Write the numbers of a line of ``metrics.jsonl``."""
        values = {NAMES[name]: value for name, value in record.items() if name in NAMES and value is not None}
        if self._kind is None or not values:
            return
        with suppress(Exception):  # a full disk is noticed with the files that matter; no package ends training
            if self._writer is None:
                before, self._again = self._again, None
                kind, self._kind = self._kind, None  # a package that can't be used is asked once
                self._writer = self._open(kind, None if before is None else int(before[0]["step"]))
                self._kind = kind
                for earlier in before or ():
                    self.add(earlier)
            for name, value in values.items():
                self._add(name, float(value), int(record["step"]))

    def _open(self, kind: str, purge_step: int | None) -> Any:
        if kind == "tensorboardX":
            from tensorboardX import SummaryWriter

            return SummaryWriter(str(self._folder), **({} if purge_step is None else {"purge_step": purge_step}))
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        writer = EventFileWriter(str(self._folder))
        if purge_step is not None:
            from tensorboard.compat.proto.event_pb2 import Event, SessionLog

            start = SessionLog(status=SessionLog.START)
            writer.add_event(Event(wall_time=time.time(), step=purge_step, session_log=start))
        return writer

    def _add(self, name: str, value: float, step: int) -> None:
        if self._kind == "tensorboardX":
            self._writer.add_scalar(name, value, step)
            return
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        summary = Summary(value=[Summary.Value(tag=name, simple_value=value)])
        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))

    def flush(self) -> None:
        """Write what waits."""
        if self._writer is not None:
            with suppress(Exception):
                self._writer.flush()

    def close(self) -> None:
        """Write what waits, and end."""
        if self._writer is not None:
            with suppress(Exception):
                self._writer.close()
            self._writer = None
