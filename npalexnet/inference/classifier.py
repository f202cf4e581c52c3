"""A trained network with what is needed to use it: its classes, and the preprocessing of its pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np

from npalexnet import backend
from npalexnet.alexnet import AlexNet
from npalexnet.checks import integer
from npalexnet.data.arguments import check_pictures, is_one_picture
from npalexnet.data.images import open_picture
from npalexnet.data.pipeline import Pipeline, ten_cropped
from npalexnet.data.transforms import Normalize, SubtractMeanImage
from npalexnet.inference.loading import load_network
from npalexnet.pretrained.preparation import read_classes
from npalexnet.terminal import shown
from npalexnet.training.evaluation import log_probabilities

if TYPE_CHECKING:
    from PIL.Image import Image

BATCH_SIZE = 16  # pictures that are classified at once


class Prediction(NamedTuple):
    """A class that a picture may be of."""

    name: str
    probability: float
    number: int  # which of the network's outputs it is


@dataclass(frozen=True)
class Classifier:
    """A trained network, in eval mode.

    Attributes
    ----------
    path : Path
        The weights file.
    model : AlexNet
        With a logit for each class.
    classes : list of str
        The classes' names.
    pipeline : Pipeline
        The preprocessing of pictures.
    metadata : dict
        The metadata of the weights file.
    """

    path: Path
    model: AlexNet
    classes: list[str]
    pipeline: Pipeline
    metadata: dict[str, Any]

    @property
    def names(self) -> list[str]:
        """The classes' names as they can be printed, see `npalexnet.terminal.shown`."""
        return [shown(name) for name in self.classes]

    @classmethod
    def load(
        cls,
        path: str | Path,
        device: str = "cpu",
        *,
        variant: str | None = None,
        classes: Sequence[str] | str | Path | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> Classifier:
        """Load a trained network; ``npalexnet.load`` is this, too.

        Parameters
        ----------
        path : str or Path
            A run's folder, or a file of weights: those of this package, of torch (``.pth``), of safetensors, of NumPy
            (``.npz``), of ONNX or of Caffe (``.caffemodel``). Its content decides what it is.
        device : str
            The network's device.
        variant : str, optional
            Which AlexNet it is, a key of `VARIANTS`, where a file doesn't tell.
        classes : sequence of str, or path of a file, optional
            The classes' names, see `read_classes`. By default the file's own; else, for 1,000 outputs, ImageNet's.
        mean, std : sequence of three floats, optional
            What pictures are standardised with, see `preparation`. By default the file's own, else the variant's.

        Raises
        ------
        OSError, ValueError
            If the file can't be read, is damaged or of another kind, or lacks something; nothing in it is executed.
        """
        names = read_classes(classes) if isinstance(classes, str | Path) else classes
        path, model, known, pipeline, metadata = load_network(path, variant, names, mean, std)
        return cls(path, model.to(device).eval(), known, pipeline, metadata)

    @overload
    def predict(self, pictures: str | Path | Image | np.ndarray, top: int = 5) -> list[Prediction]: ...

    @overload
    def predict(self, pictures: Sequence[Any], top: int = 5) -> list[list[Prediction]]: ...

    def predict(self, pictures: Any, top: int = 5) -> list[Prediction] | list[list[Prediction]]:
        """Return the most probable classes of pictures.

        Parameters
        ----------
        pictures : one or a sequence of: path, PIL.Image, or uint8 array (H, W) or (H, W, 3)
            Of any sizes.
        top : int
            How many classes, at most.

        Returns
        -------
        list of Prediction, or a list of such lists
            The most probable class first; for a sequence, a list for each of its pictures.

        Raises
        ------
        OSError, TypeError, ValueError
            If a picture can't be read, or is none; or if the network's outputs are not finite.
        """
        top = integer("top", top, 1)
        one = is_one_picture(pictures)
        several = list(pictures) if not one and isinstance(pictures, Iterable) else [pictures]
        answers = []
        for start in range(0, len(several), BATCH_SIZE):  # only so many of them are in memory
            batch = several[start : start + BATCH_SIZE]
            opened = (open_picture(picture) if isinstance(picture, str | PathLike) else picture for picture in batch)
            inputs = np.stack([self.inputs([picture])[0] for picture in opened])
            for shares in np.exp(self.log_probabilities(inputs)):
                best = np.argsort(-shares, kind="stable")[:top].tolist()
                answers.append([Prediction(self.classes[k], float(shares[k]), k) for k in best])
        return answers[0] if one else answers

    def inputs(self, pictures: Sequence[Any], *, ten_crop: bool = False) -> np.ndarray:
        """Return pictures as the network's input.

        Parameters
        ----------
        pictures : sequence of PIL.Image, or of uint8 arrays (H, W) or (H, W, 3)
            N pictures of any sizes.
        ten_crop : bool
            Whether to take ten crops of each: see `npalexnet.data.ten_cropped`.

        Returns
        -------
        ndarray of float32, (N, 3, 227, 227), or for ten-crop (N, 10, 3, 227, 227); or of the variant's own size

        Raises
        ------
        TypeError, ValueError
            If they are no such pictures: paths, say.
        """
        check_pictures(pictures)
        pipeline = ten_cropped(self.pipeline) if ten_crop else self.pipeline
        rng = np.random.default_rng(0)  # not used: a pipeline for evaluation is deterministic
        return np.stack([pipeline(picture, rng) for picture in pictures])

    def seen(self, picture: Any) -> np.ndarray:
        """Return the part of a picture that the network sees, in its original colours: uint8 (227, 227, 3)."""
        steps = [step for step in self.pipeline.transforms if not isinstance(step, Normalize | SubtractMeanImage)]
        x = Pipeline(steps)(picture, np.random.default_rng(0))  # (3, 227, 227), from 0 to 1
        return (255 * x.transpose(1, 2, 0)).round().astype(np.uint8)

    def log_probabilities(self, inputs: np.ndarray) -> np.ndarray:
        """Return the logarithms of the classes' probabilities for each picture.

        Parameters
        ----------
        inputs : ndarray of float32
            From `inputs`, computed in one batch; the probabilities of ten crops are averaged.

        Returns
        -------
        ndarray of float64, (N, K)

        Raises
        ------
        ValueError
            If they are not finite.
        """
        device = backend.get_device(self.model.device or "cpu")
        found = log_probabilities(self.model, device.from_host(inputs))
        self.check_finite(found)
        return found

    def check_finite(self, outputs: np.ndarray) -> None:
        """Raise a ValueError unless the network's outputs are finite."""
        if not np.isfinite(outputs).all():
            raise ValueError(f"the weights in {self.path} are not finite: they come from training that diverged")


load = Classifier.load
