import numpy as np
import pytest
import torch

import npalexnet as na
from npalexnet.training import Callback, DivergedError, LinearDecay, Trainer, WarmUp, evaluate
from tests.fakes.device import FAKE
from tests.support import assert_close
from tests.training.small import loader, network_for_winograd, same, small_network, steps_of, trainer_of


class Listener(Callback):
    def __init__(self):
        self.steps, self.validations, self.lines = [], [], []

    def on_step_end(self, step):
        self.steps.append(step)

    def on_validation_end(self, metrics, epoch):
        self.validations.append((epoch, metrics))

    def on_message(self, line):
        self.lines.append(line)


def test_training_learns():
    listener = Listener()
    assert trainer_of(epochs=15).fit(listener)
    losses = [step.loss for step in listener.steps]
    assert np.mean(losses[-3:]) < 0.5 * np.mean(losses[:3])


def test_the_default_schedule_of_the_command_warms_up_and_falls_to_zero():
    trainer = trainer_of(count=16, batch_size=1, epochs=5, lr=1e-4, schedule="linear", warmup=20)
    rates = [step.lr for step in steps_of(trainer)]
    np.testing.assert_allclose(rates, [1e-4 * min(1, (i + 1) / 20) * (1 - i / 80) for i in range(80)])


def test_a_step_is_that_of_sgd_with_momentum_and_weight_decay():
    model, twin = small_network(), torch.nn.Linear(2, 2)
    trainer = trainer_of(model, count=16, epochs=3, lr=0.01, momentum=0.9, weight_decay=0.1)
    weight = model[4].weight
    twin.weight.data = torch.from_numpy(weight.data.copy())
    optimizer = torch.optim.SGD([twin.weight], lr=0.01, momentum=0.9, weight_decay=0.1)

    class Twin(Callback):
        def on_step_end(self, step):
            optimizer.param_groups[0]["lr"] = step.lr
            twin.weight.grad = torch.from_numpy(weight.grad)
            optimizer.step()

    trainer.fit(Twin())
    np.testing.assert_allclose(weight.data, twin.weight.detach().numpy(), rtol=1e-6, atol=1e-7)


def test_training_and_its_validation_compute_convolutions_as_the_trainer_was_told_whatever_is_set_elsewhere():
    weights, losses = {}, {}
    for setting in ("im2col", "winograd"):
        for elsewhere in ("im2col", "winograd"):
            listener, model = Listener(), network_for_winograd()
            with na.convolution_algorithm(elsewhere):
                trainer_of(model, epochs=1, validation=8, convolution=setting).fit(listener)
                assert na.get_convolution_algorithm() == elsewhere
            weights[setting, elsewhere] = model.state_dict()
            losses[setting, elsewhere] = [metrics.loss for _, metrics in listener.validations]
    for setting in ("im2col", "winograd"):
        assert same(weights[setting, "im2col"], weights[setting, "winograd"])
        assert losses[setting, "im2col"] == losses[setting, "winograd"]
    assert not same(weights["im2col", "im2col"], weights["winograd", "winograd"])  # rounding differs
    for name, values in weights["im2col", "im2col"].items():
        assert_close(weights["winograd", "winograd"][name], values, 1e-4)


def test_a_trainer_that_is_not_told_takes_the_setting_of_when_it_was_made():
    models = [network_for_winograd(), network_for_winograd()]
    with na.convolution_algorithm("winograd"):
        trainer = trainer_of(models[0], epochs=1)
    with na.convolution_algorithm("im2col"):
        trainer.fit()
        trainer_of(models[1], epochs=1, convolution="winograd").fit()
    assert same(models[0].state_dict(), models[1].state_dict())


def test_each_step_is_told_with_its_number_and_the_images_so_far():
    listener = Listener()
    trainer_of(count=21).fit(listener)
    assert [(step.number, step.steps, step.images) for step in listener.steps] == [  # four steps of 16 or 5 images
        (1, 4, 16),
        (2, 4, 21),
        (3, 4, 37),
        (4, 4, 42),
    ]


