"""A training process to be killed: ``python -m tests.training.child FOLDER [EVENT]``.

It trains a small network, or goes on where the folder's last checkpoint is. With EVENT it kills itself at that call of
fsync, replace or truncate, counted from 1: before, within and after the writing of a checkpoint.
"""

import os
import signal
import sys
from itertools import count
from pathlib import Path

from npalexnet.training import Run
from tests.fakes.figures import leave_blank
from tests.training.small import trainer_of

SETTINGS = {
    "count": 44, "batch_size": 8, "validation": 12, "epochs": 2, "accumulate": 2, "clip_norm": 2.0,
    "checkpoint_every": 1,
}  # fmt: skip


def kill_at(event):
    numbers = count(1)
    for name in ("fsync", "replace", "truncate"):
        original = getattr(os, name)

        def call(*arguments, original=original):
            if next(numbers) == event:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments)

        setattr(os, name, call)


def main(folder, event=None):
    leave_blank(setattr)
    if event is not None:
        kill_at(int(event))
    begun = any((folder / name).exists() for name in ("last.safetensors", "previous.safetensors"))
    run = Run.reopen(folder) if folder.exists() else Run(folder)
    trainer = trainer_of(run=run, schedule="plateau", **SETTINGS)
    if begun:
        trainer.resume()
    else:
        run.rewind(0)
    trainer.fit()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
