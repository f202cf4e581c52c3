"""Worker threads, shards and scratch memory: order, errors, and that nothing outlives a call."""

import threading
import time

import numpy as np
import pytest

from npalexnet import get_num_threads, set_num_threads
from npalexnet.backend import CPU, cpu
from tests.support import normal

PATIENCE = 20  # seconds after which a test that hangs fails


@pytest.fixture(autouse=True)
def threads():
    """Let tests choose the number of threads; afterwards it is what it was."""
    before = get_num_threads()
    yield
    set_num_threads(before)


@pytest.mark.parametrize("batch_size", [1, 2, 7, 8, 9, 11, 12, 31, 32, 33, 100, 128])
def test_shards_cover_the_batch_in_order_whatever_the_number_of_threads(batch_size):
    found = []
    for threads in (1, 2, 5):
        set_num_threads(threads)
        found.append(CPU.shards(batch_size))
    assert found[0] == found[1] == found[2]
    images = [image for shard in found[0] for image in range(batch_size)[shard]]
    assert images == list(range(batch_size))
    assert max(shard.stop - shard.start for shard in found[0]) <= cpu.SHARD_IMAGES
    assert len(found[0]) >= min(batch_size, 2)


@pytest.mark.parametrize(
    ("batch_size", "shards"), [(1, 1), (2, 2), (4, 4), (5, 2), (8, 2), (11, 2), (12, 4), (32, 4), (33, 5), (128, 16)]
)
def test_shards_are_many_enough_for_the_cores_and_not_of_two_images(batch_size, shards):
    assert len(CPU.shards(batch_size)) == shards


def test_an_empty_batch_is_one_empty_shard():
    assert CPU.shards(0) == [slice(0, 0)]


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_results_come_in_the_order_of_the_items(threads):
    set_num_threads(threads)
    assert list(CPU.map(lambda item: item * 10, iter(range(20)))) == list(range(0, 200, 10))
    assert list(CPU.map(str, [])) == []


def test_results_come_in_order_even_if_the_last_is_the_first_to_be_ready():
    set_num_threads(3)
    last_is_ready = threading.Event()

    def work(item):
        if item == 2:
            last_is_ready.set()
        assert last_is_ready.wait(PATIENCE)
        return item

    assert list(CPU.map(work, range(3))) == [0, 1, 2]


def test_work_is_shared_out_over_as_many_threads_as_asked_for():
    set_num_threads(3)
    meeting = threading.Barrier(3)  # opens when three threads stand in front of it

    def work(item):
        meeting.wait(PATIENCE)
        return threading.get_ident()

    used = set(CPU.map(work, range(6)))
    assert len(used) == 3
    assert threading.get_ident() in used
    set_num_threads(1)
    assert set(CPU.map(lambda item: threading.get_ident(), range(6))) == {threading.get_ident()}


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_reaches_the_caller_and_nothing_runs_on(threads):
    set_num_threads(threads)
    started, finished = [], []

    def work(item):
        started.append(item)
        if item == 1:
            raise ZeroDivisionError("item 1")
        time.sleep(0.02)
        finished.append(item)

    with pytest.raises(ZeroDivisionError, match="item 1"):
        list(CPU.map(work, range(500)))
    seen = sorted(started)
    assert sorted([*finished, 1]) == seen  # all that was started is done
    assert len(seen) < 500  # and the rest never starts
    time.sleep(0.1)
    assert sorted(started) == seen
    assert list(CPU.map(abs, range(4))) == [0, 1, 2, 3]  # the threads are still there
    assert not cpu._thread.in_item  # and the caller's thread may use them


@pytest.mark.parametrize("threads", [1, 2])
def test_a_consumer_that_stops_early_leaves_nothing_running(threads):
    set_num_threads(threads)
    started, finished = [], []

    def work(item):
        started.append(item)
        time.sleep(0.02)
        finished.append(item)
        return item

    results = CPU.map(work, range(500))
    assert next(results) == 0
    results.close()
    seen = sorted(started)
    assert sorted(finished) == seen
    assert len(seen) < 500
    time.sleep(0.1)
    assert sorted(started) == seen


