"""Kill ``npalexnet train`` at random moments, resume it, and compare its end with that of a run that was left alone::

    python tests/scripts/kill_and_resume.py [KILLS] [FOLDER] [SIGNAL...]

Each of KILLS runs (20 by default) of a few images is killed by SIGKILL, or by a SIGNAL such as TERM, HUP and USR1 (in
turn), once or several times, and resumed until it is finished; after a SIGNAL its status must be 128 + the number. One
that was faster than its killer does not count. Then its weights, velocities, generators and counters, and the lines of
its metrics apart from their times, must be the same bits as those of the undisturbed run. A line is printed for each;
the exit status is 1 if one differs. A run takes 1.2 GB in FOLDER (by default, a temporary one) and is removed when it
was compared.
"""

import itertools
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
OPTIONS = [
    "--train-images", "8", "--validation-images", "4", "--batch-size", "2", "--accumulate", "2", "--epochs", "2",
    "--schedule", "cosine", "--clip-norm", "5", "--checkpoint-every", "1", "--workers", "2",
]  # fmt: skip


def npalexnet(*arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "npalexnet", "train", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def command_line(folder: Path) -> list[str]:
    """Go on where the run has begun, with or without a checkpoint; a folder without a configuration is no run yet."""
    if (folder / "config.json").exists():
        return ["--resume", str(folder)]
    shutil.rmtree(folder, ignore_errors=True)
    return [*OPTIONS, "--out", str(folder)]


def moment(folder: Path, seconds: float) -> str:
    """What the process was doing, as far as its files tell."""
    writing = sorted(path.name.split(".")[1] for path in folder.glob(".*.tmp*")) if folder.exists() else []
    metrics = folder / "metrics.jsonl"
    lines = metrics.read_bytes().count(b"\n") if metrics.exists() else 0
    return f"after {seconds:.2f} s, {lines} lines" + (f", writing {', '.join(writing)}" if writing else "")


def disturbed(folder: Path, moments: random.Random, longest: float, sent: signal.Signals) -> Iterator[str]:
    """Kill a run at a random moment, and then, with a chance of one half each, again; then let it finish."""
    while True:
        process, wait = npalexnet(*command_line(folder)), moments.uniform(0.5, longest)
        time.sleep(wait)
        process.send_signal(sent)
        errors = process.communicate()[1]
        if process.returncode == 0:
            return
        if process.returncode not in (128 + sent, -sent):  # the latter before the program has begun to listen
            raise SystemExit(f"{sent.name} ended it with status {process.returncode}: {errors}")
        yield moment(folder, wait)
        if moments.random() < 0.5:
            break
    process = npalexnet(*command_line(folder))
    errors = process.communicate()[1]
    if process.returncode:
        raise SystemExit(f"the resumed run failed: {errors}")


def ending(folder: Path) -> tuple[list[dict], bytes, bytes]:
    """Return the lines of the metrics without times, and the files of the last checkpoint and of the weights."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        line.pop("seconds", None)
    return lines, (folder / "last.safetensors").read_bytes(), (folder / "weights.safetensors").read_bytes()


def main(kills: int, parent: Path, signals: list[signal.Signals]) -> int:
    whole, folder, identical = parent / "undisturbed", parent / "killed", 0
    started = time.monotonic()
    process = npalexnet(*OPTIONS, "--out", str(whole))
    errors = process.communicate()[1]
    if process.returncode:
        raise SystemExit(f"the undisturbed run failed: {errors}")
    longest = time.monotonic() - started
    expected, moments = ending(whole), random.Random(0)
    shutil.rmtree(whole)
    print(f"undisturbed: {len(expected[0])} lines of metrics, {longest:.1f} s", flush=True)
    number = total = 0
    turns = itertools.cycle(signals)
    while number < kills:
        sent = next(turns)
        met = list(disturbed(folder, moments, 0.8 * longest, sent))
        if not met:
            shutil.rmtree(folder)
            continue
        number, total = number + 1, total + len(met)
        found = ending(folder)
        names = ("metrics", "checkpoint", "weights")
        wrong = [name for name, one, two in zip(names, expected, found, strict=True) if one != two]
        identical += not wrong
        verdict = f"DIFFERENT: {', '.join(wrong)}" if wrong else "identical"
        print(f"run {number}: {sent.name} {'; '.join(met)}: {verdict}", flush=True)
        shutil.rmtree(folder)
    print(f"{identical} of {kills} runs, killed {total} times in all, ended with the same bits")
    return 0 if identical == kills else 1


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    given = [signal.Signals[f"SIG{name}"] for name in sys.argv[3:]] or [signal.SIGKILL]
    if len(sys.argv) > 2:
        sys.exit(main(count, Path(sys.argv[2]), given))
    with tempfile.TemporaryDirectory() as temporary:
        sys.exit(main(count, Path(temporary), given))
