"""Winograd's convolution: its matrices in exact arithmetic, its numbers against torch, and how far they are rounded."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import npalexnet as na
from npalexnet import naive
from npalexnet.layers import winograd
from npalexnet.layers.im2col_gemm import Im2colGemm
from npalexnet.layers.winograd import OUTPUTS, POINTS, Winograd, matrices
from tests.support import PROPERTY, assert_close, forward_backward, get, normal, put, tensor

SIZES = [(m, r) for r, m in OUTPUTS.items()]  # F(m, r)


@pytest.fixture(autouse=True)
def forced():
    with na.convolution_algorithm("winograd"):
        yield


# --- the matrices -----------------------------------------------------------------------------------------------------


def exact(m, r):
    """A, G and B as fractions: polynomials are evaluated at the points, and the Vandermonde matrix is inverted."""
    points = [Fraction(p) for p in POINTS[m + r - 1]]

    def evaluated(k):
        return [[p**i for i in range(k)] for p in points] + [[Fraction(int(i == k - 1)) for i in range(k)]]

    inverse = inverted(evaluated(m + r - 1))  # from values at the points to coefficients: B's transpose
    return tuple(np.array(matrix, object) for matrix in (evaluated(m), evaluated(r), list(zip(*inverse, strict=True))))


def inverted(matrix):
    """By Gauss and Jordan."""
    n = len(matrix)
    rows = [list(row) + [Fraction(int(i == j)) for j in range(n)] for i, row in enumerate(matrix)]
    for i in range(n):
        pivot = next(j for j in range(i, n) if rows[j][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for j in range(n):
            if j != i:
                rows[j] = [value - rows[j][i] * other for value, other in zip(rows[j], rows[i], strict=True)]
    return [row[n:] for row in rows]


def test_f_2_3_is_the_worked_example():
    A, G, B = matrices(2, 3)
    np.testing.assert_array_equal(A, [[1, 0], [1, 1], [1, -1], [0, 1]])
    np.testing.assert_array_equal(G, [[1, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 1]])
    np.testing.assert_array_equal(B, [[1, 0, -1, 0], [0, 0.5, 0.5, 0], [0, -0.5, 0.5, 0], [0, -1, 0, 1]])
    d, g = np.array([2.0, -1, 4, 3]), np.array([5.0, 1, -2])
    np.testing.assert_array_equal(A.T @ ((G @ g) * (B @ d)), [2 * 5 - 1 - 2 * 4, -1 * 5 + 4 - 2 * 3])


@pytest.mark.parametrize(("m", "r"), [(2, 3), *SIZES])
def test_the_three_maps_are_a_correlation_without_any_rounding(m, r):
    A, G, B = exact(m, r)
    for i, j, p in product(range(m + r - 1), range(r), range(m)):  # d and g with a single 1: the rest is linearity
        assert sum(A[:, p] * G[:, j] * B[:, i]) == int(i == p + j)


@pytest.mark.parametrize(("m", "r"), [(2, 3), *SIZES])
def test_the_matrices_are_the_exact_ones_rounded(m, r):
    for found, wanted in zip(matrices(m, r), exact(m, r), strict=True):
        np.testing.assert_allclose(found, wanted.astype(float), rtol=4 * 2**-53, atol=2**-53, strict=True)


@pytest.mark.parametrize(("m", "r"), SIZES)
def test_what_float32_holds_of_the_points_is_exact(m, r):
    """Else every product would begin with a rounding error."""
    for matrix in exact(m, r)[:2]:
        np.testing.assert_array_equal(matrix.astype("float32").astype(float), matrix.astype(float))


# --- by tiles, with NumPy's sums: a second Winograd, and with the numbers' magnitudes the bound of its rounding -------


def by_tiles(x, weight, grad_y, padding, maps):
    """(N, C, H, W), (O, C, r, r), (N, O, oH, oW) -> output, gradients of input and weight, tile by tile."""
    A, G, B = maps
    (n, m), r = A.shape, G.shape[1]
    N, C, H, W = x.shape
    O, (oH, oW), (top, left) = len(weight), grad_y.shape[2:], padding
    tH, tW = -(-oH // m), -(-oW // m)
    padded = np.zeros((N, C, tH * m + r - 1, tW * m + r - 1))
    padded[:, :, top : top + H, left : left + W] = x
    patches = np.lib.stride_tricks.sliding_window_view(padded, (n, n), axis=(2, 3))[:, :, ::m, ::m]  # N C tH tW n n
    V = np.einsum("ai,bj,ncxyij->ncxyab", B, B, patches, optimize=True)
    U = np.einsum("ai,bj,ocij->ocab", G, G, weight, optimize=True)
    M = np.einsum("ncxyab,ocab->noxyab", V, U, optimize=True)
    y = np.einsum("ap,bq,noxyab->noxpyq", A, A, M, optimize=True).reshape(N, O, tH * m, tW * m)[:, :, :oH, :oW]

    whole = np.zeros((N, O, tH * m, tW * m))
    whole[:, :, :oH, :oW] = grad_y
    dM = np.einsum("ap,bq,noxpyq->noxyab", A, A, whole.reshape(N, O, tH, m, tW, m), optimize=True)
    dV = np.einsum("noxyab,ocab->ncxyab", dM, U, optimize=True)
    parts, grad_x = np.einsum("ai,bj,ncxyab->ncxyij", B, B, dV, optimize=True), np.zeros(padded.shape)
    for tile_row, tile_column in product(range(tH), range(tW)):
        row, column = tile_row * m, tile_column * m
        grad_x[:, :, row : row + n, column : column + n] += parts[:, :, tile_row, tile_column]
    dU = np.einsum("ncxyab,noxyab->ocab", V, dM, optimize=True)
    return y, grad_x[:, :, top : top + H, left : left + W], np.einsum("ai,bj,ocab->ocij", G, G, dU, optimize=True)


def in_groups(groups, x, weight, grad_y, padding, maps):
    """`by_tiles` of each group."""
    parts = zip(np.split(x, groups, 1), np.split(weight, groups), np.split(grad_y, groups, 1), strict=True)
    y, grad_x, grad_weight = zip(*(by_tiles(*part, padding, maps) for part in parts), strict=True)
    return np.concatenate(y, 1), np.concatenate(grad_x, 1), np.concatenate(grad_weight)


def torchs(x, weight, bias, grad_y, sides, groups):
    """Output and gradients of input, weight and bias in float64."""
    x, weight, bias = (None if array is None else tensor(array).double() for array in (x, weight, bias))
    inputs = [array.requires_grad_() for array in (x, weight, bias) if array is not None]
    (top, bottom), (left, right) = sides
    y = torch.nn.functional.conv2d(torch.nn.functional.pad(x, (left, right, top, bottom)), weight, bias, groups=groups)
    y.backward(tensor(grad_y).double())
    return y.detach().numpy(), *(array.grad.numpy() for array in inputs)


# |error| <= factor * u * (the same sums with all numbers' magnitudes). In the worst case the factor is the number of
# roundings on a number's way: those of B, G and A, and one for each summand, more than 30. But errors go up and down.
# Measured: 3.1 where a number may have a single summand, 0.9 for a whole tile of one channel, 0.4 for 64 channels.
FACTOR_OF_FEW, FACTOR = 4, {1: 1.25, 64: 0.6}


def assert_within_bounds(found, expected, magnitude, factor):
    """Hold each number against its bound."""
    found = get(found)
    assert found.shape == expected.shape
    bound = np.finfo(found.dtype).eps / 2 * np.maximum(magnitude, 1e-300)
    worst = (np.abs(found - expected) / bound).max(initial=0)
    assert worst <= factor, f"an error of {worst:.2f} times u times the magnitudes, expected {factor} at the most"


def check(layer, x, device, factor=FACTOR_OF_FEW):
    """Hold output and all gradients against torch in float64, each number with its own bound."""
    weight, bias = get(layer.weight.data), None if layer.bias is None else get(layer.bias.data)
    grad_y, sides = normal(layer.output_shape(x.shape), x.dtype, seed=7), layer.geometry.padding
    expected = torchs(x, weight, bias, grad_y, sides, layer.groups)
    magnitudes = in_groups(
        layer.groups,
        *(np.abs(array.astype(float)) for array in (x, weight, grad_y)),
        (sides[0][0], sides[1][0]),
        [np.abs(matrix.astype(float)) for matrix in exact(OUTPUTS[len(weight[0, 0])], len(weight[0, 0]))],
    )
    y, grad_x, gradients = forward_backward(layer, x, grad_y, device)
    magnitude_y = magnitudes[0] if bias is None else magnitudes[0] + np.abs(bias.astype(float))[:, None, None]
    assert_within_bounds(y, expected[0], magnitude_y, factor)
    assert_within_bounds(grad_x, expected[1], magnitudes[1], factor)
    assert_within_bounds(gradients["weight"], expected[2], magnitudes[2], factor)
    if bias is not None:
        assert_close(gradients["bias"], expected[3].astype(x.dtype))
    relu, _ = layer.compute(put(x, device), relu=True)
    assert_within_bounds(relu, np.maximum(expected[0], 0), magnitude_y, factor)


@pytest.mark.parametrize(("m", "r"), SIZES)
@pytest.mark.parametrize("channels", FACTOR)
def test_each_number_is_rounded_no_more_than_its_sums_allow(m, r, channels, dtype, device):
    layer = na.Conv2d(channels, 32, r, padding=r // 2, dtype=dtype, device=device, seed=0)
    check(layer, np.maximum(normal((5, channels, 13, 14), dtype), 0), device, FACTOR[channels])


@pytest.mark.parametrize(("m", "r"), SIZES)
def test_tile_by_tile_it_is_the_same_convolution(m, r):
    """So what the bounds are made of is Winograd's convolution itself."""
    x, weight, grad_y = normal((2, 4, 9, 7)), normal((6, 2, r, r), seed=1), normal((2, 6, 12 - r, 10 - r), seed=2)
    sides = ((1, 1), (1, 1))
    expected = torchs(x, weight, None, grad_y, sides, 2)
    maps = [matrix.astype(float) for matrix in exact(m, r)]
    for found, wanted in zip(in_groups(2, x, weight, grad_y, (1, 1), maps), expected, strict=True):
        assert_close(found, wanted)


