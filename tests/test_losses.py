"""CrossEntropyLoss against torch, the plain loops and slopes."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from npalexnet import CrossEntropyLoss, naive
from tests.support import assert_close, get, normal, put, tensor

REDUCTIONS = ["mean", "sum", "none"]
SMOOTHINGS = [0.0, 0.1, 1.0]


def labels_for(logits, dtype="int64"):
    return np.random.default_rng(7).integers(0, logits.shape[1], len(logits)).astype(dtype)


def assert_loss_matches_torch(logits, labels, device="cpu", **arguments):
    x = tensor(logits).requires_grad_()
    expected = nn.CrossEntropyLoss(**arguments)(x, tensor(labels).long())
    upstream = normal(expected.shape, logits.dtype.name, seed=8)
    expected.backward(tensor(upstream))
    criterion = CrossEntropyLoss(**arguments)
    loss = criterion(put(logits, device), put(labels, device))
    assert_close(loss, expected)
    assert_close(criterion.backward(put(upstream, device)), x.grad)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("label_smoothing", SMOOTHINGS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (33, 10)], ids=str)
def test_loss_and_gradient_are_torchs(reduction, label_smoothing, shape, dtype, device):
    logits = normal(shape, dtype) * 5
    arguments = {"reduction": reduction, "label_smoothing": label_smoothing}
    assert_loss_matches_torch(logits, labels_for(logits), device, **arguments)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("label_smoothing", SMOOTHINGS)
def test_loss_and_gradient_are_those_of_the_formula(reduction, label_smoothing, device):
    logits = normal((4, 5)) * 3
    labels = labels_for(logits)
    criterion = CrossEntropyLoss(reduction=reduction, label_smoothing=label_smoothing)
    loss = criterion(put(logits, device), put(labels, device))
    assert_close(loss, naive.cross_entropy(logits, labels, label_smoothing, reduction))
    upstream = normal(loss.shape, seed=1)
    expected = naive.cross_entropy_gradient(logits, labels, label_smoothing, reduction, upstream)
    assert_close(criterion.backward(put(upstream, device)), expected)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_gradient_is_the_slope(reduction):
    logits, direction, step = normal((4, 5)), normal((4, 5), seed=1), 1e-5
    labels, criterion = labels_for(logits), CrossEntropyLoss(reduction=reduction, label_smoothing=0.1)
    slope = (criterion(logits + step * direction, labels) - criterion(logits - step * direction, labels)) / (2 * step)
    criterion(logits, labels)
    np.testing.assert_allclose((criterion.backward() * direction).sum(), slope, rtol=1e-8)


def test_the_loss_of_a_coin_is_the_logarithm_of_two_for_each_image():
    logits, labels = np.zeros((4, 2)), np.array([0, 1, 1, 0])
    assert CrossEntropyLoss()(logits, labels) == pytest.approx(np.log(2))
    assert CrossEntropyLoss(reduction="sum")(logits, labels) == pytest.approx(4 * np.log(2))
    np.testing.assert_allclose(CrossEntropyLoss(reduction="none")(logits, labels), np.full(4, np.log(2)))
    criterion = CrossEntropyLoss()
    criterion(logits, labels)
    np.testing.assert_allclose(criterion.backward(), np.array([[-1, 1], [1, -1], [1, -1], [-1, 1]]) / 8)


@pytest.mark.parametrize("size", [1e4, 1e30])
@pytest.mark.parametrize("label_smoothing", SMOOTHINGS)
def test_huge_logits_neither_overflow_nor_lose_the_gradient(size, label_smoothing, dtype, device):
    logits = np.array([[1, -1, 0], [-1, 1, 0], [1, 1, 1], [-1, -1, -1]], dtype) * np.array(size, dtype)
    for reduction in REDUCTIONS:
        arguments = {"reduction": reduction, "label_smoothing": label_smoothing}
        assert_loss_matches_torch(logits, np.array([0, 0, 1, 2]), device, **arguments)


def test_a_class_that_is_ruled_out_costs_nothing_if_it_is_not_the_label(dtype, device):
    logits = np.array([[0, -np.inf, 1], [2, 3, -np.inf]], dtype)
    assert_loss_matches_torch(logits, np.array([0, 1]), device)


@pytest.mark.parametrize("kind", ["uint8", "int16", "int32", "int64", "uint64"])
def test_labels_of_any_integers_are_taken(kind, device):
    logits = normal((9, 5))
    assert_loss_matches_torch(logits, labels_for(logits, kind), device)


def test_the_upstream_gradient_is_one_if_left_out(device):
    logits = normal((3, 4))
    labels = labels_for(logits)
    for reduction in ("mean", "sum"):
        criterion = CrossEntropyLoss(reduction=reduction)
        criterion(put(logits, device), put(labels, device))
        assert_close(criterion.backward(), naive.cross_entropy_gradient(logits, labels, 0.0, reduction))
        criterion(put(logits, device), put(labels, device))
        assert_close(criterion.backward(-2.5), -2.5 * naive.cross_entropy_gradient(logits, labels, 0.0, reduction))


def test_logits_of_any_layout_are_taken_and_not_written_to():
    logits = normal((6, 4))
    labels = labels_for(logits)
    criterion = CrossEntropyLoss(label_smoothing=0.1)
    expected_loss, expected_gradient = criterion(logits, labels), criterion.backward()
    for arranged in (np.asfortranarray(logits), logits[::-1].copy()[::-1], np.repeat(logits, 2, axis=1)[:, ::2]):
        before = arranged.copy()
        arranged.flags.writeable = False
        assert_close(criterion(arranged, labels), np.array(expected_loss))
        assert_close(criterion.backward(), expected_gradient)
        np.testing.assert_array_equal(arranged, before)


def test_backward_needs_a_forward_call_and_uses_it_up():
    criterion, logits = CrossEntropyLoss(), normal((2, 3))
    with pytest.raises(RuntimeError, match=r"CrossEntropyLoss\.backward\(\) needs a forward call before it"):
        criterion.backward()
    criterion(logits, np.array([0, 1]))
    criterion.backward()
    with pytest.raises(RuntimeError, match="one for each backward"):
        criterion.backward()


@pytest.mark.parametrize(
    ("reduction", "grad_loss", "message"),
    [
        ("none", None, r"grad_loss must have the loss's shape \(2,\), got nothing"),
        ("none", 1.0, r"must have the loss's shape \(2,\), got shape \(\)"),
        ("none", np.ones(3), r"must have the loss's shape \(2,\), got shape \(3,\)"),
        ("mean", np.ones(2), r"must have the loss's shape \(\), got shape \(2,\)"),
    ],
)
def test_an_upstream_gradient_of_another_shape_is_refused_and_the_call_not_used_up(reduction, grad_loss, message):
    criterion = CrossEntropyLoss(reduction=reduction)
    loss = criterion(normal((2, 3)), np.array([0, 1]))
    with pytest.raises(ValueError, match=message):
        criterion.backward(grad_loss)
    assert criterion.backward(np.ones_like(loss)).shape == (2, 3)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"reduction": "average"}, ValueError, "reduction must be one of 'mean', 'sum', 'none', got 'average'"),
        ({"reduction": None}, ValueError, "reduction must be one of .*, got None"),
        ({"label_smoothing": -0.1}, ValueError, r"label_smoothing must be from 0 to 1, got -0\.1"),
        ({"label_smoothing": 1.5}, ValueError, r"label_smoothing must be from 0 to 1, got 1\.5"),
        ({"label_smoothing": np.nan}, ValueError, "label_smoothing must be from 0 to 1, got nan"),
        ({"label_smoothing": "0"}, TypeError, "label_smoothing must be a number, got '0'"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused_by_name(arguments, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        CrossEntropyLoss(**arguments)


LOGITS = normal((2, 3))


@pytest.mark.parametrize(
    ("logits", "labels", "error", "message"),
    [
        (LOGITS, np.array([0, 3]), ValueError, "labels from 0 to 2, got 3"),
        (LOGITS, np.array([-1, 0]), ValueError, "labels from 0 to 2, got -1"),
        (LOGITS, np.array([0.0, 1.0]), TypeError, "integer labels, got dtype float64"),
        (LOGITS, np.array([True, False]), TypeError, "integer labels, got dtype bool"),
        (LOGITS, np.array([0, 1, 2]), ValueError, r"labels of shape \(2,\), got \(3,\)"),
        (LOGITS, np.array([[0], [1]]), ValueError, r"labels of shape \(2,\), got \(2, 1\)"),
        (LOGITS, [0, 1], TypeError, "labels: expected a NumPy or CuPy array, got list"),
        (LOGITS, put(np.array([0, 1]), "fake"), ValueError, "labels are on 'fake', expected them on 'cpu'"),
        (LOGITS[0], np.array([0]), ValueError, r"logits of shape \(N, K\) with at least one image, got \(3,\)"),
        (LOGITS[:0], np.zeros(0, int), ValueError, r"at least one image, got \(0, 3\)"),
        (LOGITS[:, :0], np.array([0, 0]), ValueError, r"got \(2, 0\)"),
        (
            LOGITS.astype(int),
            np.array([0, 1]),
            TypeError,
            "logits is of dtype int64, expected float32, float64, float16 or bfloat16",
        ),
        (LOGITS.tolist(), np.array([0, 1]), TypeError, "logits: expected a NumPy or CuPy array, got list"),
    ],
    ids=[
        "large",
        "negative",
        "float",
        "bool",
        "more",
        "2d",
        "list",
        "device",
        "1d",
        "none",
        "K0",
        "int",
        "logits list",
    ],
)
def test_bad_inputs_are_refused_with_what_is_expected(logits, labels, error, message):
    with pytest.raises(error, match=f"CrossEntropyLoss.*{message}"):
        CrossEntropyLoss()(logits, labels)


@pytest.mark.parametrize(
    ("kind", "wrong"), [("int8", -128), ("int64", -1), ("int64", 3), ("uint8", 255), ("uint64", 2**63)], ids=str
)
def test_a_label_that_is_no_class_is_refused_on_every_device(kind, wrong, device):
    labels = put(np.array([0, wrong], kind), device)
    with pytest.raises(ValueError, match=f"^CrossEntropyLoss expects labels from 0 to 2, got {wrong}$"):
        CrossEntropyLoss()(put(LOGITS, device), labels)


def test_the_loss_is_of_the_logits_dtype_and_device(dtype, device):
    criterion = CrossEntropyLoss()
    logits = put(normal((3, 4), dtype), device)
    loss = criterion(logits, put(np.array([0, 1, 2]), device))
    assert get(loss).shape == ()
    assert get(loss).dtype == dtype
    gradient = criterion.backward()
    assert type(gradient) is type(logits)
    assert gradient.dtype == dtype


def test_repr_says_what_it_was_made_of():
    assert (
        repr(CrossEntropyLoss(reduction="sum", label_smoothing=0.1))
        == "CrossEntropyLoss(reduction='sum', label_smoothing=0.1)"
    )


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize(("dtype", "huge"), [("float32", 3e38), ("float64", 1.7e308)])
def test_loss_and_gradient_of_huge_logits_are_torchs(dtype, huge, reduction, label_smoothing):
    rows = np.array(list(product([0, 1, 1e30, huge, -huge], repeat=3)), dtype)
    labels = np.arange(len(rows)) % 3
    twin_x = torch.tensor(rows, requires_grad=True)
    twin = nn.CrossEntropyLoss(reduction=reduction, label_smoothing=label_smoothing)(twin_x, torch.tensor(labels))
    twin.sum().backward()
    criterion = CrossEntropyLoss(reduction=reduction, label_smoothing=label_smoothing)
    with np.errstate(over="ignore"):
        loss = criterion(rows, labels)
    grad = criterion.backward(np.ones(len(rows), dtype) if reduction == "none" else None)
    np.testing.assert_allclose(loss, twin.detach().numpy(), rtol=1e-5)
    np.testing.assert_allclose(grad, twin_x.grad.numpy(), rtol=1e-5, atol=1e-7)


def test_masked_arrays_are_refused_and_lists_and_other_dtypes_said_with_advice():
    def message(logits, labels):
        with pytest.raises(TypeError) as error:
            CrossEntropyLoss()(logits, labels)
        return str(error.value)

    logits, labels = np.zeros((2, 3)), np.array([0, 1])
    masked = " is a masked array, whose mask would be ignored: fill it by .filled(value)"
    assert message(np.ma.masked_array(logits), labels) == f"CrossEntropyLoss's logits{masked}"
    assert message(logits, np.ma.masked_array(labels)) == f"CrossEntropyLoss's labels{masked}"
    assert message(logits, [0, 1]) == (
        "CrossEntropyLoss's labels: expected a NumPy or CuPy array, got list: convert it by numpy.asarray(..., 'int64')"
    )
    assert message(logits, labels * 1.0) == (
        "CrossEntropyLoss expects integer labels, got dtype float64: cast them by .astype('int64')"
    )


def test_matrices_are_taken_as_plain_arrays():
    logits, labels, upstream = normal((4, 3)), np.array([0, 2, 1, 1]), normal((4,), seed=2)
    plain, other = CrossEntropyLoss(reduction="none"), CrossEntropyLoss(reduction="none")
    loss, other_loss = plain(logits, labels), other(logits.view(np.matrix), labels)
    assert type(other_loss) is np.ndarray
    np.testing.assert_array_equal(other_loss, loss)
    grad = other.backward(upstream)
    assert type(grad) is np.ndarray
    np.testing.assert_array_equal(grad, plain.backward(upstream))
