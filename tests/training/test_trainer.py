import numpy as np
import pytest
import torch

import npalexnet as na
from npalexnet.data.images import Preprocessing
from npalexnet.data.sample import load_sample
from npalexnet.training.trainer import DivergedError, Trainer


def small_network(seed=0):
    return na.Sequential(
        na.Conv2d(3, 8, 11, stride=16, seed=seed), na.ReLU(), na.Flatten(), na.Dropout(0.2, seed=seed),
        na.Linear(8 * 14 * 14, 10, seed=seed),
    )  # fmt: skip


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


def test_a_loss_that_is_not_finite_stops_training_before_the_step():
    model = small_network()
    trainer = trainer_of(model)
    model[4].bias.data[0] = np.nan
    before = model.state_dict()
    with pytest.raises(DivergedError, match=r"the loss is nan after 0 steps: .* smaller learning rate"):
        list(trainer.epoch())
    for name, values in model.state_dict().items():
        np.testing.assert_array_equal(values, before[name])