def test_steps_end_within_an_epoch_and_are_followed_by_a_validation():
    listener = Listener()
    trainer = trainer_of(steps=5, validation=8)
    assert trainer.fit(listener)
    assert [step.number for step in listener.steps] == [1, 2, 3, 4, 5]
    assert [epoch for epoch, _ in listener.validations] == [1, pytest.approx(5 / 3)]


def test_one_seed_gives_one_result_and_another_seed_another():
    def weights(seed):
        trainer = trainer_of(seed=seed)
        trainer.fit()
        return trainer.model.state_dict()

    assert same(weights(1), weights(1))
    assert not same(weights(1), weights(2))


@pytest.mark.parametrize("count", [48, 45])
def test_batches_that_are_accumulated_make_the_step_of_one_large_batch(count):
    """Also at the end of an epoch, where one of them is shorter: each image counts the same."""
    results = []
    for batch_size, accumulate in ((16, 1), (4, 4), (8, 2)):
        trainer = trainer_of(small_network(dropout=0), count, batch_size, accumulate=accumulate, schedule="constant")
        results.append((steps_of(trainer), trainer.model.state_dict()))
    (steps, weights), *others = results
    for found_steps, found_weights in others:
        for step, found in zip(steps, found_steps, strict=True):
            assert (found.number, found.images, found.lr) == (step.number, step.images, step.lr)
            assert found.loss == pytest.approx(step.loss, rel=1e-5)
            assert found.accuracy == pytest.approx(step.accuracy)
        for name, values in weights.items():
            assert_close(found_weights[name], values, 1e-4)


def test_the_gradients_norm_is_held_to_clip_norm():
    unclipped, clipped = trainer_of(), trainer_of(clip_norm=0.1)
    first, held = steps_of(unclipped)[0], steps_of(clipped)
    assert first.grad_norm is None
    assert held[0].grad_norm > 0.1
    squares = sum(float(np.square(p.grad, dtype="float64").sum()) for p in clipped.model.parameters())
    assert np.sqrt(squares) == pytest.approx(0.1, rel=1e-4)


def test_evaluation_weighs_a_short_last_batch_by_its_images_and_drops_nothing():
    model = small_network()
    validation = loader("test", 21, shuffle=False)
    metrics = evaluate(model, validation)
    batches = list(validation.epoch(0))
    images, targets = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    logits, targets = torch.from_numpy(model.eval()(images)), torch.from_numpy(targets)
    assert metrics.loss == pytest.approx(torch.nn.functional.cross_entropy(logits, targets).item(), rel=1e-5)
    assert metrics.top1 == pytest.approx((logits.argmax(1) == targets).float().mean().item())
    top5 = (logits.topk(5).indices == targets[:, None]).any(dim=1)
    assert metrics.top5 == pytest.approx(top5.float().mean().item())
    assert metrics.images == 21


def test_evaluation_stops_when_asked_and_leaves_the_mode_as_it_was():
    model = small_network()
    assert evaluate(model, loader("test", 21), should_stop=lambda: True) is None
    assert model.training


def test_training_and_evaluation_on_a_device_give_what_the_cpu_gives(device):
    results = []
    for where in ("cpu", device):
        model = small_network(device=where)
        trainer = trainer_of(model, clip_norm=1.0)
        results.append((steps_of(trainer), evaluate(model, loader("test", 21)), model.state_dict()))
    (steps, metrics, weights), (found_steps, found_metrics, found_weights) = results
    for expected, found in zip(steps, found_steps, strict=True):
        assert (found.number, found.images, found.lr) == (expected.number, expected.images, expected.lr)
        assert found.loss == pytest.approx(expected.loss, rel=1e-5)
        assert found.grad_norm == pytest.approx(expected.grad_norm, rel=1e-4)
        assert found.accuracy == expected.accuracy
    assert found_metrics.loss == pytest.approx(metrics.loss, rel=1e-5)
    np.testing.assert_array_equal(found_metrics.confusion, metrics.confusion)
    for name, expected in weights.items():
        assert_close(found_weights[name], expected, 1e-4)


