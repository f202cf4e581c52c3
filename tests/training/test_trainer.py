import numpy as np
import pytest
import torch

import npalexnet as na
from npalexnet.data.images import Preprocessing
from npalexnet.data.sample import load_sample
from npalexnet.training.trainer import DivergedError, Trainer
from tests.conftest import STAND_IN
from tests.support import assert_close


def small_network(seed=0, device="cpu"):
    return na.Sequential(
        na.Conv2d(3, 8, 11, stride=16, seed=seed), na.ReLU(), na.Flatten(), na.Dropout(0.2, seed=seed),
        na.Linear(8 * 14 * 14, 10, seed=seed),
    ).to(device)  # fmt: skip


def trainer_of(model, count=40, **changes):
    images, labels = (array[:count] for array in load_sample("train"))
    settings = {"epochs": 2, "batch_size": 16, "lr": 0.02, "momentum": 0.9, "weight_decay": 5e-4, "seed": 0, **changes}
    return Trainer(model, Preprocessing.fit(images), images, labels, **settings)


def test_training_learns():
    trainer = trainer_of(small_network(), epochs=15)
    losses = [step.loss for _ in range(15) for step in trainer.epoch()]
    assert np.mean(losses[-3:]) < 0.5 * np.mean(losses[:3])


def test_the_learning_rate_warms_up_and_falls_to_zero():
    trainer = trainer_of(small_network(), count=16, batch_size=1, epochs=5, lr=1e-4)
    rates = [step.lr for _ in range(5) for step in trainer.epoch()]
    expected = [1e-4 * min(1, (i + 1) / 20) * (1 - i / 80) for i in range(80)]
    np.testing.assert_allclose(rates, expected)


def test_a_step_is_that_of_sgd_with_momentum_and_weight_decay():
    model, twin = small_network(), torch.nn.Linear(2, 2)
    trainer = trainer_of(model, count=16, epochs=3, lr=0.01, momentum=0.9, weight_decay=0.1)
    weight = model[4].weight
    twin.weight.data = torch.from_numpy(weight.data.copy())
    optimizer = torch.optim.SGD([twin.weight], lr=0.01, momentum=0.9, weight_decay=0.1)
    for _ in range(3):
        for step in trainer.epoch():
            optimizer.param_groups[0]["lr"] = step.lr
            twin.weight.grad = torch.from_numpy(weight.grad)
            optimizer.step()
    np.testing.assert_allclose(weight.data, twin.weight.detach().numpy(), rtol=1e-6, atol=1e-7)


def test_each_pass_sees_every_image_once_in_a_new_order():
    model = small_network()
    trainer = trainer_of(model, count=21)
    seen = []
    preprocess = trainer.preprocess
    trainer.preprocess = lambda pictures: seen.extend(p.tobytes() for p in pictures) or preprocess(pictures)
    steps = [step for _ in range(2) for step in trainer.epoch()]
    everything = sorted(image.tobytes() for image in trainer.images)
    assert sorted(seen[:21]) == sorted(seen[21:]) == everything
    assert seen[:21] != seen[21:]
    assert [(step.number, step.steps, step.images) for step in steps] == [  # four steps of 16 or 5 images
        (1, 4, 16),
        (2, 4, 21),
        (3, 4, 37),
        (4, 4, 42),
    ]


def test_one_seed_gives_one_result_and_another_seed_another():
    def weights(seed):
        model = small_network()
        for _ in trainer_of(model, seed=seed).epoch():
            pass
        return model.state_dict()["0.weight"]

    np.testing.assert_array_equal(weights(1), weights(1))
    assert not np.array_equal(weights(1), weights(2))


def test_evaluation_weighs_a_short_last_batch_by_its_images_and_drops_nothing():
    model = small_network()
    trainer = trainer_of(model)
    images, labels = (array[:21] for array in load_sample("test"))
    loss, accuracy = trainer.evaluate(images, labels)
    logits = torch.from_numpy(model.eval()(trainer.preprocess(images)))
    targets = torch.from_numpy(labels.astype(np.int64))
    assert loss == pytest.approx(torch.nn.functional.cross_entropy(logits, targets).item(), rel=1e-5)
    assert accuracy == pytest.approx((logits.argmax(1) == targets).float().mean().item())


def test_evaluation_stops_when_asked():
    images, labels = (array[:21] for array in load_sample("test"))
    assert trainer_of(small_network()).evaluate(images, labels, lambda: True) is None


