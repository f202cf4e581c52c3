"""Training a network: the loop, the folder that a run writes, schedules and metrics."""

from npalexnet.training.checkpoint import CheckpointError
from npalexnet.training.evaluation import evaluate
from npalexnet.training.metrics import Metrics
from npalexnet.training.milestones import MultiStepDecay, WeightsAndBiases
from npalexnet.training.progress import Callback, Progress
from npalexnet.training.recipes import RECIPES, Recipe
from npalexnet.training.run import Run
from npalexnet.training.schedules import (
    Constant,
    CosineDecay,
    LinearDecay,
    Plateau,
    Schedule,
    StepDecay,
    WarmUp,
    make_schedule,
)
from npalexnet.training.steps import DivergedError, StepResult
from npalexnet.training.trainer import Trainer

__all__ = [
    "RECIPES", "Callback", "CheckpointError", "Constant", "CosineDecay", "DivergedError", "LinearDecay", "Metrics",
    "MultiStepDecay", "Plateau", "Progress", "Recipe", "Run", "Schedule", "StepDecay", "StepResult", "Trainer",
    "WarmUp", "WeightsAndBiases", "evaluate", "make_schedule",
]  # fmt: skip
