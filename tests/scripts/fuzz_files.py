"""Alter the files of a run in hundreds of ways, and see what the commands make of them::

    python tests/scripts/fuzz_files.py [COUNT] [SEED]

Each field of ``config.json``, of a line of ``metrics.jsonl`` and of the descriptions in a checkpoint and in weights
(with right checksums) becomes null, a list, text, -1, NaN, infinite, huge, an object, or is taken out; each file is cut
short, has bits flipped, or has a header that lies. Of all these cases, COUNT (600 by default) are drawn by SEED. A
command must either do its work, or end with status 1 and one line that names the file, and then no file may have
changed. A traceback, more than a minute, or a gigabyte more memory is a fault, too. Faults are printed, and how many
cases were tried; the exit status is 1 if there was a fault.
"""

import io
import json
import random
import signal
import sys
import tempfile
import traceback
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from npalexnet.cli import main as command
from npalexnet.visualize import curves
from npalexnet.visualize.results import read_metrics
from tests.networks import TINY, narrow

ROOT = Path(__file__).parents[2]
PICTURE = str(ROOT / "docs" / "ankle-boot.png")
SECONDS, MOST_MEMORY = 60, 2**30
ODD = (None, [], ["x"], "odd", "", -1, float("nan"), float("inf"), 10**30, {}, True, 1.5)
GONE = object()  # in the place of a value: the field is taken out
Bytes = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Case:
    """An altered file, and the command that reads it."""

    name: str
    file: str
    command: str  # "resume", "predict" or "curves"
    alter: Bytes
    field: str = ""  # which a message may name instead of the file: a folder of data that isn't there, a device


# --- cases ------------------------------------------------------------------------------------------------------------


def places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """Yield the paths of all fields in a value, and of the first item of each list."""
    items = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def replaced(value: Any, path: tuple, new: Any) -> Any:
    """Return a copy of a value with another item at a path."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1 and new is GONE:
        del copy[path[0]]
    else:
        copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def in_json(change: Callable[[Any], Any]) -> Bytes:
    return lambda content: json.dumps(change(json.loads(content))).encode()


def in_first_line(change: Callable[[Any], Any]) -> Bytes:
    def alter(content: bytes) -> bytes:
        first, others = content.split(b"\n", 1)
        return in_json(change)(first) + b"\n" + others

    return alter


def in_header(change: Callable[[dict], dict]) -> Bytes:
    """Alter the header of a safetensors file, whose data stay."""

    def alter(content: bytes) -> bytes:
        end = 8 + int.from_bytes(content[:8], "little")
        header = json.dumps(change(json.loads(content[8:end]))).encode()
        return len(header).to_bytes(8, "little") + header + content[end:]

    return alter


def in_description(change: Callable[[Any], Any]) -> Bytes:
    """Alter the description in a checkpoint or in weights, with the checksum that it then has."""

    def alter(header: dict) -> dict:
        texts = dict(header["__metadata__"])
        if "npalexnet-checkpoint" in texts:
            content = json.loads(texts["npalexnet-checkpoint"])
            about = change(content["about"])
            checksum = zlib.crc32(json.dumps(about, sort_keys=True).encode())
            texts["npalexnet-checkpoint"] = json.dumps({**content, "about": about, "checksum": checksum})
        else:
            content = json.loads(texts["npalexnet"])
            checksums = content.pop("checksums of npalexnet")
            content = change(content)
            if isinstance(content, dict):
                checksums["description"] = zlib.crc32(json.dumps(content).encode())
                content["checksums of npalexnet"] = checksums
            texts["npalexnet"] = json.dumps(content)
        return {**header, "__metadata__": texts}

    return in_header(alter)


def described(content: bytes) -> Any:
    texts = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    if "npalexnet" not in texts:
        return json.loads(texts["npalexnet-checkpoint"])["about"]
    description = json.loads(texts["npalexnet"])
    return {name: value for name, value in description.items() if name != "checksums of npalexnet"}


def fields(file: str, commands: tuple[str, ...], wrap: Callable[[Callable], Bytes], value: Any) -> Iterator[Case]:
    for path in places(value):
        for new in (*ODD, GONE):
            what = "taken out" if new is GONE else f"= {new!r:.20}"
            for name in commands:
                alter = wrap(lambda value, path=path, new=new: replaced(value, path, new))
                field = ".".join(map(str, path))
                yield Case(f"{name}: {field} of {file} {what}", file, name, alter, field)


def damages(file: str, commands: tuple[str, ...], size: int, moments: random.Random) -> Iterator[Case]:
    """Cut a file short, and flip bits, half of them near its beginning."""
    cuts = [0, 1, 8, size - 1, *(moments.randrange(size) for _ in range(8))]
    flips = [moments.randrange(limit) for limit in (min(size, 3000), size) for _ in range(30)]
    for name in commands:
        for cut in cuts:
            yield Case(f"{name}: {file} cut to {cut} bytes", file, name, lambda content, cut=cut: content[:cut])
        for place in flips:
            bit = 1 << moments.randrange(8)
            flipped = lambda c, p=place, b=bit: c[:p] + bytes([c[p] ^ b]) + c[p + 1 :]  # noqa: E731
            yield Case(f"{name}: bit {bit} of byte {place} of {file} flipped", file, name, flipped)


def lies(file: str, name: str, header: dict) -> Iterator[Case]:
    """Alter what a header says of its first tensor, and its own length."""
    tensor = next(key for key in header if key != "__metadata__")
    for path in places(header[tensor]):
        for new in (*ODD, 2**40, GONE):
            change = in_header(lambda header, path=path, new=new: replaced(header, (tensor, *path), new))
            what = "taken out" if new is GONE else f"= {new!r:.20}"
            yield Case(
                f"{name}: {tensor}.{'.'.join(map(str, path))} in the header of {file} {what}", file, name, change
            )
    for length in (0, 1, 2**31, 2**63, 2**64 - 1):
        change = lambda content, length=length: length.to_bytes(8, "little") + content[8:]  # noqa: E731
        yield Case(f"{name}: {file}'s header of {length} bytes", file, name, change)


def all_cases(run: Path, moments: random.Random) -> list[Case]:
    """Return all cases for a run's files."""
    content = {name: (run / name).read_bytes() for name in FILES}
    cases = [*fields("config.json", ("resume",), in_json, json.loads(content["config.json"]))]
    line = json.loads(content["metrics.jsonl"].split(b"\n")[0])
    cases += fields("metrics.jsonl", ("resume", "curves"), in_first_line, line)
    for name, reader in (("last.safetensors", "resume"), ("weights.safetensors", "predict")):
        cases += fields(name, (reader,), in_description, described(content[name]))
        cases += lies(name, reader, json.loads(content[name][8 : 8 + int.from_bytes(content[name][:8], "little")]))
    for name, readers in FILES.items():
        cases += damages(name, readers, len(content[name]), moments)
    return cases


