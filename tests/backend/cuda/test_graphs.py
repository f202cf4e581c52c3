"""Capturing and replaying CUDA graphs, told apart from CUDA: a fake CuPy notes what happens in which order."""

import gc
import logging
import threading
import weakref

import numpy as np
import pytest

from npalexnet.backend import CPU
from npalexnet.backend.cuda import device as cuda
from tests.fakes.cupy import FakeArray, Stream


@pytest.fixture
def gpu(cupy):
    return cuda.CudaDevice(0)


@pytest.fixture
def affine(cupy):
    """A function with a parameter, an intermediate result and memory of its own: ``2 * x + parameter``."""

    def function(x):
        twice, y = cupy.empty_like(x), cupy.empty_like(x)
        cupy.launch(lambda: np.multiply(x, 2, out=twice))
        cupy.launch(lambda: np.add(twice, function.parameter, out=y))
        return y

    function.parameter = array(np.ones(3))
    return function


def array(values):
    return np.asarray(values, "float32").view(FakeArray)


def test_a_function_is_warmed_up_on_a_side_stream_and_then_captured(gpu, cupy, affine):
    gpu.graphed(affine, array([[1, 2, 3]]))
    assert cupy.events == [
        "default: record",  # the side stream waits for what made samples and parameters
        "side: wait",
        "side: kernel",
        "side: kernel",
        "side: synchronize",
        "side: begin capture",
        "side: end capture",
    ]
    assert [stream.name for stream in cupy.streams] == ["default"]


def test_a_replay_waits_for_the_last_one_and_launches_once_on_the_current_stream(gpu, cupy, affine):
    graphed = gpu.graphed(affine, array([[1, 2, 3]]))
    cupy.events.clear()
    graphed(array([[4, 5, 6]]))
    with Stream(cupy, 9, "other"):
        graphed(array([[4, 5, 6]]))
    assert cupy.events == [f"{name}: {what}" for name in ("default", "other") for what in ("wait", "launch", "record")]


def test_a_replay_computes_with_its_arguments_and_the_parameters_of_the_moment(gpu, affine):
    sample = array([[1, 2, 3]])
    graphed = gpu.graphed(affine, sample)
    first = graphed(array([[4, 5, 6]]))
    affine.parameter += 100
    second = graphed(array([[7, 8, 9]]))
    assert first.tolist() == [[9, 11, 13]]
    assert second.tolist() == [[115, 117, 119]]
    assert sample.tolist() == [[1, 2, 3]]


def test_a_result_is_the_callers(gpu, affine):
    graphed = gpu.graphed(affine, array([[1, 2, 3]]))
    result = graphed(array([[4, 5, 6]]))
    result[...] = -1
    assert graphed(array([[4, 5, 6]])).tolist() == [[9, 11, 13]]


def test_arguments_and_result_keep_their_axes_order_in_memory(gpu, cupy):
    def function(x):
        strides.append(x.strides)
        y = cupy.empty_like(x)
        cupy.launch(lambda: np.negative(x, out=y))
        return y

    strides, sample = [], array(np.arange(24).reshape(2, 3, 4)).transpose(0, 2, 1)
    result = gpu.graphed(function, sample)(sample)
    assert {*strides, result.strides} == {sample.strides}
    np.testing.assert_array_equal(result, -sample)


def test_all_memory_of_a_graph_is_from_a_pool_that_lives_as_long_as_it(gpu, cupy, affine):
    graphed = gpu.graphed(affine, array([[1, 2, 3]]))
    (pool,) = cupy.pools
    assert pool.sizes == [12] * 5  # the input; two arrays in the warm-up, and two in the capture
    assert cupy.default_pool.sizes == []
    assert cupy.allocators == [cupy.default_pool.malloc]
    alive = weakref.ref(pool)
    cupy.pools.clear()
    del pool
    gc.collect()
    assert alive() is not None
    del graphed
    gc.collect()
    assert alive() is None


