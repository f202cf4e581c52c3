"""The number of threads: who sets it, and what is refused."""

import os
import sys
from functools import partial

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from npalexnet import get_num_threads, set_num_threads
from npalexnet.backend import CPU, threads
from npalexnet.backend.cores import usable_cores
from npalexnet.cli import main
from tests.support import blas_threads


@pytest.fixture(autouse=True)
def number_of_threads():
    """Let tests choose it; afterwards it is what it was."""
    before = get_num_threads()
    yield
    set_num_threads(before)


@pytest.mark.parametrize("given", [1.0, "2", None, True, [2]])
def test_a_number_of_threads_that_is_no_int_is_refused_and_changes_nothing(given):
    set_num_threads(3)
    with pytest.raises(TypeError) as error:
        set_num_threads(given)
    assert str(error.value) == f"num_threads must be an int, got {given!r}"
    assert get_num_threads() == 3


@pytest.mark.parametrize("given", [0, -1])
def test_a_number_of_threads_below_1_is_refused_and_changes_nothing(given):
    set_num_threads(3)
    with pytest.raises(ValueError, match=f"num_threads must be at least 1, got {given}"):
        set_num_threads(given)
    assert get_num_threads() == 3


def test_the_number_of_threads_may_be_numpys():
    set_num_threads(np.int64(2))
    assert get_num_threads() == 2
    assert type(get_num_threads()) is int


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not say which cores are allowed")
def test_by_default_there_are_as_many_threads_as_allowed_cores(monkeypatch, tmp_path):
    monkeypatch.setattr(threads, "_num_threads", None)
    monkeypatch.delattr(os, "process_cpu_count", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1, 4, 6})
    monkeypatch.setattr(threads, "usable_cores", partial(usable_cores, tmp_path))  # no quota
    assert get_num_threads() == 3


@pytest.mark.parametrize(("given", "expected"), [("3", 3), (" 1 ", 1), ("", "cores"), (None, "cores")])
def test_the_environment_sets_the_number_of_threads(given, expected, monkeypatch):
    monkeypatch.setattr(threads, "_num_threads", None)
    monkeypatch.setattr(threads, "usable_cores", lambda: "cores")
    monkeypatch.delenv("NPALEXNET_NUM_THREADS", raising=False)
    if given is not None:
        monkeypatch.setenv("NPALEXNET_NUM_THREADS", given)
    assert get_num_threads() == expected
    set_num_threads(5)  # has the last word
    assert get_num_threads() == 5


@pytest.mark.parametrize("given", ["0", "-1", "two", "1.5"])
def test_a_number_of_threads_in_the_environment_that_is_none_is_refused_by_name(given, monkeypatch):
    monkeypatch.setattr(threads, "_num_threads", None)
    monkeypatch.setenv("NPALEXNET_NUM_THREADS", given)
    with pytest.raises(ValueError, match=f"NPALEXNET_NUM_THREADS must be an integer above 0, got '{given}'"):
        get_num_threads()


@pytest.mark.parametrize("number", [1, 2])
def test_blas_is_restored_wherever_ctrl_c_interrupts(number):
    """Where Python looks for signals: at the start of a function, and after a call."""
    set_num_threads(number)
    list(CPU.map(abs, range(2)))
    position, interrupted = 0, True
    with threadpool_limits(limits=3, user_api="blas"):
        before = blas_threads()
        while interrupted:
            interrupted, seen = False, 0

            def interrupt(frame, event, argument, position=position):
                nonlocal interrupted, seen
                code, watched = frame.f_code, ("acquire", "release", "settle", "_set_blas")
                if code.co_filename != threads.__file__ or code.co_name not in watched or interrupted:
                    return
                seen += event in ("call", "c_return")
                if seen > position:
                    interrupted = True
                    sys.setprofile(None)
                    raise KeyboardInterrupt

            sys.setprofile(interrupt)
            try:
                list(CPU.map(abs, range(2)))
            except KeyboardInterrupt:
                pass
            finally:
                sys.setprofile(None)
            assert blas_threads() == before, f"interrupted at {position}"
            position += 1
    assert position > 10


class Accelerate:
    """Stands in for macOS, where NumPy's BLAS is one that threadpoolctl does not know."""

    def __init__(self, monkeypatch):
        self.lib_controllers = []
        dependencies = {"Build Dependencies": {"blas": {"name": "accelerate"}}}
        monkeypatch.setattr(np, "show_config", lambda mode: dependencies)
        monkeypatch.setattr(threads, "threadpool_info", list)
        monkeypatch.setattr(threads, "ThreadpoolController", lambda: self)
        monkeypatch.setattr(threads, "_blas", threads._BlasLimit())

    def select(self, user_api):
        return self


def test_a_blas_that_cannot_be_limited_is_left_alone_and_said(monkeypatch, capsys):
    Accelerate(monkeypatch)
    set_num_threads(2)
    x, weight = np.arange(12.0).reshape(4, 3), np.ones((3, 2))
    for _ in range(2):
        results = list(CPU.map(lambda row: row @ weight, x))
    np.testing.assert_array_equal(results, np.repeat([[3.0], [12.0], [21.0], [30.0]], 2, axis=1))
    assert threads.blas_libraries()[0] == ["accelerate"]
    assert main(["info"]) == 0
    output = capsys.readouterr().out
    assert "BLAS accelerate\n" in output
    assert "can't be limited from here: set the environment variable VECLIB_MAXIMUM_THREADS=1 before Python" in output


def test_the_blas_that_is_limited_is_named_without_a_remark():
    names, said = threads.blas_libraries()
    assert said == ""
    assert names == [f"{a['internal_api']} {a['version']}" for a in threadpool_info() if a["user_api"] == "blas"]