@pytest.mark.parametrize("r", OUTPUTS)
@pytest.mark.parametrize("padding", [0, 2, "same"])
def test_output_and_gradients_are_those_of_the_formula_and_of_im2col(r, padding, device):
    layer = na.Conv2d(2, 4, r, padding=padding, groups=2, dtype="float64", device=device, seed=0)
    x = normal((2, 2, 7, 6))
    arguments = (1, 1), layer.geometry.padding, (1, 1), 2
    expected_y = naive.conv2d(x, get(layer.weight.data), get(layer.bias.data), *arguments)
    grad_y = normal(expected_y.shape, seed=3)
    expected = expected_y, *naive.conv2d_gradients(grad_y, x, get(layer.weight.data), *arguments)
    for algorithm in (Winograd(), Im2colGemm()):
        layer.algorithm = algorithm
        y, grad_x, gradients = forward_backward(layer, x, grad_y, device)
        for found, wanted in zip((y, grad_x, gradients["weight"], gradients["bias"]), expected, strict=True):
            assert_close(found, wanted)


@PROPERTY
@given(data=st.data())
def test_any_convolution_is_torchs(device, data):
    dtype = data.draw(st.sampled_from(["float32", "float64"]), "dtype")
    r = data.draw(st.integers(2, 5), "kernel")
    padding = data.draw(st.one_of(st.tuples(st.integers(0, r), st.integers(0, r)), st.just("same")), "padding")
    H, W = data.draw(st.tuples(st.integers(1, 30), st.integers(1, 30)), "size")
    around = (r - 1, r - 1) if padding == "same" else (2 * padding[0], 2 * padding[1])
    assume(H + around[0] >= r and W + around[1] >= r)
    groups = data.draw(st.sampled_from([1, 1, 2, 4]), "groups")
    C, O = groups * data.draw(st.integers(1, 3), "C/G"), groups * data.draw(st.integers(1, 3), "O/G")
    N = data.draw(st.sampled_from([0, 1, 2, 3, 3, 17, 33] if H * W < 200 and device != "cuda" else [0, 1, 2, 3]), "N")
    bias = data.draw(st.booleans(), "bias")
    layer = na.Conv2d(C, O, r, 1, padding, 1, groups, bias, dtype=dtype, device=device, seed=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd, "BLOCK_TILES", data.draw(st.sampled_from([1, 9, 40, 10**6]), "tiles in a block"))
        check(layer, normal((N, C, H, W), dtype), device)


