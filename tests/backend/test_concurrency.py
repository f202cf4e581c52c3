"""The caller's BLAS setting, forked processes, and models in several Python threads at once."""

import os
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import OpenBLASController, threadpool_limits

import npalexnet as na
from npalexnet import get_num_threads, set_num_threads
from npalexnet.backend import CPU
from npalexnet.backend.threads import single_threaded_blas
from tests.support import blas_threads, normal

PATIENCE = 20  # seconds after which a test that hangs fails


@pytest.fixture(autouse=True)
def two_threads():
    before = get_num_threads()
    set_num_threads(2)
    yield
    set_num_threads(before)


@pytest.fixture(params=[True, False], ids=["limited-by-this-thread", "limited-by-no-thread"])
def callers_setting(request):
    """The caller wants 3 BLAS threads; threadpoolctl 3.8 then lets the caller's thread alone change that."""
    with threadpool_limits(limits=3, user_api="blas"):
        if blas_threads() != {3}:
            pytest.skip(f"this BLAS can't be set to 3 threads, it has {blas_threads()}")
        if not request.param and hasattr(OpenBLASController, "clear_controlling_thread"):
            OpenBLASController.clear_controlling_thread(force=True)
        yield {3}


def test_blas_is_single_threaded_in_work_and_restored_after(callers_setting):
    for threads in (1, 2):
        set_num_threads(threads)
        assert list(CPU.map(lambda item: blas_threads(), range(3))) == [{1}] * 3
        assert blas_threads() == callers_setting


