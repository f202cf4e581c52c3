"""Inside a network: activations, receptive fields, occlusion maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Protocol

import numpy as np

from npalexnet import backend
from npalexnet.backend import Array
from npalexnet.checks import integer
from npalexnet.layers import sharding
from npalexnet.layers.activation import Flatten
from npalexnet.layers.average_pooling import AdaptiveAvgPool2d, AvgPool2d
from npalexnet.layers.conv import Conv2d
from npalexnet.layers.layer import Layer
from npalexnet.layers.linear import Linear
from npalexnet.layers.normalization import SpatialResponseNorm
from npalexnet.layers.pooling import MaxPool2d
from npalexnet.losses import log_softmax

BATCH_SIZE = 16


class Images(Protocol):
    """A network's inputs, float (C, H, W) each: an array (N, C, H, W), or a sequence that computes them on demand."""

    def __len__(self) -> int: ...

    def __getitem__(self, i: int, /) -> np.ndarray: ...


def check_layer(model: Layer, name: str) -> None:
    """Raise a ValueError unless the model has a layer of that name."""
    names = [known for known, _ in model.named_leaves()]
    if name not in names:
        raise ValueError(f"layer must be one of {', '.join(names)}, got {name!r}")


def check_image(image: np.ndarray) -> None:
    """Raise a ValueError unless `image` is a single image."""
    if np.ndim(image) != 3:
        raise ValueError(f"image must have shape (C, H, W), got {np.shape(image)}")


def activations(model: Layer, images: np.ndarray, names: Sequence[str]) -> dict[str, Array]:
    """Return the outputs of layers for a batch, without dropout.

    The layers are computed one after the other, and keep nothing for a backward.

    Parameters
    ----------
    model : Layer
        A feed-forward network, as `AlexNet` or a `Sequential`.
    images : ndarray
        (N, C, H, W).
    names : sequence of str
        The layers' names, as ``npalexnet summary`` prints them: ``"layers.1"``.

    Returns
    -------
    dict of array
        The outputs by name, on the model's device.
    """
    for name in names:
        check_layer(model, name)
    device = backend.get_device(model.device or "cpu")
    x = device.from_host(images.astype(model.dtype, copy=False))
    found: dict[str, Array] = {}
    with device.active():
        for name, layer in model.named_leaves():
            if len(found) == len(set(names)):
                break
            x = sharding.infer(layer, x, None)  # without noise: dropout is the identity
            if name in names:
                found[name] = x
    return found


@dataclass(frozen=True)
class Responses:
    """The maximum of each channel of a layer over each image.

    Attributes
    ----------
    values : ndarray of float32, (N, C)
        The largest activation of the channel in the image.
    places : ndarray of int64, (N, C, 2)
        Row and column of that activation in the layer's output; (0, 0) for a linear layer.
    """

    values: np.ndarray
    places: np.ndarray


def responses(
    model: Layer, images: Images, names: Sequence[str], watch: Callable[[int], object] = lambda done: None
) -> dict[str, Responses]:
    """Return the responses of layers to at least one image, by the layers' names; see `activations`.

    `watch` is called after each batch with its number of images.
    """
    if not len(images):
        raise ValueError("images must hold at least one image, got none")
    values: dict[str, list[np.ndarray]] = {name: [] for name in names}
    places: dict[str, list[np.ndarray]] = {name: [] for name in names}
    device = backend.get_device(model.device or "cpu")
    for start in range(0, len(images), BATCH_SIZE):
        batch = np.stack([images[i] for i in range(start, min(len(images), start + BATCH_SIZE))])
        for name, y in activations(model, batch, names).items():
            with device.active():
                flat = y.reshape(*y.shape[:2], -1)  # (n, C, oH*oW)
                highest, where = flat.max(axis=2), flat.argmax(axis=2)
            values[name].append(device.to_host(highest))
            width = y.shape[3] if y.ndim == 4 else 1
            places[name].append(np.stack(np.divmod(device.to_host(where), width), axis=2))
        watch(len(batch))
    return {name: Responses(np.concatenate(values[name]), np.concatenate(places[name])) for name in names}


