"""Testing a network on labelled images."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import TYPE_CHECKING, cast

import numpy as np

from npalexnet import backend
from npalexnet.backend import Batch
from npalexnet.layers.layer import Layer
from npalexnet.training.metrics import Counter, Metrics

if TYPE_CHECKING:
    from npalexnet.data.loader import DataLoader


def evaluate(
    model: Layer, loader: DataLoader, *, dtype: str = "float32", should_stop: Callable[[], bool] = lambda: False
) -> Metrics | None:
    """Return how good a network's answers to all images of a loader are; the model's mode stays as it is.

    Parameters
    ----------
    model : Layer
        It is put into eval mode for this.
    loader : DataLoader
        Its batches are (N, 3, H, W), or (N, 10, 3, H, W) for ten crops of each image: their probabilities are averaged.
    dtype : {"float32", "bfloat16", "float16"}
        What the network computes in.
    should_stop : callable
        Is asked before each batch.

    Returns
    -------
    Metrics or None
        None if `should_stop` said so.

    References
    ----------
    A. Krizhevsky, I. Sutskever and G. Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", 2012,
    section 4.1: ten crops.
    """
    device, kind = backend.get_device(model.device or "cpu"), backend.input_dtype(dtype)
    counter, training = None, model.training
    model.eval()
    try:
        with closing(cast("Generator[Batch, None, None]", loader.epoch(0))) as batches:
            for images, labels in device.prefetch(batches):
                if should_stop():
                    return None
                shape = images.shape
                with device.active():
                    images = images.reshape(-1, *shape[-3:]).astype(kind, copy=False)
                logits = device.to_host(model(images)).astype(np.float64)
                del images
                counter = counter or Counter(logits.shape[1])
                counter.add(_averaged(logits, shape[1]) if len(shape) == 5 else logits, device.to_host(labels))
    finally:
        model.train(training)
    if counter is None:
        raise ValueError("there are no images to test with")
    return counter.metrics()


def _averaged(logits: np.ndarray, crops: int) -> np.ndarray:
    """(N * crops, K) -> (N, K): the logarithms of the mean probabilities."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    shares = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    return np.log(np.maximum(shares.reshape(-1, crops, shares.shape[1]).mean(axis=1), np.finfo(np.float64).tiny))