@pytest.mark.parametrize("threads", [1, 2])
def test_blas_is_restored_after_an_error(callers_setting, threads):
    set_num_threads(threads)
    with pytest.raises(ZeroDivisionError):
        list(CPU.map(lambda item: 1 // item, range(3)))
    assert blas_threads() == callers_setting
    with pytest.raises(ZeroDivisionError):  # the consumer's own
        assert [1 // item for item in CPU.map(abs, range(3))]
    assert blas_threads() == callers_setting


@pytest.mark.parametrize("threads", [1, 2])
def test_blas_is_restored_after_a_consumer_that_stops_early(callers_setting, threads):
    set_num_threads(threads)
    results = CPU.map(abs, range(9))
    next(results)
    results.close()
    assert blas_threads() == callers_setting


class ComputingElsewhere:
    """Another Python thread that is inside `single_threaded_blas` until `finish`, and lives on until `close`."""

    def __init__(self):
        self.entered, self.leave, self.left, self.end = (threading.Event() for _ in range(4))
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        assert self.entered.wait(PATIENCE)

    def run(self):
        with single_threaded_blas():
            self.entered.set()
            self.leave.wait(PATIENCE)
        self.left.set()
        self.end.wait(PATIENCE)

    def finish(self):
        self.leave.set()
        assert self.left.wait(PATIENCE)

    def close(self):
        self.leave.set()
        self.end.set()
        self.thread.join(PATIENCE)


def test_blas_is_single_threaded_for_work_of_any_python_thread(callers_setting):
    with closing(ComputingElsewhere()) as other:
        assert blas_threads() == {1}
        other.finish()
        assert blas_threads() == callers_setting


def test_blas_is_restored_by_the_last_of_overlapping_users(callers_setting):
    with closing(ComputingElsewhere()) as other:
        with single_threaded_blas():
            assert blas_threads() == {1}
        assert blas_threads() == {1}  # the other one still computes
        other.finish()
        assert blas_threads() == callers_setting
    with closing(ComputingElsewhere()) as other:
        with single_threaded_blas():
            other.finish()
            assert blas_threads() == {1}  # now it is this one that does
        assert blas_threads() == callers_setting


def test_the_caller_may_still_change_blas_afterwards(callers_setting):
    with closing(ComputingElsewhere()) as other:
        other.finish()
        with threadpool_limits(limits=2, user_api="blas"):
            assert blas_threads() == {2}
        assert blas_threads() == callers_setting


# --- forked processes ----------------------------------------------------------------------------------------------

FORK = """
import os, signal, sys
import numpy as np, npalexnet as na
from threadpoolctl import threadpool_info, threadpool_limits
from npalexnet.backend import CPU
from npalexnet.backend.threads import single_threaded_blas

def blas_threads():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

def in_child(check):
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)  # a child that hangs is killed
        try:
            check()
        except BaseException as error:
            print("in the child:", repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

na.set_num_threads(2)
layer = na.Conv2d(3, 8, 3, padding=1, seed=0)
x = np.random.default_rng(0).standard_normal((16, 3, 9, 9)).astype("float32")
y = layer(x)  # there are worker threads now
"""


def run_script(script):
    if not hasattr(os, "fork"):
        pytest.skip("there is no fork")
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK + script], cwd=root, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@needs_fork
def test_a_forked_child_computes_the_same():
    run_script("""
def check():
    assert np.array_equal(layer(x), y)
    layer.backward(y)

in_child(check)
assert np.array_equal(layer(x), y)  # and the parent goes on
""")


@needs_fork
def test_a_child_that_was_forked_while_another_thread_computes_does_not_hang():
    run_script("""
import threading

entered, leave = threading.Event(), threading.Event()

def compute(item):
    entered.set()
    leave.wait(20)

with threadpool_limits(limits=3, user_api="blas"):
    wanted = blas_threads()
    thread = threading.Thread(target=lambda: list(CPU.map(compute, range(4))))
    thread.start()
    entered.wait(20)

    def check():
        assert blas_threads() == wanted, blas_threads()  # the caller's, for the child has no such thread
        assert np.array_equal(layer(x), y)
        assert blas_threads() == wanted, blas_threads()

    in_child(check)
    leave.set()
    thread.join(20)
""")


@needs_fork
def test_a_child_that_was_forked_inside_work_keeps_count_of_blas():
    run_script("""
with threadpool_limits(limits=3, user_api="blas"):
    wanted = blas_threads()

    def check():
        context.__exit__(None, None, None)
        assert blas_threads() == wanted, blas_threads()
        with single_threaded_blas():
            assert blas_threads() == {1}, blas_threads()
        assert blas_threads() == wanted, blas_threads()

    context = single_threaded_blas()
    context.__enter__()
    in_child(check)
    context.__exit__(None, None, None)
""")


# --- models in several Python threads ------------------------------------------------------------------------------


def in_threads(*functions):
    """Call all functions at once, each in a thread of its own; return their results."""
    results, meeting = [None] * len(functions), threading.Barrier(len(functions))

    def call(number, function):
        meeting.wait(PATIENCE)
        try:
            results[number] = function()
        except Exception as error:
            results[number] = error

    threads = [threading.Thread(target=call, args=pair) for pair in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results


def small_model(seed):
    rng = np.random.default_rng(seed)
    return na.Sequential(
        na.Conv2d(3, 8, 3, padding=1, seed=rng),
        na.ReLU(),
        na.MaxPool2d(3, 2),
        na.Dropout(0.3, seed=rng),
        na.Flatten(),
        na.Linear(8 * 4 * 4, 5, seed=rng),
    )


def test_one_model_serves_several_threads_in_eval_mode():
    model = small_model(0).eval()
    batches = [normal((n, 3, 10, 10), "float32", seed=n) for n in (1, 9, 16, 30)]
    expected = [model(x) for x in batches]
    found = in_threads(*(lambda x=x: [model(x) for _ in range(10)] for x in batches))
    for outputs, wanted in zip(found, expected, strict=True):
        for output in outputs:
            np.testing.assert_array_equal(output, wanted)


def test_two_models_train_in_two_threads_as_each_would_alone():
    def train(seed):
        model, criterion = small_model(seed), na.CrossEntropyLoss()
        optimizer = na.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for step in range(10):
            x, labels = normal((12, 3, 10, 10), "float32", seed=step), np.arange(12) % 5
            criterion(model(x), labels)
            model.backward(criterion.backward())
            optimizer.step()
            optimizer.zero_grad()
        return model.state_dict()

    alone = [train(seed) for seed in (0, 1)]
    together = in_threads(lambda: train(0), lambda: train(1))
    for found, expected in zip(together, alone, strict=True):
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values, err_msg=name)