@pytest.mark.parametrize("tiles", [1, 30, 10**6])
def test_no_image_is_lost_however_the_batch_is_cut(tiles, monkeypatch, device):
    monkeypatch.setattr(winograd, "BLOCK_TILES", tiles)
    for count in (0, 1, 2, 3, 17, 33):
        layer = na.Conv2d(2, 3, 3, padding=1, dtype="float64", device=device, seed=0)
        check(layer, normal((count, 2, 11, 6)), device)


# --- what is asked for is what is computed ----------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 33])
def test_without_one_of_the_gradients_the_other_has_the_same_bits(count, dtype, device):
    layer = na.Conv2d(4, 6, 3, padding=1, groups=2, dtype=dtype, device=device, seed=0)
    x, grad_y = normal((count, 4, 9, 10), dtype), normal((count, 6, 9, 10), dtype, seed=1)
    _, grad_x, gradients = forward_backward(layer, x, grad_y, device)
    layer.zero_grad()
    layer(put(x, device))
    assert layer.backward(put(grad_y, device), input_gradient=False) is None
    for name, parameter in layer.named_parameters():
        np.testing.assert_array_equal(get(parameter.grad), gradients[name])
    layer.zero_grad()
    layer.freeze("weight")
    layer(put(x, device))
    np.testing.assert_array_equal(get(layer.backward(put(grad_y, device))), grad_x)
    assert layer.weight.grad is None
    np.testing.assert_array_equal(get(layer.bias.grad), gradients["bias"])