def computes_without_a_graph(gpu, cupy, function, caplog, reason):
    """Without a graph, the function itself is called; one line in the log says why, and nothing is left over."""
    with caplog.at_level(logging.WARNING, "npalexnet"):
        graphed = gpu.graphed(function, array([[1, 2, 3]]))
        assert graphed(array([[4, 5, 6]])).tolist() == graphed(array([[4, 5, 6]])).tolist() == [[9, 11, 13]]
    assert graphed is function
    assert caplog.messages == [f"no CUDA graph, each call launches its kernels: {reason}"]
    assert [stream.name for stream in cupy.streams] == ["default"]
    assert cupy.allocators == [cupy.default_pool.malloc]


def test_a_function_that_waits_can_not_be_captured(gpu, cupy, affine, caplog):
    def waits(x):
        cupy.streams[-1].synchronize()
        return affine(x)

    computes_without_a_graph(gpu, cupy, waits, caplog, "RuntimeError: cudaErrorStreamCaptureUnsupported")
    assert cupy.events.count("side: end capture") == 1


def test_a_capture_that_cuda_broke_off(gpu, cupy, affine, caplog):
    cupy.broken = True
    computes_without_a_graph(gpu, cupy, affine, caplog, "RuntimeError: cudaErrorStreamCaptureInvalidated")


def test_the_reason_is_why_the_function_failed_and_not_that_the_capture_is_over(gpu, cupy, affine, caplog):
    def fails_in_capture(x):
        if cupy.streams[-1].captured is not None:
            cupy.broken = True
            raise NotImplementedError("calling cuBLAS API during stream capture\nis not supported")
        return affine(x)

    reason = "NotImplementedError: calling cuBLAS API during stream capture"
    computes_without_a_graph(gpu, cupy, fails_in_capture, caplog, reason)


def test_ctrl_c_ends_the_capture_and_is_passed_on(gpu, cupy, affine):
    def interrupted(x):
        if cupy.streams[-1].captured is not None:
            raise KeyboardInterrupt
        return affine(x)

    with pytest.raises(KeyboardInterrupt):
        gpu.graphed(interrupted, array([[1, 2, 3]]))
    assert cupy.events[-1] == "side: end capture"


def test_a_gpu_without_streams_to_capture(gpu, cupy, affine, caplog):
    def no_stream(non_blocking):
        raise RuntimeError("cudaErrorNotSupported")

    cupy.cuda.Stream = no_stream
    computes_without_a_graph(gpu, cupy, affine, caplog, "RuntimeError: cudaErrorNotSupported")


def test_threads_that_replay_one_graph_take_turns(gpu, cupy, affine):
    results, other = {}, None

    def replay(number):
        results[number] = graphed(array([[number] * 3])).tolist()

    def interrupted(x):
        cupy.launch(let_another_thread_in)
        return affine(x)

    def let_another_thread_in():  # after the input was copied, before it is read
        nonlocal other
        if graphed is not None and other is None:
            other = threading.Thread(target=replay, args=(2,))
            other.start()
            other.join(0.3)  # it can't finish before the first one has

    graphed = None
    graphed = gpu.graphed(interrupted, array([[1, 2, 3]]))
    replay(1)
    other.join()
    assert results == {1: [[3, 3, 3]], 2: [[5, 5, 5]]}


def test_elsewhere_a_function_is_left_as_it_is():
    assert CPU.graphed(np.negative, np.ones(3)) is np.negative


def test_cupys_names_exist():
    cupy = pytest.importorskip("cupy", exc_type=ImportError)
    for name in ("Event", "MemoryPool", "Stream", "alloc", "get_current_stream", "using_allocator"):
        assert hasattr(cupy.cuda, name)
    for name in ("begin_capture", "end_capture", "record", "synchronize", "wait_event"):
        assert hasattr(cupy.cuda.Stream, name)
    assert hasattr(cupy.cuda.Graph, "launch")
