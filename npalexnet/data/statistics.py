"""Statistics of a data set's colours."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from npalexnet.checks import integer
from npalexnet.data.arguments import as_image
from npalexnet.data.datasets import Dataset
from npalexnet.data.memory import PICTURES
from npalexnet.data.transforms import ResizeCenterCrop, Triple

LIMIT = 2000
SIDE = 256  # so that pictures of all sizes have the same weight


@dataclass(frozen=True, eq=False)
class Statistics:
    """Mean, standard deviation and principal components of a data set's colours, from 0 to 1.

    Attributes
    ----------
    mean, std : three floats
        Of red, green and blue; a standard deviation is 1e-6 at least, so that it can be divided by.
    eigenvalues : three floats
        Of the colours' covariance, the largest first.
    eigenvectors : three rows of three floats
        The columns are the vectors, each with its largest component positive.
    mean_image : ndarray of float32 or None
        (H, W, 3): the mean picture.
    """

    mean: Triple
    std: Triple
    eigenvalues: Triple = (0.0, 0.0, 0.0)
    eigenvectors: tuple[Triple, Triple, Triple] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    mean_image: np.ndarray | None = None

    @classmethod
    def fit(
        cls, dataset: Dataset, *, limit: int = LIMIT, mean_image: int | None = None, workers: int = 2
    ) -> Statistics:
        """Measure the pictures of a data set.

        The sums are exact, of whole numbers, so that the result depends on the pictures alone.

        Parameters
        ----------
        dataset : Dataset
            Pictures in memory are measured as they are, picture files in their middle square, scaled to 256 x 256.
        limit : int
            Measure at most so many, spread evenly over the data set.
        mean_image : int, optional
            Height and width of the mean picture; by default there is none.
        workers : int
            Threads.
        """
        if not len(dataset):
            raise ValueError("there is no picture to measure")
        count = min(integer("limit", limit, 1), len(dataset))
        chosen = (np.arange(count) * len(dataset) // count).tolist()
        pixels, first, second = 0, np.zeros(3, np.int64), np.zeros((3, 3), np.int64)
        image = None if mean_image is None else np.zeros((mean_image, mean_image, 3), np.int64)
        with ThreadPoolExecutor(workers, thread_name_prefix="measure") as pool:
            for part in pool.map(lambda i: _measured(dataset, i, mean_image), chosen):
                pixels, first, second = pixels + part[0], first + part[1], second + part[2]
                if image is not None:
                    image += part[3]
        covariance = _covariance(pixels, first.tolist(), second.tolist())
        values, vectors = np.linalg.eigh(covariance)  # the smallest first
        values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
        vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), range(3)])
        std = np.maximum(np.sqrt(np.diag(covariance)), 1e-6)
        rows = [_as_triple(row) for row in vectors]
        return cls(
            _as_triple(first / pixels / 255), _as_triple(std), _as_triple(values), (rows[0], rows[1], rows[2]),
            None if image is None else (image / (255 * count)).astype(np.float32),
        )  # fmt: skip


def _measured(
    dataset: Dataset, index: int, mean_image: int | None
) -> tuple[int, np.ndarray, np.ndarray, np.ndarray | int]:
    """Measure a picture, and let the next one be decoded only then."""
    with PICTURES.held():
        return _measure(dataset, index, mean_image)


def _measure(
    dataset: Dataset, index: int, mean_image: int | None
) -> tuple[int, np.ndarray, np.ndarray, np.ndarray | int]:
    """Return the number of pixels, the sums of colours (3,) and of their products (3, 3), and the scaled picture."""
    rng = np.random.default_rng(0)  # not used by ResizeCenterCrop
    picture = dataset[index][0]
    image = as_image(picture)
    if not isinstance(picture, np.ndarray):
        image = ResizeCenterCrop(SIDE)(image, rng)
    colours = np.asarray(image.convert("RGB")).reshape(-1, 3).astype(np.float64)  # whole numbers: exact below 2^53
    first, second = colours.sum(axis=0).astype(np.int64), (colours.T @ colours).astype(np.int64)
    if mean_image is None:
        return len(colours), first, second, 0
    scaled = ResizeCenterCrop(mean_image)(image, rng).convert("RGB")
    return len(colours), first, second, np.asarray(scaled).astype(np.int64)


def _covariance(count: int, first: list[int], second: list[list[int]]) -> np.ndarray:
    """(sum of x y) / n - (sum of x)(sum of y) / n^2, with Python's integers until the division: nothing cancels."""
    products = [[count * second[i][j] - first[i] * first[j] for j in range(3)] for i in range(3)]
    return np.array([[product / (255 * count) ** 2 for product in row] for row in products])


def _as_triple(values: np.ndarray) -> Triple:
    red, green, blue = values.tolist()
    return (red, green, blue)
