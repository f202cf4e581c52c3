"""The data loader: batches, decoded and augmented ahead of the step that needs them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from npalexnet.checks import has, integer
from npalexnet.data.datasets import Dataset
from npalexnet.data.memory import PICTURES
from npalexnet.data.pipeline import Pipeline


class LoadError(RuntimeError):
    """A picture can't be loaded; the message names it."""


class DataLoader:
    """Makes batches of a data set, on threads of its own.

    The order of an epoch depends on the seed and the epoch's number alone, and the augmentation of a picture on these
    and the picture's index: neither on the number of threads, nor on what was loaded before. So the batches of any
    epoch can be reproduced, from any batch on.

    Threads are enough: nearly all of the work is done by Pillow and NumPy, which release Python's lock meanwhile.

    Parameters
    ----------
    dataset : Dataset
    pipeline : Pipeline
        Makes the network's input of a picture.
    batch_size : int
        Pictures in a batch; the last batch of an epoch may have fewer.
    seed : int
        Of the order and the augmentation.
    shuffle : bool
        Take the pictures in another order each epoch.
    workers : int
        Threads.
    drop_last : bool
        Leave out a last batch with fewer pictures.
    ahead : int
        Batches that are prepared before they are needed.

    Attributes
    ----------
    waited : float
        Seconds that the caller had to wait for batches, in all.

    Raises
    ------
    TypeError, ValueError
        If there is nothing to load, or a number is out of range.
    """

    def __init__(
        self, dataset: Dataset, pipeline: Pipeline, batch_size: int, *, seed: int = 0, shuffle: bool = True,
        workers: int = 1, drop_last: bool = False, ahead: int = 2,
    ) -> None:  # fmt: skip
        self.batch_size, self.seed = integer("batch_size", batch_size, 1), integer("seed", seed, 0)
        self.workers, self.ahead = integer("workers", workers, 1), integer("ahead", ahead, 1)
        has("dataset", dataset, "labels", "a Dataset, with its labels and classes")
        has("pipeline", pipeline, "output_shape", "a Pipeline")
        if not len(dataset):
            raise ValueError("the data set is empty")
        if drop_last and len(dataset) < batch_size:
            raise ValueError(
                f"drop_last leaves nothing: {len(dataset)} pictures are fewer than a batch of {batch_size}"
            )
        self.dataset, self.pipeline, self.shuffle, self.drop_last = dataset, pipeline, shuffle, drop_last
        self.waited = 0.0

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return len(self.dataset) // self.batch_size if self.drop_last else -(-len(self.dataset) // self.batch_size)

    def order(self, number: int) -> np.ndarray:
        """Return the indices of all pictures, int64 (N,), in the order of epoch `number`."""
        if not self.shuffle:
            return np.arange(len(self.dataset))
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(number,))).permutation(
            len(self.dataset)
        )

    def epoch(self, number: int, start: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the batches of an epoch.

        The threads start with the first batch, and end with the last, or when the iterator is closed or dropped.

        Parameters
        ----------
        number : int
            The epoch, counted from 0.
        start : int
            The batch to begin with, counted from 0.

        Yields
        ------
        images : ndarray of float32, (N, 3, 227, 227), or (N, 10, 3, 227, 227) with `TenCrop`
            Channels last in memory; the caller may change them.
        labels : ndarray of int64, (N,)

        Raises
        ------
        LoadError
            Instead of a batch with a picture that can't be loaded.
        """
        if not (isinstance(number, int | np.integer) and isinstance(start, int | np.integer)):
            raise TypeError(f"number and start must be ints, got {number!r} and {start!r}")
        if number < 0 or not 0 <= start <= len(self):
            raise ValueError(f"number must not be negative and start be from 0 to {len(self)}, got {number}, {start}")
        return self._batches(number, start)

    def _batches(self, number: int, start: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        order = self.order(number)
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="npalexnet-loader")
        coming: deque[_Batch] = deque()
        try:
            for batch in range(start, len(self)):
                chosen = order[batch * self.batch_size : (batch + 1) * self.batch_size]
                coming.append(self._begin(pool, number, chosen))
                if len(coming) > self.ahead:
                    yield self._finish(coming.popleft())
            while coming:
                yield self._finish(coming.popleft())
        finally:
            pool.shutdown(cancel_futures=True)

    def _begin(self, pool: ThreadPoolExecutor, number: int, chosen: np.ndarray) -> _Batch:
        *crops, channels, height, width = self.pipeline.output_shape
        images = np.moveaxis(np.empty((len(chosen), *crops, height, width, channels), np.float32), -1, -3)
        rows = [
            pool.submit(self._prepare, number, index, row) for index, row in zip(chosen.tolist(), images, strict=True)
        ]
        return _Batch(images, self.dataset.labels[chosen], rows)

    def _finish(self, batch: _Batch) -> tuple[np.ndarray, np.ndarray]:
        started = time.perf_counter()
        for row in batch.rows:
            row.result()
        self.waited += time.perf_counter() - started
        return batch.images, batch.labels

    def _prepare(self, number: int, index: int, row: np.ndarray) -> None:
        """Write a picture as the network's input to `row`."""
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(number, index)))
        try:
            with PICTURES.held():
                row[...] = self.pipeline(self.dataset[index][0], rng)
        except MemoryError:
            raise
        except Exception as error:
            name = self.dataset.name(index)
            raise LoadError(str(error) if name in str(error) else f"{name} can't be loaded: {error}") from error


class _Batch(NamedTuple):
    """A batch that is being prepared; it is complete when all of its rows are."""

    images: np.ndarray
    labels: np.ndarray
    rows: list[Future[None]]
