"""What goes on inside a network: activations, the part of the image that a unit sees, what it is excited by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Protocol

import numpy as np

from npalexnet import backend
from npalexnet.backend import Array
from npalexnet.layers import sharding
from npalexnet.layers.activation import Flatten
from npalexnet.layers.conv import Conv2d
from npalexnet.layers.layer import Layer
from npalexnet.layers.linear import Linear
from npalexnet.layers.pooling import MaxPool2d
from npalexnet.losses import log_softmax

BATCH_SIZE = 16


class Images(Protocol):
    """A network's inputs, (C, H, W) of float each: an array (N, C, H, W), or something that makes them when asked."""

    def __len__(self) -> int: ...

    def __getitem__(self, i: int, /) -> np.ndarray: ...


def check_layer(model: Layer, name: str) -> None:
    """Raise a ValueError unless the model has a layer of that name."""
    names = [known for known, _ in model.named_leaves()]
    if name not in names:
        raise ValueError(f"layer must be one of {', '.join(names)}, got {name!r}")


def check_image(image: np.ndarray) -> None:
    """Raise a ValueError unless it is one image."""
    if np.ndim(image) != 3:
        raise ValueError(f"image must have shape (C, H, W), got {np.shape(image)}")


def activations(model: Layer, images: np.ndarray, names: Sequence[str]) -> dict[str, Array]:
    """Return what layers put out for a batch, with nothing dropped.

    The layers are computed one after the other, and nothing is remembered for a backward.

    Parameters
    ----------
    model : Layer
        A network whose layers follow one another, as `AlexNet` or a `Sequential`.
    images : ndarray
        (N, C, H, W).
    names : sequence of str
        Of the layers: ``"layers.1"``, as in `summary`.

    Returns
    -------
    dict of array
        By name, on the model's device.
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
    """How strongly a layer's channels respond to images, each where it does so most.

    Attributes
    ----------
    values : ndarray of float32, (N, C)
        The largest activation of a channel in an image.
    places : ndarray of int64, (N, C, 2)
        Its row and column in the layer's output; (0, 0) where that has none.
    """

    values: np.ndarray
    places: np.ndarray


def responses(
    model: Layer, images: Images, names: Sequence[str], watch: Callable[[int], object] = lambda done: None
) -> dict[str, Responses]:
    """Return the responses of layers to images, by the layers' names.

    Parameters
    ----------
    model : Layer
        A network whose layers follow one another.
    images : sequence of ndarray, or ndarray (N, C, H, W)
        At least one.
    names : sequence of str
        Of the layers.
    watch : callable
        Told after each batch how many images it had.
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
    """Return the rows and the columns of an image that one place of a layer's output depends on.

    Parameters
    ----------
    model : Layer
        A network whose layers follow one another.
    name : str
        Of the layer.
    place : pair of int
        Row and column in its output.
    size : pair of int
        Height and width of the image, to which the field is cut.
    """
    check_layer(model, name)
    names = [known for known, _ in model.named_leaves()]
    layers = [layer for _, layer in model.named_leaves()][: names.index(name) + 1]
    whole = slice(0, size[0]), slice(0, size[1])
    first, last = list(place), list(place)
    for layer in reversed(layers):
        if isinstance(layer, Flatten | Linear):
            return whole
        if isinstance(layer, Conv2d | MaxPool2d):
            (top, left), dilation, kernel = _border(layer), layer.dilation, layer.kernel_size
            for axis, before in enumerate((top, left)):
                first[axis] = first[axis] * layer.stride[axis] - before
                last[axis] = last[axis] * layer.stride[axis] - before + dilation[axis] * (kernel[axis] - 1)
    rows, columns = (slice(max(0, a), min(b + 1, end)) for a, b, end in zip(first, last, size, strict=True))
    return rows, columns


def _border(layer: Conv2d | MaxPool2d) -> tuple[int, int]:
    """Return how many rows and columns of padding precede the image."""
    if isinstance(layer, MaxPool2d):
        return layer.padding
    vertical, horizontal = layer.geometry.sides
    return vertical[0], horizontal[0]


def occlusion_map(
    model: Layer,
    image: np.ndarray,
    label: int,
    *,
    cells: int = 15,
    size: int = 45,
    watch: Callable[[int], object] = lambda done: None,
) -> tuple[float, np.ndarray]:
    """Return how probable a class is for an image, and what a grey square in each place takes from that.

    Parameters
    ----------
    model : Layer
        A classifier: (N, C, H, W) -> (N, K) logits. Nothing is dropped, in whatever mode it is.
    image : ndarray
        (C, H, W).
    label : int
        The class, below K.
    cells : int
        The image is divided into `cells` x `cells` places; a square is laid on the middle of each.
    size : int
        Of the square, in pixels; what hangs over the edge is cut off. It is 0, the mean colour of the training images.
    watch : callable
        Told after each batch how many squares it had.

    Returns
    -------
    probability : float
        Of the class, for the whole image.
    falls : ndarray, (cells, cells)
        That minus the probability with the square: positive where what was covered speaks for the class.

    References
    ----------
    M. Zeiler and R. Fergus, "Visualizing and Understanding Convolutional Networks", 2014, section 4.2.
    """
    check_image(image)
    for name, value in (("cells", cells), ("size", size)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    device = backend.get_device(model.device or "cpu")

    def probabilities(batch: np.ndarray) -> np.ndarray:
        with device.active():
            logits = sharding.infer(model, device.from_host(batch.astype(model.dtype, copy=False)), None)
            shares = device.to_host(log_softmax(logits))
        if not 0 <= label < shares.shape[1]:
            raise ValueError(f"label must be from 0 to {shares.shape[1] - 1}, got {label}")
        return np.exp(shares[:, label].astype(np.float64))

    whole = float(probabilities(image[None])[0])
    left = []
    squares = list(_squares(image.shape[1], image.shape[2], cells, size))
    for start in range(0, len(squares), BATCH_SIZE):
        chosen = squares[start : start + BATCH_SIZE]
        batch = np.repeat(image[None], len(chosen), axis=0)
        for covered, (rows, columns) in zip(batch, chosen, strict=True):
            covered[:, rows, columns] = 0
        left.append(probabilities(batch))
        watch(len(chosen))
    return whole, whole - np.concatenate(left).reshape(cells, cells)


def _squares(height: int, width: int, cells: int, size: int) -> Iterator[tuple[slice, slice]]:
    for row, column in product(range(cells), repeat=2):
        yield _side(row, height, cells, size), _side(column, width, cells, size)


def _side(cell: int, length: int, cells: int, size: int) -> slice:
    start = round((cell + 0.5) * length / cells - size / 2)
    return slice(max(0, start), max(0, start + size))


def most_variable(found: Mapping[str, Responses]) -> dict[str, int]:
    """Return the channel of each layer whose responses differ most between the images (by standard deviation)."""
    return {name: int(response.values.std(axis=0).argmax()) for name, response in found.items()}
