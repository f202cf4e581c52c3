"""Batches arrive whole and in order: on every device, and on a fake GPU that punishes each wait that is missing."""

import itertools
import logging
import sys

import numpy as np
import pytest

from npalexnet import backend
from npalexnet.backend.cuda.device import CudaDevice
from tests.fakes.streams import FakeAsyncCupy
from tests.support import get

SIZES = (4, 4, 4, 3, 6, 1)  # images in a batch: the buffers are too large for some, and too small for others


def made(sizes=SIZES):
    """Batches of images, channels last in memory as preprocessing makes them, and labels; all numbers differ."""
    rng = np.random.default_rng(0)
    for size in sizes:
        images = rng.standard_normal((size, 5, 4, 3), dtype=np.float32).transpose(0, 3, 1, 2)
        yield images, rng.integers(1 << 40, size=size)


def failing_at(index, error):
    for i, batch in enumerate(made()):
        if i == index:
            raise error
        yield batch


def assert_same(found, expected):
    """Bits and axes' order in memory."""
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
        assert (one.dtype, one.strides) == (other.dtype, other.strides)


# --- on every device -----------------------------------------------------------------------------------------------


def test_batches_arrive_on_the_device_in_order_and_with_their_axes_order(device):
    home = backend.get_device(device)
    arrived = list(home.prefetch(made()))
    assert len(arrived) == len(SIZES)
    for batch, expected in zip(arrived, made(), strict=True):
        assert isinstance(batch, tuple)
        assert all(home.owns(array) for array in batch)
        assert_same([get(array) for array in batch], expected)


def test_what_is_computed_with_each_batch_is_right_when_nothing_waits_and_all_is_dropped_at_once(device):
    sizes = [40, 40, 40, 40, 17, 64] * 3
    totals = []
    for images, labels in backend.get_device(device).prefetch(made(sizes)):
        for _ in range(20):
            total = (images * images).sum() + labels.sum()
        totals.append(total)
    expected = [float((x.astype(float) ** 2).sum() + labels.sum()) for x, labels in made(sizes)]
    np.testing.assert_allclose([float(total) for total in totals], expected, rtol=1e-6)


@pytest.mark.parametrize("array", [np.array(7.0), np.zeros((0, 3)), np.arange(6).reshape(2, 3).T, np.array([True])])
def test_arrays_of_any_shape_arrive(device, array):
    for batch in backend.get_device(device).prefetch([(array,), (array, array), ()]):
        for moved in batch:
            np.testing.assert_array_equal(get(moved), array)
            assert get(moved).dtype == array.dtype


def test_no_batches_are_none(device):
    assert list(backend.get_device(device).prefetch([])) == []


def test_an_error_in_making_a_batch_comes_when_that_batch_is_asked_for(device):
    batches = backend.get_device(device).prefetch(failing_at(2, ZeroDivisionError("the third")))
    for expected in itertools.islice(made(), 2):
        assert_same([get(array) for array in next(batches)], expected)
    with pytest.raises(ZeroDivisionError, match="the third"):
        next(batches)
    assert list(batches) == []


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ([np.zeros(2)], "batches that are tuples of NumPy arrays, got list"),
        (np.zeros(2), "batches that are tuples of NumPy arrays, got ndarray"),
        ((np.zeros(2), [1, 2]), "batches of NumPy arrays, got list in one"),
    ],
    ids=["list", "array", "list in one"],
)
def test_what_is_no_batch_is_refused_after_those_before_it(device, batch, message):
    batches = backend.get_device(device).prefetch([(np.ones(1),), batch])
    assert get(next(batches)[0]) == 1
    with pytest.raises(TypeError, match=f"^prefetch expects {message}$"):
        next(batches)


def test_the_cpu_hands_out_the_arrays_themselves_and_makes_none_before_it_is_asked_for():
    asked_for = []
    source = [(np.zeros(3),), (np.ones(3),)]
    batches = backend.CPU.prefetch(asked_for.append(i) or batch for i, batch in enumerate(source))
    assert asked_for == []
    assert next(batches)[0] is source[0][0]
    assert asked_for == [0]


# --- on a fake GPU, lazy or eager ------------------------------------------------------------------------------------


