"""Event files for TensorBoard, where tensorboard or tensorboardX is installed."""

from __future__ import annotations

import time
from collections.abc import Mapping
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
        self._kind = next((name for name in ("tensorboard", "tensorboardX") if find_spec(name)), None)

    def add(self, record: Mapping[str, Any]) -> None:
        """Write the numbers of a line of ``metrics.jsonl``."""
        values = {NAMES[name]: value for name, value in record.items() if name in NAMES and value is not None}
        if self._kind is None or not values:
            return
        with suppress(OSError):  # a full disk is noticed with the files that matter
            if self._writer is None:
                self._writer = self._open()
            for name, value in values.items():
                self._add(name, float(value), int(record["step"]))

    def _open(self) -> Any:
        if self._kind == "tensorboardX":
            from tensorboardX import SummaryWriter

            return SummaryWriter(str(self._folder))
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        return EventFileWriter(str(self._folder))

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
            with suppress(OSError):
                self._writer.flush()

    def close(self) -> None:
        """Write what waits, and end."""
        if self._writer is not None:
            with suppress(OSError):
                self._writer.close()
            self._writer = None
