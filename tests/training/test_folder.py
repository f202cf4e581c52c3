"""The folder of a run: who gets it, what is written in it, and what outside of it stays as it is."""

import errno
import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from npalexnet.training import Callback, Run
from npalexnet.training.folder import newest_run
from tests.training.small import trainer_of

ROOT = Path(__file__).parent.parent.parent
STARTS = """
import json, sys, time
from pathlib import Path
from npalexnet.training import Run
print("ready", flush=True)
for line in sys.stdin:
    folder, moment, mine = json.loads(line)
    while time.time() < moment:
        pass
    run, won = None, False
    try:
        run = Run(folder)
        with run.locked():
            run.save_json("config.json", {"mine": mine})
            won = True
            time.sleep(0.005)
            run.record(step=1)
    except (ValueError, OSError) as error:
        pass
    finally:
        if run is not None:
            run.discard_if_empty()
    print(json.dumps(won), flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="times of Windows are too coarse to meet")
def test_of_two_starts_with_one_folder_exactly_one_wins_and_keeps_it(tmp_path):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", STARTS], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for attempt in range(40):
        folder, moment = tmp_path / "runs" / str(attempt), time.time() + 0.005
        for number, process in enumerate(processes):
            process.stdin.write(json.dumps([str(folder), moment + 0.0005 * (attempt % 4) * number, number]) + "\n")
            process.stdin.flush()
        won = [json.loads(process.stdout.readline()) for process in processes]
        assert won.count(True) == 1
        assert json.loads((folder / "config.json").read_text()) == {"mine": won.index(True)}
        assert sorted(path.name for path in folder.iterdir() if "events" not in path.name) == [
            "config.json", "metrics.jsonl",
        ]  # fmt: skip
    for process in processes:
        process.stdin.close()
        assert process.wait(30) == 0
        process.stdout.close()


def test_the_folder_of_another_run_is_not_discarded_by_one_that_was_refused(tmp_path):
    first, second = Run(tmp_path / "run"), Run(tmp_path / "run")
    with second.locked():
        with pytest.raises(ValueError, match="is in use"), first.locked():
            pass
        assert not first.discard_if_empty()  # which made it
        second.save_json("config.json", {})
    with pytest.raises(ValueError, match="holds something already"), first.locked():
        pass
    assert not first.discard_if_empty()
    assert (tmp_path / "run" / "config.json").exists()


def test_a_path_is_resolved_before_it_is_judged(tmp_path):
    (tmp_path / "things").mkdir()
    (tmp_path / "things" / "config.json").write_text("mine")
    with pytest.raises(ValueError, match="holds something already"):
        Run(tmp_path / "new" / ".." / "things")
    assert [path.name for path in tmp_path.iterdir()] == ["things"]
    assert (tmp_path / "things" / "config.json").read_text() == "mine"


@pytest.mark.skipif(os.name == "nt", reason="other limits, and other errors")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("file", "file holds something already: it is a file; name a new folder"),
        ("file/run", r"the folder .*file/run can't be made: Not a directory"),
        ("a" * 300, r"the folder .*a can't be made: File name too long"),
    ],
    ids=["file", "below", "long"],
)
def test_a_folder_that_can_not_be_made_is_named_with_what_is_in_its_way(tmp_path, name, message):
    (tmp_path / "file").write_text("mine")
    with pytest.raises((ValueError, OSError), match=message):
        Run(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "of another user"])
def test_what_stands_in_the_place_of_a_lock_stays_and_the_run_is_refused(tmp_path, monkeypatch, kind):
    Run(tmp_path / "run").save_json("config.json", {})
    lock, outside = tmp_path / "run" / ".lock", tmp_path / "outside"
    outside.write_text("mine")
    message = r"\.lock is (a link|no file), and must be a file of the run's own"
    if kind == "link":
        lock.symlink_to(outside)
    elif kind == "pipe":
        os.mkfifo(lock)
    elif kind == "folder":
        lock.mkdir()
    else:
        lock.touch()
        monkeypatch.setattr(os, "access", lambda path, mode: False)
        message = r"\.lock is the lock of another user, who may be training this run; if nobody is, remove it"
    with pytest.raises(OSError, match=message):
        Run.reopen(tmp_path / "run")
    assert os.path.lexists(lock)
    assert outside.read_text() == "mine"


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
@pytest.mark.parametrize("kind", ["link", "hard link", "pipe", "dangling"])
def test_a_resume_changes_nothing_outside_of_the_run(tmp_path, kind):
    trainer = trainer_of(run=Run(tmp_path / "run"), checkpoint_every=1)
    trainer.fit(should_stop=lambda: trainer.state.step >= 2)
    metrics, outside = tmp_path / "run" / "metrics.jsonl", tmp_path / "outside.jsonl"
    content = metrics.read_bytes() + b'{"step": 3, "loss": 1.0, "mine": true}\n'
    metrics.unlink()
    if kind != "dangling":
        outside.write_bytes(content)
    if kind == "hard link":
        os.link(outside, metrics)
    elif kind == "pipe":
        os.mkfifo(metrics)
    else:
        metrics.symlink_to(outside)
    run = Run.reopen(tmp_path / "run")
    if kind == "pipe":
        with pytest.raises(OSError, match="is no file, and must be a file of the run's own"):
            run.record(step=3)
        assert not run.folder.joinpath("metrics.jsonl").is_file()
        return
    again = trainer_of(run=run, checkpoint_every=1)
    if kind == "hard link":
        again.resume()
        assert again.fit()
        assert outside.stat().st_nlink == 1
    else:
        with pytest.raises((OSError, ValueError), match=r"metrics\.jsonl is (a link, and must be|damaged)"):
            again.resume()
    if kind == "dangling":
        assert not outside.exists()
    else:
        assert outside.read_bytes() == content


@pytest.mark.skipif(os.name == "nt", reason="there is no flock")
@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EPERM, errno.ENOLCK, errno.ENOSYS])
def test_on_a_file_system_that_lacks_things_training_goes_on_with_one_note(tmp_path, monkeypatch, number):
    fsync, lines, callback = os.fsync, [], Callback()
    callback.on_message = lines.append

    def refuse(*arguments, **keywords):
        raise OSError(number, os.strerror(number))

    def fsync_of_files(descriptor):
        return refuse() if os.path.isdir(f"/proc/self/fd/{descriptor}") else fsync(descriptor)

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(os, "fsync", fsync_of_files)
    monkeypatch.setattr(Path, "chmod", refuse)
    assert trainer_of(run=Run(tmp_path / "run"), count=16, epochs=1).fit(callback)
    assert len(lines) == 1
    for what in ("can't flush the names of files", "nor set permissions", "nor lock a folder"):
        assert what in lines[0]
    assert (tmp_path / "run" / "weights.safetensors").exists()
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith(".")]


def test_the_newest_run_is_the_one_that_was_written_to_last(tmp_path):
    for number, seconds in ((1, 300), (2, 100), (10, 200)):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "config.json").write_text("{}")
        os.utime(tmp_path / str(number) / "config.json", (seconds, seconds))
    assert newest_run(tmp_path) == tmp_path / "1"
    with pytest.raises(ValueError, match="there is no run in"):
        newest_run(tmp_path / "nowhere")