def receptive_field(model: Layer, name: str, place: tuple[int, int], size: tuple[int, int]) -> tuple[slice, slice]:
    """Return the rows and the columns of the image on which one place of a layer's output depends.

    Parameters
    ----------
    model : Layer
        A feed-forward network.
    name : str
        The layer's name.
    place : pair of int
        Row and column in its output.
    size : pair of int
        Height and width of the image; the receptive field ends at its borders.
    """
    check_layer(model, name)
    layers = dict(model.named_leaves())
    behind = list(layers).index(name) + 1
    whole = slice(0, size[0]), slice(0, size[1])
    first, last = list(place), list(place)
    for layer in reversed(list(layers.values())[:behind]):
        if isinstance(layer, Flatten | Linear | AdaptiveAvgPool2d):
            return whole
        if isinstance(layer, Conv2d | MaxPool2d | AvgPool2d):
            windows = layer.geometry
            extent = [d * (k - 1) for d, k in zip(windows.dilation, windows.kernel_size, strict=True)]
            for axis, (padding, _) in enumerate(windows.padding):
                first[axis] = first[axis] * windows.stride[axis] - padding
                last[axis] = last[axis] * windows.stride[axis] - padding + extent[axis]
        if isinstance(layer, SpatialResponseNorm):
            for axis in (0, 1):
                first[axis] -= layer.size // 2
                last[axis] += (layer.size - 1) // 2
    rows, columns = (slice(max(0, a), min(b + 1, end)) for a, b, end in zip(first, last, size, strict=True))
    return rows, columns


def occlusion_map(
    model: Layer,
    image: np.ndarray,
    label: int,
    *,
    cells: int = 15,
    size: int = 45,
    watch: Callable[[int], object] = lambda done: None,
) -> tuple[float, np.ndarray]:
    """Return a class's probability for an image, and how it decreases when a square covers a part of the image.

    Parameters
    ----------
    model : Layer
        A classifier: (N, C, H, W) -> (N, K) logits. It is computed without dropout, whatever its mode.
    image : ndarray
        (C, H, W).
    label : int
        The class, below K.
    cells : int
        The image is divided into `cells` x `cells` cells, and a square centred on each.
    size : int
        The square's height and width in pixels, cut off at the image's edges. It is filled with 0, the mean colour of
        the training images.
    watch : callable
        Called after each batch with its number of squares.

    Returns
    -------
    probability : float
        The class's probability for the whole image.
    decreases : ndarray, (cells, cells)
        `probability` minus the probability with the square: positive where the covered part is evidence for the class.

    References
    ----------
    M. Zeiler and R. Fergus, "Visualizing and Understanding Convolutional Networks", 2014, section 4.2.
    """
    check_image(image)
    integer("cells", cells, 1), integer("size", size, 1)
    device = backend.get_device(model.device or "cpu")

    def probabilities(batch: np.ndarray) -> np.ndarray:
        with device.active():
            logits = sharding.infer(model, device.from_host(batch.astype(model.dtype, copy=False)), None)
            found = device.to_host(log_softmax(logits))
        if not 0 <= label < found.shape[1]:
            raise ValueError(f"label must be from 0 to {found.shape[1] - 1}, got {label}")
        return np.exp(found[:, label].astype(np.float64))

    whole = float(probabilities(image[None])[0])
    covered = []
    squares = list(_squares(image.shape[1], image.shape[2], cells, size))
    for start in range(0, len(squares), BATCH_SIZE):
        chosen = squares[start : start + BATCH_SIZE]
        batch = np.repeat(image[None], len(chosen), axis=0)
        for copy, (rows, columns) in zip(batch, chosen, strict=True):
            copy[:, rows, columns] = 0
        covered.append(probabilities(batch))
        watch(len(chosen))
    return whole, whole - np.concatenate(covered).reshape(cells, cells)


def _squares(height: int, width: int, cells: int, size: int) -> Iterator[tuple[slice, slice]]:
    for row, column in product(range(cells), repeat=2):
        yield _side(row, height, cells, size), _side(column, width, cells, size)


def _side(cell: int, length: int, cells: int, size: int) -> slice:
    start = round((cell + 0.5) * length / cells - size / 2)
    return slice(max(0, start), max(0, start + size))


def most_variable(found: Mapping[str, Responses]) -> dict[str, int]:
    """Return for each layer the channel whose responses have the largest standard deviation over the images."""
    return {name: int(response.values.std(axis=0).argmax()) for name, response in found.items()}