def test_the_callers_arrays_are_not_written_to(device):
    layer = na.Conv2d(3, 2, 3, padding=1, dtype="float64", device=device, seed=0)
    before = get(layer.weight.data).copy()
    x, grad_y = put(normal((2, 3, 5, 5)), device), put(normal((2, 2, 5, 5), seed=1), device)
    layer(x)
    layer.backward(grad_y)
    np.testing.assert_array_equal(get(x), normal((2, 3, 5, 5)))
    np.testing.assert_array_equal(get(grad_y), normal((2, 2, 5, 5), seed=1))
    np.testing.assert_array_equal(get(layer.weight.data), before)


@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("bad", [0, 2, 5])
def test_what_is_not_finite_stays_in_its_image(value, bad, dtype, device):
    """There it makes the whole image NaN, infinity too, which im2col would keep: 0 times it is added everywhere."""
    layer = na.Conv2d(2, 3, 3, padding=1, dtype=dtype, device=device, seed=0)
    x, grad_y = normal((6, 2, 12, 11), dtype), normal((6, 3, 12, 11), dtype, seed=1)
    expected_y, expected_grad_x, expected = forward_backward(layer, x, grad_y, device)
    x[bad, 1, 4, 7] = grad_y[bad, 0, 9, 2] = value
    y, grad_x, gradients = forward_backward(layer, x, grad_y, device)
    others = [n for n in range(6) if n != bad]
    np.testing.assert_array_equal(y[others], expected_y[others])
    np.testing.assert_array_equal(grad_x[others], expected_grad_x[others])
    assert np.isnan(y[bad, :, 3:6, 6:9]).all()  # the windows that hold it
    assert np.isnan(grad_x[bad, :, 8:11, 1:4]).all()
    assert not np.isfinite(gradients["weight"][0]).any()  # (3, 2, 3, 3)
    assert not np.isfinite(gradients["weight"][:, 1]).any()
    np.testing.assert_array_equal(gradients["weight"][1:, 0], expected["weight"][1:, 0])


