import errno
import os
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from npalexnet.files import atomic_write, locked, remove_leftovers
from npalexnet.terminal import shown

ROOT = Path(__file__).parent.parent


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(IsADirectoryError), atomic_write(path) as temporary:
        temporary.write_text("half of the n") and tmp_path.write_text("a folder can't be written: the error")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_new_file_replaces_the_old_one_with_ordinary_permissions(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with atomic_write(path) as temporary:
        assert path.read_text() == "old"
        temporary.write_text("new")
        os.chmod(temporary, 0o600)
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)


def test_what_stood_there_before_is_kept_under_another_name_once_the_new_file_is_complete(tmp_path):
    path, previous = tmp_path / "file.txt", tmp_path / "old.txt"
    for text in ("one", "two", "three"):
        with atomic_write(path, previous=previous) as temporary:
            temporary.write_text(text)
    assert (path.read_text(), previous.read_text()) == ("three", "two")
    with pytest.raises(RuntimeError), atomic_write(path, previous=previous) as temporary:
        raise RuntimeError
    assert (path.read_text(), previous.read_text()) == ("three", "two")
    assert sorted(tmp_path.iterdir()) == [path, previous]


def test_two_threads_that_write_one_file_do_not_meet(tmp_path):
    path, both_inside = tmp_path / "file.txt", threading.Barrier(2, timeout=10)

    def write(text):
        with atomic_write(path) as temporary:
            temporary.write_text(text[: len(text) // 2])
            both_inside.wait()
            with open(temporary, "a") as file:
                file.write(text[len(text) // 2 :])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, ["a" * 1000, "b" * 1000]))
    assert path.read_text() in ("a" * 1000, "b" * 1000)
    assert list(tmp_path.iterdir()) == [path]


def test_file_and_folder_are_on_the_disk_before_and_after_the_renaming(tmp_path, monkeypatch):
    events = []
    fsync, replace = os.fsync, os.replace

    def watched_fsync(descriptor):
        events.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", lambda a, b: (events.append("replace"), replace(a, b)))
    with atomic_write(tmp_path / "file.txt") as temporary:
        temporary.write_text("new")
    assert events == ["file", "replace", "folder"]


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_leftovers_of_a_killed_process_are_removed_and_nothing_else(tmp_path):
    (tmp_path / "file.txt").write_text("mine")
    for name in (".hidden", ".notes.tmp", ".tmpnotes", "1-1.tmp"):
        (tmp_path / name).write_text("mine")
    (tmp_path / ".tmpjrCPiV").write_text("as safetensors names them")
    code = (
        "import os, signal, sys; from npalexnet.files import atomic_write\n"
        "with atomic_write(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "file.txt")], cwd=ROOT, check=False)
    assert len(list(tmp_path.iterdir())) == 7
    assert len(remove_leftovers(tmp_path)) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"file.txt", ".hidden", ".notes.tmp", ".tmpnotes", "1-1.tmp"}


def test_names_of_any_bytes_can_be_printed():
    assert shown(os.fsdecode(b"caf\xc3\xa9.jpg")) == "caf\u00e9.jpg"
    shown(os.fsdecode(b"caf\xe9.jpg")).encode("utf-8")


def test_an_error_that_names_no_file_as_a_full_disk_gives_it_gets_the_name(tmp_path):
    (tmp_path / "file").write_text("before")
    with pytest.raises(OSError, match=r"No space left on device: '.*file'") as caught:
        fill(tmp_path / "file", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match=r"^can't write it$"):
        fill(tmp_path / "file", OSError("can't write it"))
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]


def fill(path, error):
    with atomic_write(path):
        raise error


@pytest.mark.skipif(os.name == "nt", reason="other calls")
def test_a_folder_that_can_only_be_read_is_named_with_what_to_do(tmp_path, monkeypatch):
    def refuse(*arguments, **keywords):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(tmp_path / ".lock"))

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    message = "can't be trained in: it is on a read-only file system; copy it elsewhere"
    with pytest.raises(OSError, match=message), locked(tmp_path):
        pass
