"""A small network, loaders and a trainer: what the tests of training need."""

import json
from functools import cache

import numpy as np

import npalexnet as na
from npalexnet.data import DataLoader, Subset, evaluation_pipeline
from npalexnet.data import Statistics as Colours
from npalexnet.data.sample import load_sample
from npalexnet.training import Trainer
from npalexnet.training.checkpoint import load_checkpoint
from npalexnet.weights import load_weights


def small_network(seed=0, device="cpu", dropout=0.2):
    return na.Sequential(
        na.Conv2d(3, 8, 11, stride=16, seed=seed), na.ReLU(), na.Flatten(), na.Dropout(dropout, seed=seed),
        na.Linear(8 * 14 * 14, 10, seed=seed),
    ).to(device)  # fmt: skip


def network_for_winograd():
    """The same with a second convolution, which is one for Winograd's algorithm."""
    first, *others = small_network()
    return na.Sequential(first, na.ReLU(), na.Conv2d(8, 8, 3, padding=1, seed=1), *others)


whole_sample = cache(load_sample)


def sample(split, count):
    return Subset(whole_sample(split), range(count))


def loader(split="train", count=40, batch_size=16, **settings):
    pipeline = evaluation_pipeline(Colours((0.3,) * 3, (0.35,) * 3))
    return DataLoader(sample(split, count), pipeline, batch_size, **settings)


def trainer_of(model=None, count=40, batch_size=16, validation=None, seed=0, **changes):
    settings = {"lr": 0.02, "warmup": 20, "momentum": 0.9, "weight_decay": 5e-4, **changes}
    if "steps" not in settings:
        settings.setdefault("epochs", 2)
    if validation is not None:
        validation = loader("test", validation, shuffle=False)
    return Trainer(model or small_network(), loader("train", count, batch_size, seed=seed), validation, **settings)


def steps_of(trainer):
    """Take all steps and return them; no evaluations."""
    steps = []
    while trainer.state.step < trainer.state.steps:
        steps += trainer.train_epoch()
        trainer.state.epoch, trainer.state.batch = trainer.state.epoch + 1, 0
    return steps


def same(state, other):
    return list(state) == list(other) and all(np.array_equal(state[name], other[name]) for name in state)


def metrics(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def assert_same_end(folder, other):
    """Weights, velocities, counters, generators and metrics are the same bits."""
    assert metrics(folder) == metrics(other)
    tensors, metadata = load_checkpoint(folder / "last.safetensors")
    expected, expected_metadata = load_checkpoint(other / "last.safetensors")
    assert same(tensors, expected)
    assert metadata == expected_metadata
    assert same(load_weights(folder / "weights.safetensors")[0], load_weights(other / "weights.safetensors")[0])