def test_work_inside_work_stays_on_its_thread_and_does_not_wait_for_ever():
    set_num_threads(2)

    def inner(item):
        return threading.get_ident()

    def outer(item):
        return threading.get_ident(), set(CPU.map(inner, range(5)))

    for thread, used in CPU.map(outer, range(8)):
        assert used == {thread}


def test_the_consumer_may_start_further_work():
    set_num_threads(2)
    totals = [sum(CPU.map(lambda item, base=base: base + item, range(3))) for base in CPU.map(abs, range(4))]
    assert totals == [3, 6, 9, 12]


def test_the_number_of_threads_may_change_while_work_is_under_way():
    set_num_threads(2)
    results = []
    for item in CPU.map(abs, range(30)):
        set_num_threads(1 + item % 4)
        results.append(item)
    assert results == list(range(30))


def test_scratch_memory_is_reused_and_grows():
    small = CPU.scratch("a test's", (2, 3), np.dtype("float32"))
    large = CPU.scratch("a test's", (4, 5), np.dtype("float64"))
    again = CPU.scratch("a test's", (10,), np.dtype("float32"))
    other = CPU.scratch("another", (10,), np.dtype("float32"))
    assert (small.shape, small.dtype) == ((2, 3), np.float32)
    assert (large.shape, large.dtype) == ((4, 5), np.float64)
    assert np.shares_memory(large, again)
    assert not np.shares_memory(again, other)
    large[...] = again[...] = 1  # both can be written to


def test_each_thread_has_scratch_memory_of_its_own():
    set_num_threads(2)
    meeting = threading.Barrier(2)

    def work(item):
        memory = CPU.scratch("a test's", (100,), np.dtype("float64"))
        memory[...] = item
        meeting.wait(PATIENCE)
        assert (memory == item).all()
        meeting.wait(PATIENCE)
        return memory

    first, second = CPU.map(work, range(2))
    assert not np.shares_memory(first, second)


