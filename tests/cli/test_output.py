"""What commands do when their output can't be written, and what they print of names."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import npalexnet as na
from npalexnet.cli import main
from npalexnet.weights import load_weights
from tests.networks import TINY

ROOT = Path(__file__).parents[2]
BOOT = str(ROOT / "docs" / "ankle-boot.png")


@pytest.fixture(autouse=True)
def threads():
    before = na.get_num_threads()
    yield
    na.set_num_threads(before)


class Failing:
    """Standard output that fails from the first line on."""

    encoding = "utf-8"

    ERROR = OSError(errno.ENOSPC, "No space left on device")

    def write(self, text):
        raise self.ERROR

    def flush(self):
        pass

    def isatty(self):
        return False


def test_training_goes_on_to_its_end_when_its_output_fails(narrow, blank_figures, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Failing())
    assert main(["train", *TINY, "--out", str(tmp_path / "run")]) == 1
    assert load_weights(tmp_path / "run" / "weights.safetensors")[1]["steps"] == 2
    assert capsys.readouterr().err == f"npalexnet: error: can't write to standard output: {Failing.ERROR}\n"


def test_predictions_that_nobody_can_read_are_an_error(trained_run, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Failing())
    assert main(["predict", str(trained_run), BOOT]) == 1
    assert "can't write to standard output" in capsys.readouterr().err


def test_evaluate_needs_no_standard_error(trained_run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["evaluate", str(trained_run), "--out", str(tmp_path), "--threads", "2"]) == 0
    assert "top-1 accuracy" in capsys.readouterr().out
    assert (tmp_path / "confusion.csv").is_file()


@pytest.mark.skipif(os.name == "nt", reason="a shell's redirections")
@pytest.mark.parametrize(
    ("command", "status", "error"),
    [
        ("summary 2>&-", 0, ""),
        ("summary >&-", 1, "npalexnet: error: can't write to standard output: [Errno 9] Bad file descriptor\n"),
        ("nothing >&- 2>&-", 2, ""),
        ("--help | true", 0, ""),
        ("summary | true", 0, ""),
        pytest.param(
            "summary >/dev/full", 1,
            "npalexnet: error: can't write to standard output: [Errno 28] No space left on device\n",
            marks=pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full"),
        ),
    ],
)  # fmt: skip
def test_a_shells_redirections_end_in_a_status_and_no_traceback(command, status, error):
    script = f"set -o pipefail; {sys.executable} -m npalexnet {command}"
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (status, error)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_names_with_ends_of_lines_and_escape_sequences_are_printed_on_one_line(trained_run, tmp_path, capsys):
    odd = "dark\n\x1b[2J"
    for part in ("train", "val"):
        for name, colour in (("bright", "white"), (odd, "black")):
            folder = tmp_path / f"data{odd}" / part / name
            folder.mkdir(parents=True)
            for i in range(2):
                Image.new("RGB", (8, 8), colour).save(folder / f"{i}{odd}.png")
            (folder / f"broken{odd}.png").write_bytes(b"")
    data, run, weights = (str(tmp_path / f"{name}{odd}") for name in ("data", "run", "weights"))
    shutil.copy(trained_run / "weights.safetensors", weights)
    assert main(["train", "--data", data, "--out", run, "--weights", weights]) == 0
    assert main(["train", "--data", data, "--out", run]) == 1
    assert main(["evaluate", run, "--data", data]) == 0
    assert main(["predict", run, data]) == 1
    assert main(["predict", run, f"{data}/nothing{odd}"]) == 1
    output = capsys.readouterr()
    for text in (output.out, output.err):
        assert "\x1b" not in text
        assert not [line for line in text.splitlines() if line.startswith("\\x1b")]  # nor is a name cut in two
    assert rf"Started from {tmp_path}/weightsdark\n\x1b[2J" in output.out
    assert rf"Use it: npalexnet predict '{tmp_path}/rundark\n\x1b[2J' IMAGE..." in output.out
    assert rf"Look inside: npalexnet look '{tmp_path}/rundark\n\x1b[2J'" in output.out
    assert rf"Number by number: npalexnet explain '{tmp_path}/rundark\n\x1b[2J'" in output.out
    assert re.search(r"(?m)^dark\\n\\x1b\[2J +", output.out)  # its line in the table
    assert rf"{tmp_path}/rundark\n\x1b[2J holds something already" in output.err


def test_a_run_on_any_device_records_which_one_it_was(trained_run):
    assert json.loads((trained_run / "config.json").read_text(encoding="utf-8"))["device"] == "cpu"
