"""The whole network at its full size against torch: outputs, every gradient, and training steps."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.rivals.torch_network import torch_alexnet
from npalexnet import SGD, AlexNet, CrossEntropyLoss
from npalexnet.backend import get_num_threads, set_num_threads
from tests.support import assert_close, get, normal, put, tensor

CLASSES = 10
SGD_SETTINGS = {"lr": 1e-4, "momentum": 0.9, "weight_decay": 5e-4}
IMAGES = np.stack([normal((3, 227, 227), seed=seed) for seed in (2, 11, 14)])  # far from ties, see below
LABELS = np.array([3, 0, 9])


@pytest.fixture(scope="module")
def model():
    return AlexNet(CLASSES, init="torch")


@pytest.fixture(scope="module")
def reference(model):
    """What torch computes in float64 from a start where signals and biases are of a size that matters."""
    state = {name: value.astype("float64") for name, value in model.state_dict().items()}
    for value in state.values():
        value *= 6**0.5  # He's deviation
    with torch.device("meta"):
        twin = torch_alexnet(nn, CLASSES, dropout=0).double()
    twin.to_empty(device="cpu").load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    optimizer = torch.optim.SGD(twin.parameters(), **SGD_SETTINGS)
    results = SimpleNamespace(state=state, losses=[])
    for step in range(2):
        optimizer.zero_grad()
        images = tensor(IMAGES).requires_grad_()
        logits = twin(images)
        loss = nn.functional.cross_entropy(logits, tensor(LABELS))
        loss.backward()
        results.losses.append(loss.item())
        if step == 0:
            results.logits, results.grad_images = logits.detach().numpy(), images.grad.numpy()
            results.gradients = {name: parameter.grad.numpy() for name, parameter in twin.named_parameters()}
        optimizer.step()
    results.trained = {name: value.numpy() for name, value in twin.state_dict().items()}
    return results


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)], indirect=True)
def test_outputs_gradients_and_training_steps_are_torchs(reference, device):
    model = AlexNet(CLASSES, dropout=0, dtype="float64", device=device, seed=1)
    model.load_state_dict(reference.state)
    criterion, optimizer = CrossEntropyLoss(), SGD(model.parameters(), **SGD_SETTINGS)
    images, labels = put(IMAGES, device), put(LABELS, device)
    losses = []
    for step in range(2):
        optimizer.zero_grad()
        logits = model(images)
        losses.append(float(get(criterion(logits, labels))))
        grad_images = model.backward(criterion.backward())
        if step == 0:
            assert_close(logits, reference.logits)
            assert_close(grad_images, reference.grad_images)
            gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
            assert list(gradients) == list(reference.gradients)
            for name, gradient in gradients.items():
                assert_close(gradient, reference.gradients[name])
            assert_close(model.eval()(images), reference.logits)
            model.train()
        optimizer.step()
    np.testing.assert_allclose(losses, reference.losses, rtol=1e-10)
    assert losses[-1] < losses[0]
    for name, parameter in model.named_parameters():
        assert_close(parameter.data, reference.trained[name])


def test_float32_stays_within_its_rounding_error(reference, device):
    """Bounds on relative L2 norms.

    Where the two largest numbers of a pooling window, or a ReLU's input and 0, are closer than float32 can tell, the
    gradient takes another way, and is wrong by 2e-3 to 6e-3 in the norm. The images are those of 100 that are farthest
    from such ties in float64: by 5.5e-6 of the first convolution's standard deviation, and 1.2e-5 of each other
    layer's. Measured: logits 5e-7, gradients 6e-7; with Winograd's convolution 1.1e-6 and 6.3e-6.
    """
    model = AlexNet(CLASSES, dropout=0, device=device, seed=1)
    model.load_state_dict(reference.state)
    criterion = CrossEntropyLoss()
    logits = model(put(IMAGES.astype("float32"), device))
    loss = criterion(logits, put(LABELS, device))
    grad_images = model.backward(criterion.backward())

    def error(actual, expected):
        return np.linalg.norm(get(actual) - expected) / np.linalg.norm(expected)

    assert get(logits).dtype == get(grad_images).dtype == np.float32
    assert error(logits, reference.logits) < 1e-5
    assert abs(float(get(loss)) / reference.losses[0] - 1) < 1e-5
    assert error(grad_images, reference.grad_images) < 2e-5
    for name, parameter in model.named_parameters():
        assert error(parameter.grad, reference.gradients[name]) < 2e-5, name


def test_a_state_comes_from_torch_and_goes_back_unchanged(model):
    twin = torch_alexnet(nn, CLASSES, dropout=0.5)
    other = AlexNet(CLASSES, seed=5)
    assert other.load_state_dict(twin.state_dict()) == ([], [])
    for name, value in other.state_dict().items():
        np.testing.assert_array_equal(value, twin.state_dict()[name].numpy())
    twin.load_state_dict({name: torch.from_numpy(value) for name, value in model.state_dict().items()})


def test_names_and_shapes_are_the_papers(model):
    shapes = {name: parameter.shape for name, parameter in model.named_parameters() if name.endswith("weight")}
    assert shapes == {
        "layers.0.weight": (96, 3, 11, 11),
        "layers.3.weight": (256, 96, 5, 5),
        "layers.6.weight": (384, 256, 3, 3),
        "layers.8.weight": (384, 384, 3, 3),
        "layers.10.weight": (256, 384, 3, 3),
        "classifier.1.weight": (4096, 9216),
        "classifier.4.weight": (4096, 4096),
        "classifier.6.weight": (CLASSES, 4096),
    }
    assert [child for child, _ in model.named_children()] == ["layers", "classifier"]


def train(threads, seed):
    """Train one step with dropout, and return all there is to see."""
    before = get_num_threads()
    set_num_threads(threads)
    try:
        model, criterion = AlexNet(CLASSES, seed=seed), CrossEntropyLoss()
        optimizer = SGD(model.parameters(), 0.01, momentum=0.9)
        logits = model(normal((5, 3, 227, 227), "float32"))
        loss = criterion(logits, np.arange(5))
        grad_images = model.backward(criterion.backward())
        optimizer.step()
    finally:
        set_num_threads(before)
    return {"logits": logits, "loss": loss, "images": grad_images, **model.state_dict()}


def test_one_seed_gives_the_same_bits_on_one_thread_and_on_many():
    one, many = train(1, seed=3), train(3, seed=3)
    for name, value in one.items():
        np.testing.assert_array_equal(value, many[name])


def test_another_seed_gives_other_parameters_and_the_default_is_zero(model):
    name = "layers.0.weight"
    np.testing.assert_array_equal(model.state_dict()[name], AlexNet(CLASSES, seed=0, init="torch").state_dict()[name])
    assert (model.state_dict()[name] != AlexNet(CLASSES, seed=1, init="torch").state_dict()[name]).any()


def test_dropout_drops_in_training_and_not_in_eval_mode(model):
    images = normal((1, 3, 227, 227), "float32")
    first, second = model.train()(images), model(images)
    assert (first != second).any()
    first, second = model.eval()(images), model(images)
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("size", [(227, 227), (258, 258), (227, 258), (240, 231)])
def test_image_sizes_that_come_to_six_by_six_are_taken_as_in_torch(size, model):
    with torch.device("meta"):
        assert tuple(torch_alexnet(nn, CLASSES, dropout=0.5)(torch.empty(2, 3, *size)).shape) == (2, CLASSES)
    assert model.output_shape((2, 3, *size)) == (2, CLASSES)


@pytest.mark.parametrize("size", [(226, 227), (227, 226), (259, 227), (227, 259), (224, 224), (32, 32), (1, 1)])
def test_other_image_sizes_are_refused_with_the_right_one_as_in_torch(size, model):
    with torch.device("meta"), pytest.raises(RuntimeError):
        torch_alexnet(nn, CLASSES, dropout=0.5)(torch.empty(2, 3, *size))
    expected = r"AlexNet expects images of shape \(N, 3, 227, 227\) "
    message = rf"^{expected}.*, got an input of shape \(2, 3, {size[0]}, {size[1]}\)$"
    with pytest.raises(ValueError, match=message):
        model(np.zeros((2, 3, *size), "float32"))


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (
            normal((1, 1, 227, 227), "float32"),
            ValueError,
            r"AlexNet expects images of shape \(N, 3, 227, 227\) .*, got .*\(1, 1, 227, 227\)",
        ),
        (
            normal((1, 227, 227, 3), "float32"),
            ValueError,
            r"AlexNet expects images of shape \(N, 3, 227, 227\) .*, got .*\(1, 227, 227, 3\)",
        ),
        (
            normal((3, 227, 227), "float32"),
            ValueError,
            r"AlexNet expects images of shape \(N, 3, 227, 227\) .*, got .*\(3, 227, 227\)",
        ),
        (normal((1, 3, 227, 227)), TypeError, "AlexNet's input is of dtype float64, expected float32"),
        (np.zeros((1, 3, 227, 227), "uint8"), TypeError, "AlexNet's input is of dtype uint8, expected float32"),
    ],
    ids=["grey", "channels last", "unbatched", "float64", "bytes"],
)
def test_bad_inputs_are_refused_with_what_is_expected(x, error, message, model):
    with pytest.raises(error, match=message):
        model(x)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"num_classes": 0}, ValueError, "num_classes must be at least 1, got 0"),
        ({"num_classes": 10.0}, TypeError, r"num_classes must be an int, got 10\.0"),
        ({"dropout": 2}, ValueError, "dropout must be from 0 to 1, got 2"),
        ({"dtype": "float16"}, ValueError, "dtype must be 'float32' or 'float64', got 'float16'"),
        ({"device": "tpu"}, ValueError, "device must be 'cpu', 'cuda', 'cuda:N' or 'auto', got 'tpu'"),
        ({"seed": -1}, ValueError, "seed must not be negative, got -1"),
        ({"init": "zeros"}, ValueError, "init must be one of 'torch', 'paper', 'he', 'xavier', got 'zeros'"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused_by_name(arguments, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        AlexNet(**arguments)


def test_the_papers_start_has_biases_of_one_where_the_paper_has_them():
    ones = {"layers.3", "layers.8", "layers.10", "classifier.1", "classifier.4"}
    for name, parameter in AlexNet(CLASSES, init="paper").named_parameters():
        layer, kind = name.rsplit(".", 1)
        if kind == "bias":
            np.testing.assert_array_equal(parameter.data, np.full(parameter.shape, float(layer in ones)))
        elif layer != "classifier.6":
            assert abs(parameter.data.std() - 0.01) < 0.0003


def test_one_class_is_enough_and_none_at_all_but_images(model):
    single = AlexNet(1)
    assert single.eval()(normal((2, 3, 227, 227), "float32")).shape == (2, 1)
    assert model.eval()(np.zeros((0, 3, 227, 227), "float32")).shape == (0, CLASSES)
    assert model.backward(np.zeros((0, CLASSES), "float32")).shape == (0, 3, 227, 227)


def test_multiply_adds_are_half_of_torchs_operations(model):
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        torch_alexnet(nn, CLASSES, dropout=0.5)(torch.empty(2, 3, 227, 227))
    assert model.multiply_adds((2, 3, 227, 227)) * 2 == counter.get_total_flops()


def test_it_tells_its_device_and_dtype(model):
    assert model.device == "cpu"
    assert model.dtype == np.float32
    assert repr(model).startswith("AlexNet(\n  (layers): Sequential(\n    (0): Conv2d(3, 96, kernel_size=(11, 11)")


@pytest.mark.parametrize(
    ("shape", "advice"),
    [
        ((2, 227, 227, 3), ": channels come second, transpose it by .transpose(0, 3, 1, 2)"),
        ((227, 227, 3), ": make a batch of it, channels second, by .transpose(2, 0, 1)[None]"),
        ((3, 227, 227), ": a batch comes first, add that axis by [None]"),
        ((2, 3, 32, 32), ""),
        ((2, 32, 32, 3), ""),
        ((227, 227), ""),
    ],
)
def test_images_of_another_layout_are_refused_with_what_to_do(model, shape, advice):
    with pytest.raises(ValueError, match=rf"got an input of shape {re.escape(str(shape) + advice)}$"):
        model.output_shape(shape)