@pytest.fixture(params=[(), ("copies",), ("compute",), ("compute", "copies")], ids=lambda eager: f"eager: {eager}")
def cupy(request, monkeypatch):
    return install(FakeAsyncCupy(request.param), monkeypatch)


@pytest.fixture
def lazy(monkeypatch):
    """Each stream works as little as it may."""
    return install(FakeAsyncCupy(), monkeypatch)


def install(cupy, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    return cupy


def step(cupy, batch):
    """Queue work as a training step does: it looks at the batch before and after it used memory of its own."""
    before = [cupy.look(array) for array in batch]
    for array in batch:
        cupy.fill(cupy.empty(array.shape, array.dtype), 7)
    return before, [cupy.look(array) for array in batch]


def assert_saw(seen, expected):
    """Both looks of a step."""
    for looks in seen:
        for (look,), array in zip(looks, expected, strict=True):
            np.testing.assert_array_equal(look, array)


@pytest.mark.parametrize("sizes", [SIZES, (4,) * 9, (5,), (2, 3)], ids=str)
@pytest.mark.parametrize("keep", [False, True], ids=["dropped", "kept"])
def test_every_step_sees_its_batch(cupy, sizes, keep):
    seen, kept = [], []
    for batch in CudaDevice(0).prefetch(made(sizes)):
        seen.append(step(cupy, batch))
        kept.extend([batch] * keep)
        del batch
    cupy.compute_stream.synchronize()
    for looks, expected in zip(seen, made(sizes), strict=True):
        assert_saw(looks, expected)
    for batch, expected in zip(kept, made(sizes), strict=keep):
        assert_same([array.values for array in batch], expected)


def test_batches_may_be_overwritten_by_whoever_made_them(cupy):
    buffer = np.zeros((4, 2))

    def batches():
        for value in range(6):
            buffer.fill(value)
            yield (buffer,)

    seen = [cupy.look(array) for (array,) in CudaDevice(0).prefetch(batches())]
    cupy.compute_stream.synchronize()
    assert [look.tolist() for (look,) in seen] == [[[value] * 2] * 4 for value in range(6)]


def test_when_a_batch_is_handed_out_the_next_ones_upload_is_under_way_and_needs_nothing_of_the_step_to_come(lazy):
    seen = []
    for i, batch in enumerate(CudaDevice(0).prefetch(made((4,) * 6))):
        copies = lazy.copy_stream
        assert copies.non_blocking  # else each copy would wait for the default stream, and that for it
        assert sum(callable(work) for work in copies.queue) == 2 * min(i + 2, 6)
        seen.append(step(lazy, batch))
        copies.work_until(len(copies.queue))
        assert not any(seen[-1][0]), "the upload waited for the step that it should overlap"


def test_the_host_waits_for_nothing_but_old_copies(lazy):
    """When batch i is handed out, it may have waited for the upload of i - 1, which waited for step i - 3."""
    seen = []
    for i, batch in enumerate(CudaDevice(0).prefetch(made((4,) * 7))):
        assert all(stream is lazy.copy_stream for stream in lazy.host_waits)
        for looks, _ in seen[max(0, i - 2) :]:
            assert not any(looks), "the host waited for a step"
        seen.append(step(lazy, batch))


def test_the_host_never_waits_where_the_gpu_is_fast_enough(monkeypatch):
    cupy = install(FakeAsyncCupy(("compute", "copies")), monkeypatch)
    for batch in CudaDevice(0).prefetch(made()):
        step(cupy, batch)
    assert cupy.host_waits == []


def test_two_sets_of_page_locked_buffers_and_two_batches_on_the_gpu_are_enough(monkeypatch):
    cupy = install(FakeAsyncCupy(), monkeypatch)
    for batch in CudaDevice(0).prefetch(made((4,) * 8)):
        del batch
    assert len(cupy.page_locked) == 2 * 2
    assert cupy.pieces == 2 * 2
    assert sum(len(free) for free in [*cupy.pools.values(), *cupy.free_page_locked.values()]) == 2 * 2 * 2


def test_page_locked_memory_that_can_not_be_had_costs_speed_alone_and_is_told(cupy, caplog):
    cupy.page_locked_memory_is_out = True
    with caplog.at_level(logging.WARNING, "npalexnet"):
        seen = [step(cupy, batch) for batch in CudaDevice(0).prefetch(made((4, 4, 2)))]
    cupy.compute_stream.synchronize()
    for looks, expected in zip(seen, made((4, 4, 2)), strict=True):
        assert_saw(looks, expected)
    assert caplog.messages == 4 * [
        "no page-locked memory for batches, so copying them holds up the host: cudaErrorMemoryAllocation: out of memory"
    ]


# --- ends ----------------------------------------------------------------------------------------------------------


def assert_nothing_is_in_flight(cupy):
    """The memory that was given back is used by others, and no copy comes in between."""
    assert cupy.copy_stream.done == len(cupy.copy_stream.queue)
    others = [cupy.empty((4, 5, 4, 3), np.float32) for _ in range(3)]
    for other in others:
        cupy.fill(other, 5)
    seen = [cupy.look(other) for other in others]
    for stream in (cupy.compute_stream, cupy.copy_stream):
        stream.synchronize()
    for values in [*(look for (look,) in seen), *(other.values for other in others)]:
        np.testing.assert_array_equal(values, 5)


@pytest.mark.parametrize("taken", [0, 1, 2, 3])
def test_leaving_early_waits_for_what_is_in_flight(cupy, taken):
    batches = CudaDevice(0).prefetch(made())
    seen = [step(cupy, next(batches)) for _ in range(taken)]
    batches.close()
    if taken:
        assert_nothing_is_in_flight(cupy)
    for looks, expected in zip(seen, made(), strict=False):
        assert_saw(looks, expected)


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
@pytest.mark.parametrize("index", range(4))
def test_an_error_leaves_nothing_in_flight(cupy, index, error):
    seen = []
    batches = CudaDevice(0).prefetch(failing_at(index, error()))
    with pytest.raises(error):
        seen.extend(step(cupy, batch) for batch in batches)
    put_off = error is ZeroDivisionError  # Ctrl-C comes while the batch before is waited for
    assert len(seen) == (index if put_off else max(0, index - 1))
    cupy.compute_stream.synchronize()
    for looks, expected in zip(seen, made(), strict=False):
        assert_saw(looks, expected)
    assert_nothing_is_in_flight(cupy)


def test_ctrl_c_is_not_put_off(cupy):
    batches = CudaDevice(0).prefetch(failing_at(1, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        next(batches)  # the first one's, while the second one is made


def test_no_memory_for_the_next_batch_is_an_error_of_that_batch(cupy, monkeypatch):
    batches = CudaDevice(0).prefetch(made())
    next(batches)
    empty = cupy.empty

    def full(shape, dtype):
        if np.dtype(dtype) == np.int64:
            raise MemoryError("out of GPU memory")
        return empty(shape, dtype)

    monkeypatch.setattr(cupy, "empty", full)
    seen = cupy.look(next(batches)[0])
    with pytest.raises(MemoryError, match="out of GPU memory"):
        next(batches)
    cupy.compute_stream.synchronize()
    np.testing.assert_array_equal(seen[0], next(itertools.islice(made(), 1, None))[0])


def test_all_of_a_second_gpus_uploads_are_made_while_it_is_the_current_one_and_only_then(cupy):
    device, seen = CudaDevice(1), []
    with cupy.cuda.Device(1):
        compute = cupy.compute_stream
    for batch in device.prefetch(made()):
        assert cupy.devices == [0]
        with device.active():
            seen.append(step(cupy, batch))
    assert cupy.devices == [0]
    with device.active():
        compute.synchronize()
    assert {stream.device for stream in cupy.streams} == {1}
    assert all(array.device.id == 1 for array in batch)
    for looks, expected in zip(seen, made(), strict=True):
        assert_saw(looks, expected)


def test_batches_are_made_while_the_callers_gpu_is_the_current_one_again_after_an_early_end(cupy):
    batches = CudaDevice(1).prefetch(made())
    next(batches)
    batches.close()
    assert cupy.devices == [0]
    with pytest.raises(ZeroDivisionError):
        list(CudaDevice(1).prefetch(failing_at(0, ZeroDivisionError())))
    assert cupy.devices == [0]
