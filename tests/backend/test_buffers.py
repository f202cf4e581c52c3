"""Recycled memory: used again once nobody can see it any more, and never before."""

import gc
import threading

import numpy as np
import pytest
import torch

import npalexnet as na
from npalexnet.backend import CPU
from npalexnet.backend.buffers import BufferPool
from npalexnet.backend.cpu import POOLED_BYTES
from tests.support import normal

FLOAT32 = np.dtype("float32")
SHAPE = (POOLED_BYTES // 4, 2)


def address(array):
    return array.__array_interface__["data"][0]


def test_memory_is_used_again_when_its_array_is_gone(dtype):
    pool = BufferPool()
    first = pool.empty(SHAPE, np.dtype(dtype))
    assert (first.shape, first.dtype, first.flags.writeable, first.flags.c_contiguous) == (SHAPE, dtype, True, True)
    first[...] = 1
    where = address(first)
    del first
    second = pool.empty(SHAPE[::-1], np.dtype(dtype))
    assert address(second) == where
    assert address(pool.empty(SHAPE, np.dtype(dtype))) != where  # that is taken


@pytest.mark.parametrize(
    "see",
    [lambda a: a[3:5], lambda a: a.T, lambda a: a.view("int32").reshape(-1)[:1], torch.from_numpy, memoryview],
    ids=["slice", "transpose", "other dtype", "torch", "buffer"],
)
def test_memory_is_not_used_again_while_something_shows_it(see):
    pool = BufferPool()
    array = pool.empty(SHAPE, FLOAT32)
    where = address(array)
    view = see(array)
    del array
    assert address(pool.empty(SHAPE, FLOAT32)) != where
    del view
    gc.collect()
    both = [pool.empty(SHAPE, FLOAT32) for _ in range(2)]  # of which one was free before
    assert where in map(address, both)


def test_another_size_has_other_memory_and_small_arrays_are_ordinary():
    pool = BufferPool()
    pool.empty(SHAPE, FLOAT32)
    larger = pool.empty((POOLED_BYTES,), FLOAT32)
    larger[...] = 1
    assert larger.nbytes == 4 * POOLED_BYTES
    assert CPU.pooled_buffer((3, 4), FLOAT32).base is None
    assert CPU.pooled_buffer((0, 4), FLOAT32).shape == (0, 4)


def test_memory_of_sizes_that_are_not_asked_for_again_is_given_back():
    pool = BufferPool()
    for rows in range(POOLED_BYTES // 4, POOLED_BYTES // 4 + 20):
        pool.empty((rows, 2), FLOAT32)
    assert sum(memory.nbytes for free in pool._free.values() for memory in free) < 3 * POOLED_BYTES


def test_no_memory_is_given_to_two_threads():
    pool = BufferPool()
    kept, start = [], threading.Barrier(4)

    def work():
        start.wait(20)
        mine = []
        for number in range(200):
            array = pool.empty(SHAPE, FLOAT32)
            if number % 20 == 0:
                mine.append(array)
        kept.extend(mine)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({address(array) for array in kept}) == len(kept) == 40


def test_a_gradient_that_is_kept_is_not_written_to_by_the_next_backward():
    layer = na.Linear(600, 900, seed=0)
    x = normal((3, 600), "float32")
    layer.backward(layer(x) * 0 + 1)
    kept = layer.weight.grad
    row = kept[5]
    before = kept.copy()
    layer.zero_grad()
    for factor in (2, 3):
        layer.backward(layer(x) * 0 + factor)
        layer.zero_grad()
    np.testing.assert_array_equal(kept, before)
    del kept
    layer.backward(layer(x) * 0 + 4)
    np.testing.assert_array_equal(row, before[5])


def test_training_makes_its_gradients_in_the_same_memory_each_step():
    layer = na.Linear(600, 900, seed=0)
    x, places, others = normal((3, 600), "float32"), [], []
    for _ in range(3):
        layer.zero_grad()
        others.append(np.empty((900, 600), "float32"))  # would take the place of memory that was given back
        layer.backward(layer(x))
        places.append(address(layer.weight.grad))
    assert len(set(places)) == 1
    assert CPU.owns(layer.weight.grad)
