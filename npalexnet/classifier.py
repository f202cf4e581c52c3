"""A trained network with all that is needed to use it: its classes, and how it wants its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from npalexnet import backend
from npalexnet.alexnet import IMAGE_SIZE, AlexNet
from npalexnet.data.images import Preprocessing
from npalexnet.losses import log_softmax
from npalexnet.weights import FILE_NAME, load_weights

if TYPE_CHECKING:
    from PIL.Image import Image

BATCH_SIZE = 16
CROPS = 10
_UNCROPPED_SIZE = 256  # what the crops of IMAGE_SIZE are taken from


@dataclass(frozen=True)
class Classifier:
    """The network of a run, in eval mode.

    Attributes
    ----------
    path : Path
        The weights file.
    model : AlexNet
        It has a logit for each class.
    classes : list of str
        Their names.
    preprocessing : Preprocessing
        What training did to its pictures.
    about : dict
        All that the weights file says of itself.
    """

    path: Path
    model: AlexNet
    classes: list[str]
    preprocessing: Preprocessing
    about: dict[str, Any]

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu") -> Classifier:
        """Read a run's weights.

        Parameters
        ----------
        path : str or Path
            The run's folder, or its weights file.
        device : str
            Where the network is to live.

        Raises
        ------
        OSError, ValueError
            If there is none, or it is damaged.
        """
        path = Path(path)
        if path.is_dir():
            if not (path / FILE_NAME).exists():
                raise ValueError(f"{path} is not the folder of a run: it holds no {FILE_NAME}")
            path = path / FILE_NAME
        state, about = load_weights(path)
        about = about if isinstance(about, dict) else {}
        classes, mean, std = about.get("classes"), about.get("mean", []), about.get("std", [])
        if not (isinstance(classes, list) and classes and all(isinstance(name, str) for name in classes)):
            raise ValueError(f"{path} does not name the classes that it tells apart, got {classes!r}")
        if not (_is_colour(mean) and _is_colour(std) and min(std) > 0):
            raise ValueError(f"{path} must give mean and std of three colours each, got {mean!r} and {std!r}")
        model = AlexNet(len(classes))
        try:
            model.load_state_dict(state)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: {error}") from None
        return cls(path, model.to(device).eval(), classes, Preprocessing(tuple(mean), tuple(std)), about)

    def inputs(self, pictures: Sequence[Any], *, ten_crop: bool = False) -> np.ndarray:
        """Return pictures as the network's input.

        Parameters
        ----------
        pictures : sequence of PIL.Image, or of uint8 arrays (H, W) or (H, W, 3)
            N pictures of any sizes.
        ten_crop : bool
            Whether each is to be looked at ten times.

        Returns
        -------
        ndarray of float32
            (N, 3, 227, 227), or for ten-crop (10 * N, 3, 227, 227), a picture's crops one after the other.
        """
        if ten_crop:
            pictures = [crop for picture in pictures for crop in ten_crops(picture)]
        return self.preprocessing(pictures)

    def log_probabilities(self, inputs: np.ndarray, *, ten_crop: bool = False) -> np.ndarray:
        """Return the logarithm of each picture's share of each class.

        Parameters
        ----------
        inputs : ndarray of float32
            What `inputs` returned, with the same `ten_crop`: then a picture's shares are the mean over its crops.

        Returns
        -------
        ndarray of float64, (N, K)

        Raises
        ------
        ValueError
            If they are not finite.
        """
        device = backend.get_device(self.model.device or "cpu")
        parts = [inputs[start : start + BATCH_SIZE] for start in range(0, len(inputs), BATCH_SIZE)]
        logs = [device.to_host(log_softmax(self.model(device.from_host(part)))) for part in parts]
        found = np.concatenate(logs).astype(np.float64)
        if not np.isfinite(found).all():
            raise ValueError(f"the weights in {self.path} are not finite: they come from training that diverged")
        if not ten_crop:
            return found
        found = found.reshape(-1, CROPS, len(self.classes))
        highest = found.max(axis=1, keepdims=True)
        return np.log(np.exp(found - highest).mean(axis=1)) + highest[:, 0]


def ten_crops(picture: Any) -> list[Image]:
    """Return the four corners and the middle of a picture, and their mirror images, each of 227 x 227.

    They are cut from the middle square of the picture, a PIL image or an array of uint8, scaled to 256 x 256.

    References
    ----------
    A. Krizhevsky, I. Sutskever and G. Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", 2012,
    section 4.1.
    """
    from PIL import Image, ImageOps

    image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    square = ImageOps.fit(image, (_UNCROPPED_SIZE, _UNCROPPED_SIZE), Image.Resampling.BILINEAR)
    far = _UNCROPPED_SIZE - IMAGE_SIZE
    places = [(0, 0), (far, 0), (0, far), (far, far), (far // 2, far // 2)]
    crops = [square.crop((left, top, left + IMAGE_SIZE, top + IMAGE_SIZE)) for left, top in places]
    return crops + [ImageOps.mirror(crop) for crop in crops]


def _is_colour(values: Any) -> bool:
    return (
        isinstance(values, list)
        and len(values) == 3
        and all(isinstance(value, int | float) and isfinite(value) for value in values)
    )
