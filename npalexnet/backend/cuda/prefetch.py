"""Batches on their way to a GPU: the next one is copied there while this one is computed with.

Copies run on a stream of their own, out of page-locked memory of the host. Three waits keep this right:

1. A copy waits for what the compute stream had to do when the batch's memory was allocated there. CuPy's pool gives
   memory on as soon as no array holds it any more, to whatever is allocated on the same stream: what was queued before
   may still use it, what is queued later can't. So the copy has to come after the former. It doesn't wait for the
   latter: the step that is queued next is computed while it runs.
2. The compute stream waits for a batch's copies when the batch is handed out. All that computes with it comes later
   then; and when its arrays are dropped, even at once and unread, so does all that gets their memory next, for that
   belongs to the same stream.
3. The host waits before it writes to page-locked memory that a copy may still read; and at the end, however it comes,
   for all copies. A batch that was not handed out is one that the compute stream did not wait for: its memory, on both
   sides, must not be given back under a copy.

The compute stream is the current one whenever a batch is asked for. It should be the same one each time, or has to
wait for the one before: the memory of a batch belongs to the stream that was current when the batch before was asked
for.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np

from npalexnet.backend.cuda.layouts import memory_order
from npalexnet.backend.device import Array, Batch, Device, checked_batch

logger = logging.getLogger("npalexnet")


def prefetch(device: Device, batches: Iterable[Batch]) -> Iterator[tuple[Array, ...]]:
    """Yield batches as CuPy arrays of a GPU, as `Device.prefetch` says."""
    source = iter(batches)
    with device.active():
        uploader = _Uploader(device.xp)
    coming: _Upload | Exception | None = None
    try:
        with device.active():
            coming = uploader.begin(source)
        while isinstance(coming, _Upload):
            with device.active():
                batch, coming = coming, None  # drops the one before: its memory can be the next one's
                coming = uploader.begin(source)
                uploader.await_on_compute_stream(batch)
            yield batch.arrays
        if coming is not None and not isinstance(coming, StopIteration):
            raise coming
    finally:
        uploader.finish()
        coming = None  # an error holds the frames that it came through, this one too, which should not hold it in turn


class _Upload(NamedTuple):
    """A batch on its way: its arrays, and the event after its copies."""

    arrays: tuple[Array, ...]
    copied: Any


class _Uploader:
    """Queues uploads on the current GPU."""

    def __init__(self, cupy: Any) -> None:
        self._cupy = cupy
        self._copies = cupy.cuda.Stream(non_blocking=True)  # else it would wait for the default stream, and that for it
        self._staging = cycle((_Staging(cupy), _Staging(cupy)))  # one is written to while the other one is copied from

    def begin(self, source: Iterator[Batch]) -> _Upload | Exception:
        """Take a batch and queue its upload, or return the error, or the StopIteration, that came in its place."""
        try:
            return self._upload(checked_batch(next(source)))
        except Exception as error:  # to be raised when this batch is asked for: the one before is all right
            return error

    def _upload(self, batch: Batch) -> _Upload:
        orders = [memory_order(array) for array in batch]
        staging = next(self._staging)
        hosts = staging.stage([array.transpose(order) for array, order in zip(batch, orders, strict=True)])
        arrays = [self._cupy.empty(host.shape, host.dtype) for host in hosts]
        self._copies.wait_event(self._record(self._cupy.cuda.get_current_stream()))
        for array, host in zip(arrays, hosts, strict=True):
            array.set(host, self._copies)
        staging.copied = self._record(self._copies)
        back = [np.argsort(order).tolist() for order in orders]
        return _Upload(tuple(map(_transposed, arrays, back)), staging.copied)

    def await_on_compute_stream(self, upload: _Upload) -> None:
        """Make what is queued on the current stream from here on wait for the upload."""
        self._cupy.cuda.get_current_stream().wait_event(upload.copied)

    def finish(self) -> None:
        """Wait until all copies are done."""
        self._copies.synchronize()

    def _record(self, stream: Any) -> Any:
        return stream.record(self._cupy.cuda.Event(disable_timing=True))


class _Staging:
    """Page-locked memory for one batch at a time: what a GPU can copy from on its own.

    Attributes
    ----------
    copied : event or None
        After the last copies out of it.
    """

    def __init__(self, cupy: Any) -> None:
        self._cupy = cupy
        self._buffers: dict[int, np.ndarray] = {}  # by the place in the batch; each grows to the largest array
        self.copied: Any = None

    def stage(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return copies of the arrays in C order, in this memory."""
        if self.copied is not None:
            self.copied.synchronize()
        copies = []
        for place, array in enumerate(arrays):
            if place not in self._buffers or self._buffers[place].nbytes < array.nbytes:
                self._buffers[place] = self._allocate(array.nbytes)
            copy = self._buffers[place][: array.nbytes].view(array.dtype).reshape(array.shape)
            np.copyto(copy, array)
            copies.append(copy)
        return copies

    def _allocate(self, nbytes: int) -> np.ndarray:
        if not nbytes:
            return np.empty(0, np.uint8)
        try:
            memory = self._cupy.cuda.alloc_pinned_memory(nbytes)
        except self._cupy.cuda.runtime.CUDARuntimeError as error:
            logger.warning("no page-locked memory for batches, so copying them holds up the host: %s", error)
            return np.empty(nbytes, np.uint8)
        return np.frombuffer(memory, np.uint8, nbytes)


def _transposed(array: Array, axes: list[int]) -> Array:
    return array.transpose(axes)