@pytest.mark.parametrize(
    ("M", "K", "N"),
    [(1, 1, 1), (3, 4, 5), (600, 7, 30), (30, 7, 600), (1100, 5, 1030), (512, 3, 512), (4, 5, 0), (0, 5, 4)],
)
def test_a_product_in_tiles_is_the_whole_product(M, K, N, dtype):
    a, b = normal((K, M), dtype).T, normal((N, K), dtype, seed=1).T
    product = CPU.matmul(a, b)
    assert product.dtype == dtype
    expected = np.einsum("mk,kn->mn", a.astype("float64"), b.astype("float64"))
    np.testing.assert_allclose(product, expected, rtol=0, atol=1e-5 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("shape", [(), (1,), (300,), (50, 7), (3, 100, 2), (0,), (0, 4), (4, 0)])
def test_blocks_cover_each_element_once_and_match_between_arrays(shape, monkeypatch):
    monkeypatch.setattr(cpu, "BLOCK_ELEMENTS", 64)
    monkeypatch.setattr(cpu, "BLOCKS_AT_A_TIME", 2)
    set_num_threads(3)
    a, b = normal(shape), normal(shape, seed=1)
    expected = a + 2 * b
    sizes = []

    def update(first, nothing, second):
        assert nothing is None
        sizes.append(first.size)
        first += 2 * second

    a = np.asarray(a)
    CPU.for_each_block(update, a, None, np.asarray(b))
    np.testing.assert_array_equal(a, expected)
    assert max(sizes, default=0) <= max(64, int(np.prod(shape[1:])))


def test_blocks_follow_arrays_whose_axes_lie_in_another_order(monkeypatch):
    monkeypatch.setattr(cpu, "BLOCK_ELEMENTS", 16)
    a, b = normal((6, 4, 5)).transpose(0, 2, 1), np.asfortranarray(normal((6, 5, 4), seed=1))
    expected = a - b
    CPU.for_each_block(lambda first, second: np.subtract(first, second, out=first), a, b)
    np.testing.assert_array_equal(a, expected)


@pytest.mark.parametrize("layout", ["columns in order", "rows in order"])
@pytest.mark.parametrize(
    ("M", "K", "N"), [(1, 3, 2100), (40, 7, 900), (3, 9, 11), (100, 2000, 300), (2100, 3, 2200), (600, 5, 700)]
)
def test_a_product_is_written_to_where_it_was_asked_for_in_any_layout(M, K, N, layout, dtype):
    a, b = normal((M, K), dtype), normal((K, N), dtype, seed=1)
    if layout == "columns in order":
        b = np.asfortranarray(b)
    whole = np.full((M, N + 5), 7, dtype)
    assert CPU.matmul(a, b, out=whole[:, 2:-3]) is not None
    expected = np.einsum("mk,kn->mn", a.astype("float64"), b.astype("float64"))
    atol = (1e-5 if dtype == "float32" else 1e-13) * K**0.5
    np.testing.assert_allclose(whole[:, 2:-3], expected, rtol=0, atol=atol)
    assert (whole[:, :2] == 7).all()
    assert (whole[:, -3:] == 7).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("in_item", [False, True])
@pytest.mark.parametrize("shape", [(1, 5, 2), (2, 5, 1), (200, 5, 3), (3, 5, 2000)])
def test_a_products_invalid_flag_is_not_believed(shape, in_item, dtype):
    """BLAS may raise it for numbers that it drops; NaN where it is due, and overflow's warning, stay."""
    m, k, n = shape

    def product(value):
        a, b = np.zeros((m, k), dtype), np.full((k, n), value, dtype)
        a[0] = value
        return CPU.matmul(a, b)

    products = CPU.map(product, [np.inf, 1]) if in_item else map(product, [np.inf, 1])
    infinite, finite = products
    assert (infinite[0] == np.inf).all()
    assert np.isnan(infinite[1:]).all()  # 0 * inf
    assert (finite[0] == k).all()
    with pytest.warns(RuntimeWarning, match="overflow encountered in matmul"):
        product(np.finfo(dtype).max)


def test_a_product_uses_all_threads_but_within_an_item_of_work_only_its_own(monkeypatch):
    set_num_threads(2)
    used, matmul = set(), np.matmul

    def noted(*arguments, **keywords):
        used.add(threading.get_ident())
        return matmul(*arguments, **keywords)

    monkeypatch.setattr(np, "matmul", noted)
    a = np.ones((5000, 40))

    def product(item):
        CPU.matmul(a, a.T[:, :1000])
        return threading.get_ident()

    product(None)
    assert len(used) == 2
    for threads in (1, 2):
        set_num_threads(threads)
        used.clear()
        assert set(CPU.map(product, range(4))) == used


def test_where_no_further_thread_can_be_started_those_that_are_there_do_the_work(monkeypatch):
    set_num_threads(5)
    pool, done, submitted = cpu.workers(), [], []
    submit = pool.submit

    def fails_at_the_fourth(*arguments):
        future = submit(*arguments)  # it is in the queue, as where a thread can't be started
        submitted.append(future)
        if len(submitted) == 4:
            raise RuntimeError("can't start new thread")
        return future

    def work(item):
        time.sleep(0.002)
        done.append(item)
        return -item

    monkeypatch.setattr(pool, "submit", fails_at_the_fourth)
    assert list(CPU.map(work, range(9))) == [-item for item in range(9)]
    assert sorted(done) == list(range(9))
    assert len(submitted) == 4


def test_an_error_while_work_is_handed_out_leaves_nothing_running(monkeypatch):
    set_num_threads(5)
    pool, started, finished, submitted = cpu.workers(), [], [], []
    submit = pool.submit

    def interrupted_at_the_third(*arguments):
        submitted.append(submit(*arguments))
        if len(submitted) == 3:
            raise KeyboardInterrupt
        return submitted[-1]

    def work(item):
        started.append(item)
        time.sleep(0.02)
        finished.append(item)

    monkeypatch.setattr(pool, "submit", interrupted_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        list(CPU.map(work, range(99)))
    seen = sorted(started)
    assert sorted(finished) == seen
    assert len(seen) < 99
    time.sleep(0.1)
    assert sorted(started) == seen
    monkeypatch.undo()
    assert list(CPU.map(abs, range(4))) == [0, 1, 2, 3]


def test_after_a_memory_error_other_threads_compute():
    set_num_threads(2)
    pool = cpu.workers()

    def fails(item):
        raise MemoryError

    with pytest.raises(MemoryError):
        list(CPU.map(fails, range(9)))
    assert cpu.workers() is not pool
    assert list(CPU.map(abs, range(4))) == [0, 1, 2, 3]