def test_training_and_evaluation_on_a_device_give_what_the_cpu_gives(device):
    images, labels = (array[:21] for array in load_sample("test"))
    results = []
    for where in ("cpu", device):
        model = small_network(device=where)
        trainer = trainer_of(model)
        steps = [step for _ in range(2) for step in trainer.epoch()]
        results.append((steps, trainer.evaluate(images, labels), model.state_dict()))
    (steps, tested, weights), (found_steps, found_tested, found_weights) = results
    for expected, found in zip(steps, found_steps, strict=True):
        assert (found.number, found.images, found.lr) == (expected.number, expected.images, expected.lr)
        assert found.loss == pytest.approx(expected.loss, rel=1e-5)
        assert found.accuracy == expected.accuracy
    assert found_tested == pytest.approx(tested, rel=1e-5)
    for name, expected in weights.items():
        assert_close(found_weights[name], expected, 1e-4)


LABELS_CHECK, REPORT = (
    ((2,), "int64"),
    ((2,), "float64"),
)  # smallest and largest label; loss and number of right answers


def test_a_step_waits_twice_for_a_device_and_has_it_compute_all_gradients_before_the_second_time(monkeypatch):
    model = small_network(device="standin")
    trainer = trainer_of(model)
    waits = {}

    def watched(name, method):
        def call(*arguments, **keywords):
            result = method(*arguments, **keywords)
            waits[name] = list(STAND_IN.counts.downloads)
            return result

        return call

    monkeypatch.setattr(model, "backward", watched("backward", model.backward))
    monkeypatch.setattr(trainer.optimizer, "step", watched("step", trainer.optimizer.step))
    STAND_IN.counts.reset()
    for step in trainer.epoch():
        assert waits == {"backward": [LABELS_CHECK], "step": [LABELS_CHECK, REPORT]}
        assert STAND_IN.counts.downloads == [LABELS_CHECK, REPORT]
        assert STAND_IN.counts.synchronizations == 0
        count = 8 if step.images == 40 else 16
        assert STAND_IN.counts.uploads == [
            *(((count, 3, 227, 227), "float32"), ((count,), "int64")),
            ((count, 8 * 14 * 14), "bool"),  # dropout's mask
        ]
        STAND_IN.counts.reset()


def test_evaluation_waits_twice_a_batch():
    trainer = trainer_of(small_network(device="standin"))
    STAND_IN.counts.reset()
    trainer.evaluate(*(array[:21] for array in load_sample("test")))
    assert STAND_IN.counts.downloads == [LABELS_CHECK, REPORT] * 2
    assert STAND_IN.counts.synchronizations == 0


def test_labels_that_are_no_class_are_refused_before_the_step(device):
    model = small_network(device=device)
    trainer = trainer_of(model)
    trainer.labels[:] = 10
    before = model.state_dict()
    with pytest.raises(ValueError, match="CrossEntropyLoss expects labels from 0 to 9, got 10"):
        next(trainer.epoch())
    for name, values in model.state_dict().items():
        np.testing.assert_array_equal(values, before[name])


def test_a_loss_that_is_not_finite_stops_training_before_the_step(device):
    model = small_network(device=device)
    trainer = trainer_of(model)
    model[4].bias.data[0] = float("nan")
    before = model.state_dict()
    with pytest.raises(DivergedError, match=r"the loss is nan after 0 steps: .* smaller learning rate"):
        list(trainer.epoch())
    for name, values in model.state_dict().items():
        np.testing.assert_array_equal(values, before[name])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_training_learns_in_16_bits_with_float32_parameters(dtype):
    losses = {}
    for name in ("float32", dtype):
        model = small_network()
        trainer = trainer_of(model, count=16, epochs=15, dtype=name)
        losses[name] = [step.loss for _ in range(15) for step in trainer.epoch()]
        assert all(parameter.dtype == np.float32 for parameter in model.parameters())
    np.testing.assert_allclose(losses[dtype][:3], losses["float32"][:3], rtol=0.05)
    assert losses[dtype] != losses["float32"]
    assert losses[dtype][-1] < 0.7 * losses[dtype][0]


def test_a_step_whose_scaled_gradients_overflow_is_left_out_and_the_next_scale_is_smaller():
    model = small_network()
    trainer = trainer_of(model, count=16, epochs=2, dtype="float16")
    trainer.scaler = na.GradScaler(init_scale=2.0**40)
    before = [parameter.data.copy() for parameter in model.parameters()]
    with np.errstate(over="ignore", invalid="ignore"):
        next(trainer.epoch())
    for parameter, data in zip(model.parameters(), before, strict=True):
        np.testing.assert_array_equal(parameter.data, data)
    assert trainer.scaler.get_scale() == 2.0**39
