"""Signals: the first one asks for a stop, the second one interrupts, and ignored ones stay ignored."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from npalexnet.training import interrupt
from npalexnet.training.interrupt import Interrupted, stop_on_signals
from tests.training.small import assert_same_end

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.skipif(os.name == "nt", reason="there are no POSIX signals")
NAMES = ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU"]
CHILD = """
import sys
from pathlib import Path
from npalexnet.training import Progress, Run
from npalexnet.training.interrupt import stop_on_signals
from tests.fakes.figures import leave_blank
from tests.training.child import SETTINGS
from tests.training.small import trainer_of

leave_blank(setattr)
with stop_on_signals() as stop:
    folder = Path(sys.argv[1])
    run = Run.reopen(folder) if folder.exists() else Run(folder)
    trainer = trainer_of(run=run, schedule="plateau", **{**SETTINGS, "checkpoint_every": None})
    trainer.resume() if run.has_checkpoint() else run.rewind(0)
    print("begins", flush=True)
    sys.exit(0 if trainer.fit(Progress(), stop) else stop.status)
"""


@pytest.mark.parametrize("name", NAMES)
def test_the_first_signal_asks_for_a_stop_and_the_second_one_interrupts(name, monkeypatch, capsys):
    monkeypatch.setattr(interrupt, "ECHO_SECONDS", 0.0)
    number = getattr(signal, name)
    before = signal.getsignal(number)
    with stop_on_signals() as stop:
        stop.began = True
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
        assert stop.status == 128 + number
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before
    assert "Stopping after this step" in capsys.readouterr().err


def test_a_signal_that_is_sent_to_the_process_and_its_group_is_one_request():
    with stop_on_signals() as stop:
        for name in ("SIGTERM", "SIGTERM", "SIGHUP"):
            os.kill(os.getpid(), getattr(signal, name))
        assert stop.status == 128 + signal.SIGTERM


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_a_signal_that_the_program_was_started_to_ignore_stays_ignored(name):
    number = getattr(signal, name)
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with stop_on_signals() as stop:
            os.kill(os.getpid(), number)
            assert not stop()
            assert signal.getsignal(number) == signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_outside_of_the_main_thread_nothing_is_changed():
    found = []

    def work():
        with stop_on_signals() as stop:
            found.append(stop())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False]


def test_a_run_that_signals_stop_at_random_moments_goes_on_to_the_same_end(tmp_path):
    def begin(folder):
        return subprocess.Popen(
            [sys.executable, "-c", CHILD, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip

    whole, folder, moments = tmp_path / "whole", tmp_path / "run", random.Random(1)
    process = begin(whole)
    process.communicate(timeout=60)
    assert process.returncode == 0
    stopped = []
    for name in ("SIGTERM", "SIGHUP", "SIGUSR1"):
        process = begin(folder)
        assert process.stdout.readline() == "begins\n"
        time.sleep(moments.uniform(0.0, 0.03))
        process.send_signal(getattr(signal, name))
        _, errors = process.communicate(timeout=60)
        assert "Traceback" not in errors
        stopped.append(process.returncode == 128 + getattr(signal, name))
    assert any(stopped)
    process = begin(folder)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert_same_end(folder, whole)
