"""``python -m npalexnet.exercises.child FOLDER NAME RESULT SECONDS``: judges an exercise, writes the verdict to a file.

It is a process of its own, so that endless loops, exits and crashes of the reader's code end it, and not the command.
"""

from __future__ import annotations

import faulthandler
import json
import sys
from dataclasses import asdict
from pathlib import Path

from npalexnet.exercises.reader import judge


def main(folder: str, name: str, result: str, seconds: str) -> None:
    """Judge an exercise; after so many seconds, write where the reader's code is and stop."""
    sys.dont_write_bytecode = True  # nothing appears in the reader's folder
    with open(f"{result}.stack", "w", encoding="utf-8") as stack:
        faulthandler.dump_traceback_later(float(seconds), exit=True, file=stack)
        verdict = judge(Path(folder), name)
        faulthandler.cancel_dump_traceback_later()
    Path(result).write_text(json.dumps(asdict(verdict)), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
