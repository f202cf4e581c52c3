"""The plain loops against torch and against cases small enough to compute by hand."""

import numpy as np
import pytest
import torch.nn.functional as F

from npalexnet import naive
from tests.support import assert_close, distinct, normal, tensor


def gradients_of(output, grad_y, *inputs):
    output.backward(tensor(grad_y))
    return [x.grad for x in inputs]


def leaf(array):
    return tensor(array).requires_grad_()


@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"),
    [
        ((1, 1), (0, 0), (1, 1), 1),
        ((2, 1), (1, 2), (1, 1), 1),
        ((1, 3), (2, 0), (2, 1), 2),
        ((2, 2), (1, 1), (1, 3), 4),
    ],
)
def test_convolution_and_its_gradients_are_torchs(stride, padding, dilation, groups):
    x, weight, bias = leaf(normal((2, 4, 6, 7))), leaf(normal((4, 4 // groups, 3, 2))), leaf(normal(4))
    expected = F.conv2d(x, weight, bias, stride, padding, dilation, groups)
    arguments = (stride, padding, dilation, groups)
    y = naive.conv2d(x.detach().numpy(), weight.detach().numpy(), bias.detach().numpy(), *arguments)
    assert_close(y, expected)
    grad_y = normal(y.shape, seed=1)
    actual = naive.conv2d_gradients(grad_y, x.detach().numpy(), weight.detach().numpy(), *arguments)
    for gradient, its_expected in zip(actual, gradients_of(expected, grad_y, x, weight, bias), strict=True):
        assert_close(gradient, its_expected)


def test_convolution_pads_each_side_on_its_own():
    x, weight = normal((1, 2, 4, 5)), normal((3, 2, 2, 3))
    padding = ((0, 1), (2, 1))
    expected = F.conv2d(F.pad(tensor(x), (2, 1, 0, 1)), tensor(weight))
    y = naive.conv2d(x, weight, None, (1, 1), padding, (1, 1), 1)
    assert_close(y, expected)
    x_leaf = leaf(x)
    grad_y = normal(y.shape, seed=1)
    F.conv2d(F.pad(x_leaf, (2, 1, 0, 1)), tensor(weight)).backward(tensor(grad_y))
    assert_close(naive.conv2d_gradients(grad_y, x, weight, (1, 1), padding, (1, 1), 1)[0], x_leaf.grad)


def test_convolution_does_not_flip_the_kernel():
    x = np.arange(1.0, 10).reshape(1, 1, 3, 3)
    weight = np.array([[[[1.0, 10], [100, 1000]]]])
    expected = [[[[5421, 6532], [8754, 9865]]]]  # 1*1 + 2*10 + 4*100 + 5*1000, ...
    np.testing.assert_array_equal(naive.conv2d(x, weight, None, (1, 1), (0, 0), (1, 1), 1), expected)


POOLS = [
    ((2, 2), (2, 2), (0, 0), (1, 1), False),
    ((3, 3), (2, 2), (1, 1), (1, 1), False),
    ((3, 2), (2, 3), (1, 0), (1, 2), True),
    ((2, 3), (3, 2), (1, 1), (2, 1), True),
]


def torch_max_pool(x, arguments):
    return F.max_pool2d(x, *arguments[:4], ceil_mode=arguments[4])


@pytest.mark.parametrize("arguments", POOLS)
def test_max_pooling_and_its_gradient_are_torchs(arguments):
    x = leaf(distinct((2, 3, 7, 8)))
    expected = torch_max_pool(x, arguments)
    y = naive.max_pool2d(x.detach().numpy(), *arguments)
    assert_close(y, expected)
    grad_y = normal(y.shape, seed=1)
    (grad_x,) = gradients_of(expected, grad_y, x)
    assert_close(naive.max_pool2d_gradient(grad_y, x.detach().numpy(), *arguments), grad_x)


@pytest.mark.parametrize("arguments", POOLS)
@pytest.mark.parametrize("values", [[0.0, 1.0], [0.0, np.nan], [-np.inf, 0.0], [-np.inf]])
def test_max_pooling_settles_ties_and_nan_as_torch_does(arguments, values):
    x = leaf(np.random.default_rng(5).choice(values, (2, 3, 7, 8)))
    expected = torch_max_pool(x, arguments)
    y = naive.max_pool2d(x.detach().numpy(), *arguments)
    np.testing.assert_array_equal(y, expected.detach().numpy())
    grad_y = normal(y.shape, seed=1)
    (grad_x,) = gradients_of(expected, grad_y, x)
    assert_close(naive.max_pool2d_gradient(grad_y, x.detach().numpy(), *arguments), grad_x)


def test_max_pooling_adds_what_overlapping_windows_send_to_one_pixel():
    x = np.array([[[[1.0, 9, 2]]]])
    grad_y = np.array([[[[10.0, 100]]]])
    np.testing.assert_array_equal(naive.max_pool2d(x, (1, 2), (1, 1)), [[[[9, 9]]]])
    np.testing.assert_array_equal(naive.max_pool2d_gradient(grad_y, x, (1, 2), (1, 1)), [[[[0, 110, 0]]]])


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 9])
def test_local_response_norm_and_its_gradient_are_torchs(size):
    x = leaf(normal((2, 5, 2, 3)))
    expected = F.local_response_norm(x, size, alpha=0.3, beta=0.6, k=1.5)
    y = naive.local_response_norm(x.detach().numpy(), size, 0.3, 0.6, 1.5)
    assert_close(y, expected)
    grad_y = normal(y.shape, seed=1)
    (grad_x,) = gradients_of(expected, grad_y, x)
    assert_close(naive.local_response_norm_gradient(grad_y, x.detach().numpy(), size, 0.3, 0.6, 1.5), grad_x)


@pytest.mark.parametrize("with_bias", [True, False])
def test_linear_and_its_gradients_are_torchs(with_bias):
    x, weight, bias = leaf(normal((3, 5))), leaf(normal((4, 5), seed=1)), leaf(normal(4, seed=2))
    expected = F.linear(x, weight, bias if with_bias else None)
    y = naive.linear(x.detach().numpy(), weight.detach().numpy(), bias.detach().numpy() if with_bias else None)
    assert_close(y, expected)
    grad_y = normal(y.shape, seed=3)
    actual = naive.linear_gradients(grad_y, x.detach().numpy(), weight.detach().numpy())
    for gradient, its_expected in zip(actual, gradients_of(expected, grad_y, x, weight, bias), strict=True):
        if its_expected is not None:
            assert_close(gradient, its_expected)


def test_relu_and_its_gradient_are_torchs_at_zero_and_nan_too():
    x = leaf(np.array([[-1.0, 0.0, -0.0], [np.nan, 2.0, np.inf]]))
    grad_y = normal((2, 3))
    expected = F.relu(x)
    (grad_x,) = gradients_of(expected, grad_y, x)
    np.testing.assert_array_equal(naive.relu(x.detach().numpy()), expected.detach().numpy())
    np.testing.assert_array_equal(naive.relu_gradient(grad_y, x.detach().numpy()), grad_x.numpy())


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 1.0])
def test_cross_entropy_and_its_gradient_are_torchs(reduction, label_smoothing):
    logits = leaf(normal((4, 5)) * 10)
    labels = np.array([0, 4, 2, 2])
    expected = F.cross_entropy(logits, tensor(labels), reduction=reduction, label_smoothing=label_smoothing)
    loss = naive.cross_entropy(logits.detach().numpy(), labels, label_smoothing, reduction)
    assert_close(loss, expected)
    upstream = normal(loss.shape, seed=1)
    (grad_logits,) = gradients_of(expected, upstream, logits)
    actual = naive.cross_entropy_gradient(logits.detach().numpy(), labels, label_smoothing, reduction, upstream)
    assert_close(actual, grad_logits)


