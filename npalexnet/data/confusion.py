"""Counts of true and predicted classes: a confusion matrix that takes no memory for pairs that do not occur."""

from __future__ import annotations

from typing import Any

import numpy as np

Entries = tuple[np.ndarray, np.ndarray, np.ndarray]


class Confusion:
    """A confusion matrix, (K, K): how many images of class i (row) were classified as class j (column).

    Only the pairs that occur are kept: of 20,000 classes the whole matrix would take 3.2 GB. ``np.asarray`` makes it,
    and so does an index.

    Parameters
    ----------
    num_classes : int
        K.
    """

    def __init__(self, num_classes: int) -> None:
        self.shape = num_classes, num_classes
        self._counts: dict[int, int] = {}  # by K * i + j

    def add(self, labels: np.ndarray, predicted: np.ndarray) -> None:
        """Count images by their true and their predicted classes, (N,) integers from 0 to K - 1 each."""
        pairs, counts = np.unique(labels.astype(np.int64) * len(self) + predicted, return_counts=True)
        for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
            self._counts[pair] = self._counts.get(pair, 0) + count

    def entries(self) -> Entries:
        """Return the rows, the columns and the counts of the pairs that occur, row by row: int64 (M,) each."""
        pairs = np.array(sorted(self._counts), np.int64)
        rows, columns = np.divmod(pairs, len(self) or 1)
        return rows, columns, np.array([self._counts[pair] for pair in pairs.tolist()], np.int64)

    def sum(self) -> int:
        """Return the number of images."""
        return sum(self._counts.values())

    def trace(self) -> int:
        """Return the number of images that were classified correctly."""
        return sum(count for pair, count in self._counts.items() if pair % (len(self) + 1) == 0)

    def copy(self) -> Confusion:
        """Return a copy."""
        other = Confusion(len(self))
        other._counts = dict(self._counts)
        return other

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        rows, columns, counts = self.entries()
        matrix = np.zeros(self.shape, np.int64 if dtype is None else dtype)
        matrix[rows, columns] = counts
        return matrix

    def __getitem__(self, index: Any) -> Any:
        return np.asarray(self)[index]


def entries(matrix: Confusion | np.ndarray) -> Entries:
    """Return the rows, the columns and the counts of what is not zero in a confusion matrix, row by row."""
    if isinstance(matrix, Confusion):
        return matrix.entries()
    rows, columns = np.nonzero(matrix)
    return rows, columns, matrix[rows, columns]