FILES = {
    "config.json": ("resume",), "metrics.jsonl": ("resume", "curves"), "last.safetensors": ("resume",),
    "weights.safetensors": ("predict",),
}  # fmt: skip


# --- trying them ------------------------------------------------------------------------------------------------------


class Hang(BaseException):
    """A command took longer than a minute."""


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    def hang(number: int, frame: object) -> None:
        raise Hang

    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def most_memory() -> int:
    """Return the most memory that this process had, in bytes; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def perform(name: str, run: Path) -> tuple[int, str]:
    """Perform a command on a run; returns its status, and what it says on standard error."""
    errors = io.StringIO()
    with redirect_stdout(io.StringIO()), redirect_stderr(errors), at_most(SECONDS):
        if name == "curves":
            curves(read_metrics(run / "metrics.jsonl"))
            return 0, ""
        arguments = ["train", "--resume", str(run)] if name == "resume" else ["predict", str(run), PICTURE]
        return command(arguments), errors.getvalue()


def fault(case: Case, run: Path, good: dict[str, bytes]) -> str | None:
    """Return what is wrong with how a command takes a case, or None; the run is left as it was."""
    untouched = stamps(run)
    (run / case.file).write_bytes(case.alter(good[case.file]))
    altered, before = stamps(run), most_memory()
    try:
        status, errors = perform(case.command, run)
    except Hang:
        return f"it took more than {SECONDS} s"
    except BaseException:
        return traceback.format_exc()
    else:
        if most_memory() - before > MOST_MEMORY:
            return f"it took {(most_memory() - before) / 1e9:.1f} GB more"
        if status not in (0, 1):
            return f"its status was {status}"
        named = case.file in errors or "goes on as it began" in errors or (case.field and case.field in errors)
        if status and (errors.count("\n") != 1 or not named):
            return f"its message is not one line that names the file: {errors}"
        if status and stamps(run) != altered:
            return "it was refused, but a file was changed"
        return None
    finally:
        for name, stamp in stamps(run).items():
            if name not in good:
                (run / name).unlink()
            elif stamp != untouched[name]:
                (run / name).write_bytes(good[name])


def stamps(run: Path) -> dict[str, tuple[int, int]]:
    """Return when each file was written, and its size."""
    return {path.name: (path.stat().st_mtime_ns, path.stat().st_size) for path in run.iterdir() if path.is_file()}


def main(count: int, seed: int) -> int:
    moments = random.Random(seed)
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as parent:
        narrow(patch)
        run = Path(parent) / "run"
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            command(["train", *TINY, "--out", str(run)])
        good = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
        cases = all_cases(run, moments)
        chosen = moments.sample(cases, min(count, len(cases)))
        faults = 0
        for number, case in enumerate(chosen, 1):
            if found := fault(case, run, good):
                faults += 1
                print(f"FAULT: {case.name}: {found}", flush=True)
            if number % 100 == 0:
                print(f"{number} of {len(chosen)} tried", flush=True)
    print(f"{len(chosen)} of {len(cases)} cases tried, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    sys.exit(main(*given, *(600, 0)[len(given) :]))
