"""Event files: what is written to the packages, which need not be installed."""

import importlib.util
import sys
from types import ModuleType, SimpleNamespace

import pytest

from npalexnet.training import Run, tensorboard
from tests.training.small import trainer_of


@pytest.fixture
def written(monkeypatch, request):
    """What reaches a package of that name, as (tag, value, step)."""
    values, name = [], request.param

    class SummaryWriter(SimpleNamespace):
        def __init__(self, folder, purge_step=None):
            values.extend([] if purge_step is None else [("purge", purge_step)])
            super().__init__(add_scalar=lambda tag, value, step: values.append((tag, value, step)))
            self.flush, self.close = lambda: None, lambda: values.append("closed")

    class EventFileWriter:
        def __init__(self, folder):
            self.flush, self.close = lambda: None, lambda: values.append("closed")

        def add_event(self, event):
            if hasattr(event, "session_log"):
                values.append(("purge", event.step))
                return
            values.extend((value.tag, value.simple_value, event.step) for value in event.summary.value)

    record = type("Record", (SimpleNamespace,), {"Value": SimpleNamespace})
    modules = {
        "tensorboardX": {"SummaryWriter": SummaryWriter},
        "tensorboard.summary.writer.event_file_writer": {"EventFileWriter": EventFileWriter},
        "tensorboard.compat.proto.event_pb2": {
            "Event": SimpleNamespace,
            "SessionLog": type("SessionLog", (SimpleNamespace,), {"START": 1}),
        },
        "tensorboard.compat.proto.summary_pb2": {"Summary": record},
    }
    for module, contents in modules.items():
        made = ModuleType(module)
        vars(made).update(contents)
        monkeypatch.setitem(sys.modules, module, made)
    monkeypatch.setattr(tensorboard, "find_spec", lambda wanted: wanted if wanted == name else None)
    return values


@pytest.mark.parametrize("written", ["tensorboard", "tensorboardX"], indirect=True)
def test_metrics_become_scalars_at_their_step(written, tmp_path):
    writer = tensorboard.EventWriter(tmp_path)
    writer.add({"step": 3, "images": 48, "loss": 2.5, "accuracy": 0.25, "lr": 0.1, "grad_norm": None, "seconds": 1.0})
    writer.add({"step": 3, "images": 48, "epoch": 1, "test_loss": 2.0, "test_accuracy": 0.5, "test_top5": 0.75})
    writer.close()
    assert written == [
        ("training/loss", 2.5, 3), ("training/accuracy", 0.25, 3), ("training/lr", 0.1, 3), ("held-out/loss", 2.0, 3),
        ("held-out/top-1", 0.5, 3), ("held-out/top-5", 0.75, 3), "closed",
    ]  # fmt: skip


@pytest.mark.parametrize("written", ["tensorboard"], indirect=True)
def test_training_closes_the_event_file_and_opens_another_one_if_it_goes_on(written, tmp_path):
    trainer = trainer_of(run=Run(tmp_path / "run"), steps=2)
    trainer.fit(should_stop=lambda: trainer.state.step == 1)
    trainer.fit()
    losses = [value for value in written if value == "closed" or value[0] == "training/loss"]
    assert [value if value == "closed" else value[2] for value in losses] == [1, "closed", 2, "closed"]


@pytest.mark.parametrize("written", ["tensorboard", "tensorboardX"], indirect=True)
def test_a_resumed_run_has_the_steps_after_its_checkpoint_forgotten(written, tmp_path):
    """What was written at the checkpoint's own step goes, too, and is written again."""
    trainer = trainer_of(run=Run(tmp_path / "run"), steps=3, checkpoint_every=2)
    trainer.fit(should_stop=lambda: trainer.state.step == 2)
    (tmp_path / "run" / "events.out.tfevents.1").touch()
    again = trainer_of(run=Run.reopen(tmp_path / "run"), steps=3, checkpoint_every=2)
    again.resume()
    written.clear()
    again.fit()
    found = [value for value in written if value[0] in ("purge", "training/loss")]
    assert [(name, *rest[-1:]) for name, *rest in found] == [("purge", 2), ("training/loss", 2), ("training/loss", 3)]


def test_a_package_that_can_not_be_used_does_not_end_training(tmp_path, monkeypatch):
    monkeypatch.setattr(tensorboard, "find_spec", lambda name: name)  # there is a folder of that name, say
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.event_file_writer", None)
    assert trainer_of(run=Run(tmp_path / "run"), steps=1).fit()


def test_without_a_package_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(tensorboard, "find_spec", lambda name: None)
    writer = tensorboard.EventWriter(tmp_path)
    writer.add({"step": 1, "loss": 2.5})
    writer.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="tensorboard is not installed")
def test_tensorboard_reads_what_was_written(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    writer = tensorboard.EventWriter(tmp_path)
    for step in range(3):
        writer.add({"step": step, "loss": 2.5 - step})
    writer.close()
    events = EventAccumulator(str(tmp_path)).Reload().Scalars("training/loss")
    assert [(event.step, event.value) for event in events] == [(0, 2.5), (1, 1.5), (2, 0.5)]
