"""``metrics.jsonl``: a line of JSON for each step and each evaluation, which grows while a run is trained."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import isfinite
from pathlib import Path
from typing import Any

from npalexnet.files import own, sync, unshare
from npalexnet.training.checkpoint import CheckpointError


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
        """Return the file's first `count` lines; a CheckpointError if there are fewer, or they are not JSON."""
        content = self.path.read_bytes() if self.path.exists() else b""
        lines = content.splitlines(keepends=True)[:count]
        if len(lines) < count or not all(line.endswith(b"\n") for line in lines):
            raise CheckpointError(f"{self.path} is damaged: it has fewer lines than the {count} of the checkpoint")
        try:
            for line in lines:
                json.loads(line)
        except ValueError as error:  # not JSON, or not even text
            raise CheckpointError(f"{self.path} is damaged: {error}") from None
        return lines

    def keep(self, lines: Sequence[bytes]) -> None:
        """Forget all lines but these, which `read` returned."""
        if self.path.exists():
            unshare(self.path)
            with open(self.path, "ab", opener=own) as file:
                os.truncate(file.fileno(), sum(map(len, lines)))
        self.records, self._unwritten = [json.loads(line) for line in lines], []