LABELS_CHECK, REPORT = (
    ((2,), "int64"),
    ((2,), "float64"),
)  # smallest and largest label; loss and number classified correctly


def test_a_step_waits_twice_for_a_device_and_has_it_compute_all_gradients_before_the_second_time(monkeypatch):
    model = small_network(device="fake")
    trainer = trainer_of(model)
    waits = {}

    def watched(name, method):
        def call(*arguments, **keywords):
            result = method(*arguments, **keywords)
            waits[name] = list(FAKE.counts.downloads)
            return result

        return call

    monkeypatch.setattr(model, "backward", watched("backward", model.backward))
    monkeypatch.setattr(trainer.stepper.optimizer, "step", watched("step", trainer.stepper.optimizer.step))
    FAKE.counts.reset()
    for step in trainer.train_epoch():
        assert waits == {"backward": [LABELS_CHECK], "step": [LABELS_CHECK, REPORT]}
        assert FAKE.counts.downloads == [LABELS_CHECK, REPORT]
        assert FAKE.counts.synchronizations == 0
        count = 8 if step.images == 40 else 16
        assert FAKE.counts.uploads == [
            *(((count, 3, 227, 227), "float32"), ((count,), "int64")),
            *[((count, 8 * 14 * 14), "bool")] * 2,  # dropout's mask, drawn again for the gradient
        ]
        FAKE.counts.reset()


def test_evaluation_waits_for_the_logits_and_nothing_else():
    model = small_network(device="fake")
    FAKE.counts.reset()
    evaluate(model, loader("test", 21))
    logits = [count for count in FAKE.counts.downloads if count[1] == "float32"]
    assert logits == [((16, 10), "float32"), ((5, 10), "float32")]
    assert FAKE.counts.synchronizations == 0


def test_labels_that_are_no_class_are_refused_before_the_step(device):
    model = small_network(device=device)
    trainer = trainer_of(model)
    trainer.train.dataset.labels[:] = 10
    before = model.state_dict()
    with pytest.raises(ValueError, match="CrossEntropyLoss expects labels from 0 to 9, got 10"):
        trainer.fit()
    assert same(model.state_dict(), before)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("clip_norm", [None, 1.0])
def test_a_loss_that_is_not_finite_stops_training_before_the_step(device, clip_norm):
    model = small_network(device=device)
    trainer = trainer_of(model, clip_norm=clip_norm)
    model[4].bias.data[0] = float("nan")
    before = {name: values.copy() for name, values in model.state_dict().items()}
    with pytest.raises(DivergedError, match=r"the loss is nan after 0 steps: .* smaller learning rate"):
        trainer.fit()
    for name, values in model.state_dict().items():
        np.testing.assert_array_equal(values, before[name])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_training_learns_in_16_bits_with_float32_parameters(dtype):
    losses = {}
    for name in ("float32", dtype):
        model = small_network()
        losses[name] = [step.loss for step in steps_of(trainer_of(model, count=16, epochs=15, dtype=name))]
        assert all(parameter.dtype == np.float32 for parameter in model.parameters())
    np.testing.assert_allclose(losses[dtype][:3], losses["float32"][:3], rtol=0.05)
    assert losses[dtype] != losses["float32"]
    assert losses[dtype][-1] < 0.7 * losses[dtype][0]


@pytest.mark.parametrize("clip_norm", [None, 1.0])
def test_a_step_whose_scaled_gradients_overflow_is_left_out_and_the_next_scale_is_smaller(clip_norm):
    model = small_network()
    trainer = trainer_of(model, count=16, epochs=2, dtype="float16", clip_norm=clip_norm)
    trainer.stepper.scaler.load_state_dict(na.GradScaler(init_scale=2.0**40).state_dict())
    before = model.state_dict()
    with np.errstate(over="ignore", invalid="ignore"):
        next(trainer.train_epoch())
    assert same(model.state_dict(), before)
    assert trainer.stepper.scaler.get_scale() == 2.0**39