# --- the transformed weights ------------------------------------------------------------------------------------------


@pytest.fixture
def transformed(monkeypatch):
    """Each array of transformed weights that was computed, in order, and how often one was asked for."""
    found, original = [], Winograd._transformed

    def recorded(self, weight):
        U = original(self, weight)
        recorded.calls += 1
        if not any(U is other for other in found):
            found.append(U)
        return U

    recorded.calls = 0
    monkeypatch.setattr(Winograd, "_transformed", recorded)
    return found, recorded


@pytest.mark.parametrize("container", [lambda layer: layer, na.Sequential])
def test_weights_are_transformed_once_a_pass(container, transformed):
    found, recorded = transformed
    model = container(na.Conv2d(2, 3, 3, seed=0))
    x = normal((33, 2, 6, 6), "float32")
    for passes in (1, 2, 3):
        y = model(x)
        assert len(found) == passes
        model.backward(y)
        assert len(found) == passes
    model.eval()(x)
    assert len(found) == 4
    assert recorded.calls > 7 * len(na.backend.CPU.shards(33)) - 1  # by each shard, forward and backward


def test_two_layers_with_one_algorithm_have_weights_of_their_own(transformed):
    model = na.Sequential(na.Conv2d(2, 2, 3, padding=1, seed=0), na.Conv2d(2, 2, 3, padding=1, seed=1))
    shared = Winograd()
    for layer in model:
        layer.algorithm = shared
    x = normal((9, 2, 6, 6), "float32")
    y = model(x)
    assert len(transformed[0]) == 2
    with na.convolution_algorithm("im2col"):
        for layer in model:
            layer.algorithm = None
        assert_close(y, model(x))


def test_weights_are_those_of_the_moment(device):
    layer = na.Conv2d(2, 3, 3, dtype="float64", device=device, seed=0)
    optimizer, x = na.SGD(layer.parameters(), lr=0.1), normal((5, 2, 7, 8))

    def step():
        layer.backward(put(normal((5, 3, 5, 6), seed=2), device))
        optimizer.step()

    def write():
        layer.weight.data[...] = layer.weight.data * 2 + 1

    def load():
        layer.load_state_dict(na.Conv2d(2, 3, 3, dtype="float64", seed=9).state_dict())

    for change in (lambda: None, step, write, load, step):
        change()
        for _ in range(2):
            y = layer.eval()(put(x, device)) if change is write else layer.train()(put(x, device))
            expected = naive.conv2d(x, get(layer.weight.data), get(layer.bias.data), (1, 1), (0, 0), (1, 1), 1)
            assert_close(y, expected)


def test_backward_goes_with_the_weights_that_forward_went_with(device):
    layer = na.Conv2d(2, 3, 3, dtype="float64", device=device, seed=0)
    x, grad_y = put(normal((5, 2, 7, 8)), device), put(normal((5, 3, 5, 6), seed=1), device)
    layer(x)
    expected = get(layer.backward(grad_y))
    layer(x)
    layer.weight.data[...] = 0
    np.testing.assert_array_equal(get(layer.backward(grad_y)), expected)


# --- what it leaves to im2col -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "supported"),
    [
        *(({"kernel_size": r}, True) for r in (2, 3, 4, 5)),
        ({"kernel_size": 3, "padding": "same", "groups": 2}, True),
        *(({"kernel_size": r}, False) for r in (1, 6, (3, 5), (2, 3))),
        ({"kernel_size": 3, "stride": 2}, False),
        ({"kernel_size": 3, "stride": (1, 2)}, False),
        ({"kernel_size": 3, "dilation": 2}, False),
        ({"kernel_size": 3, "dilation": (2, 1)}, False),
    ],
    ids=str,
)
def test_it_says_what_it_computes(arguments, supported):
    windows = na.Conv2d(2, 2, **arguments).geometry.windows("", (1, 2, 9, 9))
    for name in ("float32", "float64"):
        assert Winograd().supports(windows, np.dtype(name)) == supported
    assert not Winograd().supports(windows, np.dtype("float16"))
    assert not Winograd().supports(windows, na.backend.input_dtype("bfloat16"))
