"""Dropout: what is dropped, how often, what remains, and that everything follows from the seed."""

import numpy as np
import pytest

from npalexnet import Dropout, ReLU, Sequential
from tests.support import assert_close, distinct, forward_backward, get, put


def kept(layer, shape, device="cpu"):
    """Which numbers of a batch of ones come through the next training pass."""
    return get(layer(put(np.ones(shape), device))) != 0


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_what_stays_is_scaled_by_the_chance_of_staying(p, dtype, device):
    x, grad_y = distinct((9, 40), dtype), distinct((9, 40), dtype, seed=1)
    y, grad_x, _ = forward_backward(Dropout(p, seed=1), x, grad_y, device)
    assert 0 < np.count_nonzero(y) < y.size
    assert_close(y, np.where(y != 0, x / np.array(1 - p, dtype), 0).astype(dtype))
    assert_close(grad_x, np.where(y != 0, grad_y / np.array(1 - p, dtype), 0).astype(dtype))


@pytest.mark.parametrize("p", [0.1, 0.5, 0.75])
def test_numbers_are_dropped_as_often_as_asked(p):
    mask = kept(Dropout(p, seed=2), (200, 500))
    deviation = np.sqrt(p * (1 - p))
    assert abs(mask.mean() - (1 - p)) < 5 * deviation / np.sqrt(mask.size)
    assert np.abs(mask.mean(axis=0) - (1 - p)).max() < 5 * deviation / np.sqrt(200)
    assert np.abs(mask.mean(axis=1) - (1 - p)).max() < 5 * deviation / np.sqrt(500)


def test_numbers_are_dropped_without_regard_to_their_neighbours():
    mask = kept(Dropout(0.5, seed=3), (200, 500)) - 0.5
    for a, b in (
        (mask[:, 1:], mask[:, :-1]),
        (mask[1:], mask[:-1]),
        (mask[8:], mask[:-8]),
        (mask[:, 8:], mask[:, :-8]),
    ):
        assert abs((a * b).mean()) < 5 * 0.25 / np.sqrt(a.size)


@pytest.mark.parametrize("shape", [(0, 3), (7,), (1, 3), (8, 5), (9, 5), (33, 5), (33, 3, 2, 2)], ids=str)
def test_number_e_stays_if_word_e_of_philox_is_large_enough(shape, device):
    layer, twin = Dropout(0.3, seed=4), Dropout(0.3, seed=4)
    for _ in range(2):
        words = np.random.Philox(key=twin.draw_noise().seed).random_raw(int(np.prod(shape)))
        words = np.stack([words & 0xFFFFFFFF, words >> np.uint64(32)], axis=1).ravel()[: int(np.prod(shape))]
        np.testing.assert_array_equal(kept(layer, shape, device), words.reshape(shape) >= 0.3 * 2**32)


@pytest.mark.parametrize("N", [2, 9, 33])
def test_masks_do_not_depend_on_how_the_batch_is_cut(N):
    x = np.ones((N, 5))
    layer = Dropout(0.5, seed=5)
    whole, _ = layer.compute(x, Dropout(0.5, seed=5).draw_noise())
    np.testing.assert_array_equal(layer(x), whole)
    np.testing.assert_array_equal(Sequential(ReLU(), Dropout(0.5, seed=5), ReLU())(x), whole)


def test_each_image_and_each_pass_has_its_own_mask():
    layer = Dropout(0.5, seed=6)
    masks = [*kept(layer, (9, 40)), *kept(layer, (9, 40))]
    assert len({mask.tobytes() for mask in masks}) == 18


def test_the_seed_gives_the_masks_and_layers_of_one_generator_differ():
    np.testing.assert_array_equal(kept(Dropout(seed=7), (3, 40)), kept(Dropout(seed=7), (3, 40)))
    assert (kept(Dropout(seed=7), (3, 40)) != kept(Dropout(seed=8), (3, 40))).any()
    assert (kept(Dropout(), (3, 40)) != kept(Dropout(), (3, 40))).any()
    generator = np.random.default_rng(7)
    assert (kept(Dropout(seed=generator), (3, 40)) != kept(Dropout(seed=generator), (3, 40))).any()


def test_a_layer_does_not_draw_from_a_shared_generator_when_it_is_called():
    generator = np.random.default_rng(7)
    layer = Dropout(seed=generator)
    before = generator.bit_generator.state
    layer(np.ones((2, 3)))
    assert generator.bit_generator.state == before


def test_no_global_random_state_is_used():
    np.random.seed(0)  # noqa: NPY002
    first = kept(Dropout(seed=1), (3, 40))
    np.random.seed(0)  # noqa: NPY002
    np.random.random(10)  # noqa: NPY002
    np.testing.assert_array_equal(kept(Dropout(seed=1), (3, 40)), first)


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
def test_eval_mode_is_the_identity_and_draws_nothing(p, dtype, device):
    layer, twin = Dropout(p, seed=9), Dropout(p, seed=9)
    x, grad_y = distinct((9, 5), dtype), distinct((9, 5), dtype, seed=1)
    y, grad_x, _ = forward_backward(layer.eval(), x, grad_y, device)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(grad_x, grad_y)
    np.testing.assert_array_equal(kept(layer.train(), (3, 40)), kept(twin, (3, 40)))


@pytest.mark.parametrize("p", [0, 1])
def test_the_ends_of_the_range_keep_all_or_nothing(p, dtype, device):
    x, grad_y = distinct((9, 5), dtype), distinct((9, 5), dtype, seed=1)
    y, grad_x, _ = forward_backward(Dropout(p), x, grad_y, device)
    np.testing.assert_array_equal(y, x * (1 - p))
    np.testing.assert_array_equal(grad_x, grad_y * (1 - p))


@pytest.mark.parametrize(
    ("p", "error", "message"),
    [
        (-0.1, ValueError, r"p must be from 0 to 1, got -0\.1"),
        (1.1, ValueError, r"p must be from 0 to 1, got 1\.1"),
        (np.nan, ValueError, "p must be from 0 to 1, got nan"),
        ("0.5", TypeError, r"p must be a number, got '0\.5'"),
        (None, TypeError, "p must be a number, got None"),
        (True, TypeError, "p must be a number, got True"),
    ],
)
def test_bad_arguments_are_refused_by_name(p, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        Dropout(p)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.float32(3), ValueError, r"Dropout expects a batch, got an input of shape \(\)"),
        (
            np.ones((2, 3), int),
            TypeError,
            "Dropout's input is of dtype int64, expected float32, float64, float16 or bfloat16",
        ),
    ],
)
def test_bad_inputs_are_refused_with_what_is_expected(x, error, message):
    with pytest.raises(error, match=message):
        Dropout()(x)


def test_repr_says_what_it_was_made_of():
    assert repr(Dropout(0.25)) == "Dropout(p=0.25)"
