"""On a machine with two GPUs, all that is computed on the second is computed while it is the current one.

CuPy computes on the current GPU whatever its operands' GPU is: it warns, copies between the two, and where they can't
reach each other it raises. The fake device raises always.
"""

from contextlib import contextmanager

import numpy as np
import pytest

import npalexnet as na
from npalexnet import backend
from npalexnet.backend import arrays
from npalexnet.data import ArrayDataset, DataLoader, Statistics, evaluation_pipeline
from npalexnet.layers.init import SCHEMES, initialize
from npalexnet.training import Trainer
from tests.fakes.device import FakeArray, FakeDevice
from tests.support import normal


class SecondGpu(FakeDevice):
    """Refuses to compute outside of ``with device.active()``."""

    current = 0

    @contextmanager
    def active(self):
        self.current += 1
        try:
            yield
        finally:
            self.current -= 1

    def raw(self, operand):
        if isinstance(operand, FakeArray) and not self.current:
            raise RuntimeError(f"computed with an array of {self.name!r} while it was not the current device")
        return super().raw(operand)


@pytest.fixture
def second(monkeypatch):
    monkeypatch.setattr(arrays, "_registered", dict(arrays._registered))
    device = SecondGpu("second")
    backend.register_device(device)
    return device


def network(device):
    return na.Sequential(
        na.Conv2d(3, 4, 3, device=device, seed=0),
        na.ReLU(),
        na.MaxPool2d(2),
        na.Dropout(0.5, seed=0),
        na.Flatten(),
        na.Linear(4 * 3 * 3, 5, device=device, seed=1),
    )


@pytest.fixture
def model(second):
    """A network that was moved there, not made there."""
    return network("cpu").to("second")


def test_layers_are_made_there(second):
    assert network("second").device == "second"


def test_layers_compute_there(second, model):
    x = second.from_host(normal((4, 3, 8, 8), "float32"))
    for mode in (model.train(), model.eval()):
        mode.backward(mode(x))


def test_gradients_accumulate_there(second, model):
    x = second.from_host(normal((4, 3, 8, 8), "float32"))
    for _ in range(2):
        model.backward(model(x))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_the_loss_computes_there(second, reduction):
    criterion = na.CrossEntropyLoss(reduction=reduction, label_smoothing=0.1)
    criterion(second.from_host(normal((4, 5), "float32")), second.from_host(np.arange(4)))
    criterion.backward(second.from_host(np.ones(4, "float32")) if reduction == "none" else None)


def test_the_optimizer_computes_there(second, model):
    optimizer = na.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1, nesterov=True)
    for parameter in model.parameters():
        parameter.grad = second.from_host(normal(parameter.shape, "float32"))
    for _ in range(2):
        optimizer.step()


def test_a_trainer_computes_there(second):
    dataset = ArrayDataset(np.arange(6 * 4 * 4, dtype=np.uint8).reshape(6, 4, 4), np.arange(6), tuple("abcdef"))
    loader = DataLoader(dataset, evaluation_pipeline(Statistics((0.5,) * 3, (0.5,) * 3)), 4)
    model = na.Sequential(na.Conv2d(3, 4, 227, device="second", seed=0), na.Flatten(), na.Linear(4, 6, device="second"))
    trainer = Trainer(model, loader, loader, epochs=1, clip_norm=0.1)
    assert trainer.fit()
    trainer.state.restore(*trainer.state.capture())


@pytest.mark.parametrize("scheme", SCHEMES)
def test_parameters_are_drawn_again_there(model, scheme):
    initialize(model, scheme, seed=0)


def test_states_are_saved_and_loaded_there(model):
    model.load_state_dict(model.state_dict())


def test_a_model_is_moved_away_again(model):
    model.to("fake").to("second").to("cpu")