def test_cross_entropy_of_equal_logits_is_the_log_of_the_number_of_classes():
    loss = naive.cross_entropy(np.full((2, 8), 1e4), np.array([3, 7]))
    assert_close(loss, np.array(np.log(8)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_results_are_of_the_dtype_of_the_input(dtype):
    x, weight = normal((1, 2, 3, 3), dtype), normal((2, 2, 2, 2), dtype)
    arrays = [
        naive.conv2d(x, weight, weight[:, 0, 0, 0], (1, 1), (0, 0), (1, 1), 1),
        *naive.conv2d_gradients(x[:, :, :2, :2], x, weight, (1, 1), (0, 0), (1, 1), 1),
        naive.max_pool2d(x, (2, 2), (1, 1)),
        naive.local_response_norm(x, 3),
        naive.cross_entropy(x[0, 0], np.array([0, 1, 2])),
    ]
    assert {array.dtype for array in arrays} == {np.dtype(dtype)}


@pytest.mark.parametrize("arguments", [((3, 2), (2, 1), (1, 1), True), ((2, 3), (3, 2), (0, 1), False)])
@pytest.mark.parametrize("count_include_pad", [True, False])
def test_average_pooling_and_its_gradient_are_torchs(arguments, count_include_pad):
    x = leaf(normal((2, 3, 6, 7)))
    expected = F.avg_pool2d(x, *arguments, count_include_pad)
    y = naive.avg_pool2d(x.detach().numpy(), *arguments, count_include_pad)
    assert_close(y, expected)
    grad_y = normal(y.shape, seed=1)
    (expected_grad_x,) = gradients_of(expected, grad_y, x)
    assert_close(naive.avg_pool2d_gradient(grad_y, x.detach().numpy(), *arguments, count_include_pad), expected_grad_x)


@pytest.mark.parametrize("size", [(6, 6), (2, 5), (1, 8)])
def test_averages_of_parts_and_their_gradient_are_torchs(size):
    x = leaf(normal((2, 3, 5, 8)))
    expected = F.adaptive_avg_pool2d(x, size)
    assert_close(naive.adaptive_avg_pool2d(x.detach().numpy(), size), expected)
    grad_y = normal(expected.shape, seed=1)
    (expected_grad_x,) = gradients_of(expected, grad_y, x)
    assert_close(naive.adaptive_avg_pool2d_gradient(grad_y, x.detach().numpy()), expected_grad_x)


def test_an_average_by_hand():
    x = np.array([[[[1.0, 2, 3], [4, 5, 6]]]])
    np.testing.assert_array_equal(naive.avg_pool2d(x, (2, 2), (1, 1)), [[[[3, 4]]]])
    np.testing.assert_array_equal(naive.avg_pool2d(x, (2, 2), (2, 2), (0, 0), True), [[[[3, 4.5]]]])
    np.testing.assert_array_equal(naive.avg_pool2d(x, (2, 2), (2, 2), (1, 1)), [[[[0.25, 1.25], [1, 2.75]]]])
    np.testing.assert_array_equal(naive.adaptive_avg_pool2d(x, (1, 2)), [[[[3, 4]]]])


def test_normalisation_over_pixels_by_hand():
    x = np.zeros((1, 1, 3, 3))
    x[0, 0, 1, 1] = 2
    d = 1 + 0.9 / 9 * 4
    np.testing.assert_allclose(naive.spatial_response_norm(x, 3, 0.9, 0.5, 1)[0, 0, 1, 1], 2 / d**0.5)
    x[0, 0, 1, 2] = 3  # beside it, at the edge
    y = naive.spatial_response_norm(x, 3, 0.9, 0.5, 1)[0, 0, 1]
    np.testing.assert_allclose(y, [0, 2 / (1 + 0.1 * 13) ** 0.5, 3 / (1 + 0.1 * 13) ** 0.5])


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("local_response_norm", (3, 0.9, 0.6, 1.5, False, 2)), ("spatial_response_norm", (3, 0.9, 0.6, 1.5))],
)
def test_the_gradient_of_normalisation_is_the_slope(name, arguments):
    x, grad_y, direction = normal((1, 4, 3, 4)), normal((1, 4, 3, 4), seed=1), normal((1, 4, 3, 4), seed=2)
    forward, gradient = getattr(naive, name), getattr(naive, f"{name}_gradient")
    up, down = ((forward(x + sign * 1e-5 * direction, *arguments) * grad_y).sum() for sign in (1, -1))
    assert (up - down) / 2e-5 == pytest.approx((gradient(grad_y, x, *arguments) * direction).sum(), rel=1e-7)


def test_windows_of_a_convolution_that_hang_over_see_zeros():
    x, weight = normal((1, 2, 6, 7)), normal((3, 2, 3, 3))
    expected = F.conv2d(F.pad(tensor(x), (0, 2, 0, 0)), tensor(weight), stride=3)
    assert_close(naive.conv2d(x, weight, None, (3, 3), (0, 0), (1, 1), 1, ceil_mode=True), expected)
    assert naive.conv2d(x, weight, None, (3, 3), (0, 0), (1, 1), 1).shape == (1, 3, 2, 2)
