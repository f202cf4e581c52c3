"""Recipes: how the authors of each AlexNet trained theirs, as settings of a `Trainer`.

A recipe doesn't choose the network: any recipe trains any variant. ``docs/which-alexnet.md`` has them side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from npalexnet.layers.layer import Layer
from npalexnet.optim.groups import weights_and_biases
from npalexnet.optim.sgd import SGD


@dataclass(frozen=True)
class Recipe:
    """Settings of a training, all but its length.

    Attributes
    ----------
    augment : str
        How images are prepared: the `augment` of `npalexnet.data.training_pipeline`.
    pixels : str
        How large the numbers of an image are: the `pixels` of the same function.
    init : str
        How parameters are initialised: the `init` of `AlexNet`, of which "paper" is what the variant's source does.
    batch_size : int
        Images that make one step.
    lr, momentum, weight_decay, bias_lr_factor, bias_decay_factor, schedule, warmup
        See `Trainer`.
    """

    augment: str
    pixels: str
    init: str
    batch_size: int
    lr: float
    schedule: str
    warmup: int | None = 0
    momentum: float = 0.9
    weight_decay: float = 5e-4
    bias_lr_factor: float = 1.0
    bias_decay_factor: float = 1.0

    def options(self) -> dict[str, Any]:
        """Return all settings by their names."""
        return asdict(self)

    def trainer_settings(self) -> dict[str, Any]:
        """Return those settings that a `Trainer` takes: ``Trainer(..., epochs=90, **recipe.trainer_settings())``."""
        others = ("augment", "pixels", "init", "batch_size")
        return {name: value for name, value in asdict(self).items() if name not in others}

    def optimizer(self, model: Layer) -> SGD:
        """Return an optimizer with the recipe's parameter groups: ``Trainer(..., optimizer=recipe.optimizer(model))``.

        Parameters
        ----------
        model : Layer
            Its parameters with `requires_grad` are trained.
        """
        factors = {"bias_lr_factor": self.bias_lr_factor, "bias_decay_factor": self.bias_decay_factor}
        return SGD(weights_and_biases(model, self.lr, self.weight_decay, **factors), self.lr, self.momentum)


RECIPES: Mapping[str, Recipe] = {
    # This package's own, for few images and short trainings.
    "simple": Recipe("simple", "std", "he", batch_size=16, lr=0.001, schedule="linear", warmup=None),
    # A. Krizhevsky, I. Sutskever and G. Hinton, 2012, sections 4.1 and 5: all layers learn at the same rate; the paper
    # has no exception for biases.
    "paper": Recipe("paper", "255", "paper", batch_size=128, lr=0.01, schedule="plateau"),
    # computerhistory/AlexNet-Source-Code: layers/layer-params-145.cfg, whose log says when the rate fell; the size of a
    # mini-batch in convnet.py; that biases do not decay in src/layer.cu.
    "released": Recipe(
        "paper", "255", "paper", batch_size=128, lr=0.01, schedule="released", bias_lr_factor=2.0, bias_decay_factor=0.0
    ),
    # BVLC/caffe: solver.prototxt and train_val.prototxt in models/bvlc_alexnet, the same in bvlc_reference_caffenet.
    "caffe": Recipe(
        "crops", "255", "paper", batch_size=256, lr=0.01, schedule="caffe", bias_lr_factor=2.0, bias_decay_factor=0.0
    ),
    # pytorch/vision: references/classification/README.md, "AlexNet and VGG": 8 processes with 32 images each;
    # presets.py for the crops.
    "torchvision": Recipe("resized", "std", "torch", batch_size=256, lr=0.01, schedule="step", weight_decay=1e-4),
    # akrizhevsky/cuda-convnet2: layers/layer-params-imagenet-1gpu.cfg, and TrainingExample.md in its branch wiki.
    "one-weird-trick": Recipe(
        "paper", "255", "paper", batch_size=128, lr=0.01, schedule="one-weird-trick", bias_lr_factor=2.0,
        bias_decay_factor=0.0,
    ),
}  # fmt: skip
