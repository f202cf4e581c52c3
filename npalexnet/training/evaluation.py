"""Evaluating a network on labelled images."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import cast

import numpy as np

from npalexnet import backend
from npalexnet.backend import Array, Batch
from npalexnet.data.loader import DataLoader
from npalexnet.layers.layer import Layer
from npalexnet.losses import log_softmax
from npalexnet.training.metrics import Metrics, MetricsAccumulator


def log_probabilities(model: Layer, images: Array) -> np.ndarray:
    """Return the logarithms of the classes' probabilities for each image.

    Parameters
    ----------
    model : Layer
        A classifier, in eval mode.
    images : array
        (N, 3, H, W), or (N, 10, 3, H, W) for ten crops of each image, whose probabilities are averaged; on the model's
        device.

    Returns
    -------
    ndarray of float64, (N, K)
        Computed from the logits in float64; NaN for an image whose logits are not finite.

    References
    ----------
    A. Krizhevsky, I. Sutskever and G. Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", 2012,
    section 4.1: ten crops.
    """
    device = backend.device_of(images)
    with device.active():
        flat = images.reshape(-1, *images.shape[-3:])
    logits = device.to_host(model(flat)).astype(np.float64)
    with np.errstate(invalid="ignore"):  # of infinities
        found = log_softmax(logits)
        if images.ndim == 4:
            return found
        found = found.reshape(*images.shape[:2], -1)  # (N, 10, K)
        highest = found.max(axis=1, keepdims=True)  # taken off, so that not all exponentials can become 0
        return np.log(np.exp(found - highest).mean(axis=1)) + highest[:, 0]


def evaluate(
    model: Layer,
    loader: DataLoader,
    *,
    dtype: str = "float32",
    should_stop: Callable[[], bool] = lambda: False,
    watch: Callable[[np.ndarray], object] = lambda found: None,
) -> Metrics | None:
    """Return a network's metrics on all images of a loader; the model's mode stays as it is.

    Parameters
    ----------
    model : Layer
        Evaluated in eval mode.
    loader : DataLoader
        Its batches are (N, 3, H, W), or (N, 10, 3, H, W) for ten crops of each image.
    dtype : {"float32", "bfloat16", "float16"}
        What the network computes in.
    should_stop : callable
        Is asked before each batch.
    watch : callable
        Is called with each batch's `log_probabilities`, before they are added to the metrics.

    Returns
    -------
    Metrics or None
        None if `should_stop` returned True.
    """
    device, kind = backend.get_device(model.device or "cpu"), backend.input_dtype(dtype)
    accumulator, training = None, model.training
    model.eval()
    try:
        with closing(cast("Generator[Batch, None, None]", loader.epoch(0))) as batches:
            for images, labels in device.prefetch(batches):
                if should_stop():
                    return None
                with device.active():
                    images = images.astype(kind, copy=False)
                found = log_probabilities(model, images)
                del images  # while the next batch is awaited
                watch(found)
                accumulator = accumulator or MetricsAccumulator(found.shape[1])
                accumulator.add(found, device.to_host(labels))
    finally:
        model.train(training)
    if accumulator is None:
        raise ValueError("there are no images to evaluate on")
    return accumulator.metrics()