def test_patience_ends_training_after_so_many_validations_in_a_row_that_were_no_better():
    listener = Listener()
    trainer = trainer_of(lr=1e-12, epochs=10, validation=8, patience=2)  # nothing changes
    assert trainer.fit(listener)
    assert len(listener.validations) == 3
    assert trainer.state.step == 9
    assert "no better for 2 evaluations" in listener.lines[-1]


def test_frozen_parts_stay_as_they_are_and_the_rest_learns():
    model = small_network().freeze("0")
    before = model.state_dict()
    trainer_of(model, weight_decay=0.5).fit()
    after = model.state_dict()
    assert [np.array_equal(before[name], after[name]) for name in before] == [True, True, False, False]


def test_groups_of_an_optimizer_keep_the_ratio_of_their_rates():
    model = small_network()
    groups = [{"params": list(model[0].parameters()), "lr": 0.1}, {"params": list(model[4].parameters())}]
    optimizer = na.SGD(groups, lr=0.01, momentum=0.9)
    trainer = trainer_of(model, steps=4, optimizer=optimizer, schedule=WarmUp(LinearDecay(0.01, 4), 2))
    rates = [[group["lr"] for group in optimizer.param_groups] for _ in trainer.train_epoch()]
    np.testing.assert_allclose(rates, [[0.05, 0.005], [0.075, 0.0075], [0.05, 0.005]])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": None}, "one of epochs and steps must be given, got epochs=None and steps=None"),
        ({"epochs": 1, "steps": 1}, "one of epochs and steps must be given, got epochs=1 and steps=1"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"epochs": 1, "accumulate": 0}, "accumulate must be at least 1, got 0"),
        ({"epochs": 1, "patience": 2}, "patience needs validation images"),
        ({"epochs": 1, "clip_norm": 0.0}, r"clip_norm must be above 0, got 0\.0"),
        ({"epochs": 1, "dtype": "int8"}, "int8"),
        ({"epochs": 1, "convolution": "fft"}, "convolution must be 'auto', 'im2col' or 'winograd', got 'fft'"),
        ({"epochs": 1, "schedule": "magic"}, "schedule must be one of 'linear', .*, got 'magic'"),
        ({"epochs": 1, "lr": 0.0}, r"lr must be above 0 and finite, got 0\.0"),
        ({"epochs": 1, "criterion": na.CrossEntropyLoss(reduction="sum")}, "criterion must have reduction='mean'"),
    ],
)
def test_settings_that_can_not_be_are_refused_by_name(settings, message):
    with pytest.raises((ValueError, TypeError), match=message):
        Trainer(small_network(), loader(), **settings)


def test_a_model_with_nothing_to_learn_is_refused():
    with pytest.raises(ValueError, match="no parameter with requires_grad"):
        Trainer(small_network().freeze(), loader(), epochs=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"run": "runs/1"}, r"run must be a Run: Run\(folder\) makes one, .*, got 'runs/1'"),
        ({"optimizer": 3}, "optimizer must be an SGD, got 3"),
        ({"criterion": "mean"}, "criterion must be a CrossEntropyLoss, got 'mean'"),
        ({"schedule": 3}, "schedule must be a name or a Schedule, got 3"),
    ],
)
def test_a_part_of_another_kind_is_refused_by_name(settings, message):
    with pytest.raises(TypeError, match=f"^{message}"):
        trainer_of(**settings)


def test_data_sets_and_functions_in_the_place_of_loaders_and_callbacks_are_refused():
    trainer = trainer_of(steps=1)
    with pytest.raises(TypeError, match=r"^train must be a DataLoader, got "):
        Trainer(small_network(), trainer.train.dataset, epochs=1)
    with pytest.raises(TypeError, match=r"^validation must be a DataLoader, got "):
        Trainer(small_network(), trainer.train, [1], epochs=1)
    with pytest.raises(TypeError, match=r"^callback must be a Callback, got "):
        trainer.fit(print)
