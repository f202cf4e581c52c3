"""Training a network: the loop, the folder that a run writes, schedules and metrics."""

from npalexnet.training.checkpoint import CheckpointError
from npalexnet.training.evaluation import evaluate
from npalexnet.training.metrics import Metrics
from npalexnet.training.observer import Callback
from npalexnet.training.progress import Progress
from npalexnet.training.run import Run
from npalexnet.training.schedules import Constant, Cosine, Linear, Plateau, Schedule, Step, WarmUp, make_schedule
from npalexnet.training.steps import DivergedError
from npalexnet.training.trainer import Trainer

__all__ = [
    "Callback",
    "CheckpointError",
    "Constant",
    "Cosine",
    "DivergedError",
    "Linear",
    "Metrics",
    "Plateau",
    "Progress",
    "Run",
    "Schedule",
    "Step",
    "Trainer",
    "WarmUp",
    "evaluate",
    "make_schedule",
]
