"""``metrics.jsonl``: a line of JSON for each step and each evaluation, which grows while a run is trained."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import Any

from npalexnet.fields import FieldError
from npalexnet.files import open_regular, own, sync, unshare
from npalexnet.training.checkpoint import CheckpointError
from npalexnet.visualize.records import parse_record

_WHAT_TO_DO = "put it right, or move it away: without it the run goes on, and its curves begin anew"


class MetricsLog:
    """The lines of a run, on the disk and, as ``records``, in memory. A line is written completely or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: list[dict[str, Any]] = []
        self._unwritten: list[str] = []

    def add(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Take a line, to be written by `flush`; returns it: numbers that are not finite are None, JSON's null."""
        record = {k: None if isinstance(v, float) and not isfinite(v) else v for k, v in values.items()}
        self.records.append(record)
        self._unwritten.append(json.dumps(record, allow_nan=False) + "\n")
        return record

    @property
    def waits(self) -> bool:
        """Whether lines could not be written yet."""
        return bool(self._unwritten)

    def flush(self, *, to_disk: bool = False) -> None:
        """Write the lines that wait; with `to_disk`, return when they are on disk. On an OSError they still wait."""
        unshare(self.path)
        with open(self.path, "ab", opener=own) as file:
            size = os.fstat(file.fileno()).st_size
            try:
                file.write("".join(self._unwritten).encode())
                file.flush()
                if to_disk:
                    sync(file.fileno())
            except OSError:
                with suppress(OSError):
                    os.truncate(file.fileno(), size)
                    file.close()  # tries to write what its buffer still holds
                with open(self.path, "ab", opener=own) as again:
                    os.truncate(again.fileno(), size)
                raise
        self._unwritten = []

    def read(self, count: int) -> list[bytes]:
        """Return the file's first `count` lines, or none if there is no file; a CheckpointError if it is damaged."""
        if not os.path.lexists(self.path):
            return []
        try:
            with open_regular(self.path) as file:
                lines = list(islice(file, count))
        except (ValueError, FileNotFoundError) as error:  # a link that leads nowhere, among others
            raise CheckpointError(f"{self.path} is damaged: {error}; {_WHAT_TO_DO}") from None
        if len(lines) < count or not all(line.endswith(b"\n") for line in lines):
            what = f"it has fewer lines than the {count} of the checkpoint"
            raise CheckpointError(f"{self.path} is damaged: {what}; {_WHAT_TO_DO}")
        for number, line in enumerate(lines, 1):
            try:
                parse_record(line)
            except FieldError as error:
                raise CheckpointError(f"{self.path} is damaged: in line {number}, {error}; {_WHAT_TO_DO}") from None
        return lines

    def keep(self, lines: Sequence[bytes]) -> None:
        """Forget all lines but these, which `read` returned."""
        if self.path.exists():
            unshare(self.path)
            with open(self.path, "ab", opener=own) as file:
                os.truncate(file.fileno(), sum(map(len, lines)))
        self.records, self._unwritten = [json.loads(line) for line in lines], []
