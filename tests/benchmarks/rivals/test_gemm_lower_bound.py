"""The GEMM lower bound: the operations of AlexNet's matrix products at the highest rate that was measured."""

import numpy as np
import pytest

import npalexnet as na
from benchmarks.cpu import network
from benchmarks.rivals import gemm_lower_bound
from benchmarks.rivals.gemm_lower_bound import DIRECT, WINOGRAD, GemmLowerBound, Product, products

# Windows x kernels x numbers of a window, from the paper's figure 2 in one column; then inputs x outputs.
CONVOLUTIONS = [
    55 * 55 * 96 * (11 * 11 * 3),
    27 * 27 * 256 * (5 * 5 * 96),
    13 * 13 * 384 * (3 * 3 * 256),
    13 * 13 * 384 * (3 * 3 * 384),
    13 * 13 * 256 * (3 * 3 * 384),
]
LINEAR = [9216 * 4096, 4096 * 4096, 4096 * 3]


@pytest.fixture(scope="module")
def model():
    return na.AlexNet(num_classes=3, init="torch")


def test_operations_of_the_forward_pass_and_of_the_step(model):
    forward = sum(CONVOLUTIONS) + sum(LINEAR)
    assert forward + 4096 * 997 == 1_135_256_096  # with the 1000 classes
    assert gemm_lower_bound.forward_flops(model, 1) == 2 * forward
    assert gemm_lower_bound.forward_flops(model, 5) == 2 * 5 * forward
    # Weights' and inputs' gradients take as much again each, but nobody asks for the gradient of the images.
    assert gemm_lower_bound.step_flops(model, 5) == 2 * 5 * (3 * forward - CONVOLUTIONS[0])


def test_operations_that_remain_with_winograd(model):
    # Tiles x points x channels x kernels: 7 x 7 tiles of 4 x 4 with 8 x 8 points, 3 x 3 tiles of 5 x 5 with 7 x 7.
    points = [49 * 64 * 96 * 256, 9 * 49 * 256 * 384, 9 * 49 * 384 * 384, 9 * 49 * 384 * 256]
    forward = CONVOLUTIONS[0] + sum(points) + sum(LINEAR)
    with na.convolution_algorithm("winograd"):
        assert gemm_lower_bound.winograd_flops(model, 5, "forward") == 2 * 5 * forward
        assert gemm_lower_bound.winograd_flops(model, 5, "step") == 2 * 5 * (3 * forward - CONVOLUTIONS[0])
    with na.convolution_algorithm("im2col"):
        assert gemm_lower_bound.winograd_flops(model, 5, "step") == gemm_lower_bound.step_flops(model, 5)


def test_the_products_are_those_of_im2col_forward_and_backward(model, monkeypatch):
    monkeypatch.setattr(gemm_lower_bound, "IMAGES", (1, 4))
    found = {product.name: product for product in products(model)}
    assert len(found) == 5 * 3 * 2
    for name, shapes, flops in (
        ("conv1 forward, 1 image", [(3025, 363), (363, 96), (3025, 96)], CONVOLUTIONS[0]),
        ("conv2 forward, 4 images", [(2916, 2400), (2400, 256), (2916, 256)], 4 * CONVOLUTIONS[1]),
        ("conv3 weight gradient, 1 image", [(384, 169), (169, 2304), (384, 2304)], CONVOLUTIONS[2]),
        ("conv5 input gradient, 4 images", [(676, 256), (256, 3456), (676, 3456)], 4 * CONVOLUTIONS[4]),
    ):
        product = found[name]
        assert [array.shape for array in product.operands()] == shapes
        assert all(array.dtype == np.float32 for array in product.operands())
        assert product.flops == 2 * flops


def test_the_lower_bound_is_the_work_at_the_highest_rate_of_the_round(monkeypatch):
    rates = {"a": [10.0, 1.0], "b": [40.0, 30.0], "c": [30.0, 50.0], "d": [20.0, 20.0]}  # at first, and in the round

    class Candidate:
        def __init__(self, product, threads):
            self.product, self.threads, self.rate = product, threads, rates[product.name][0]

        def measure(self):
            self.rate = rates[self.product.name][1]
            return self.rate

    monkeypatch.setattr(gemm_lower_bound, "_Candidate", Candidate)
    lowest = GemmLowerBound(2, (Product(name, (1, 1), (1, 1), "", 2) for name in rates))
    assert [candidate.product.name for candidate in lowest._candidates] == ["b", "c", "d"]
    assert lowest.seconds(flops=100) == 100 / 50
    assert lowest.label == "direct floor: sgemm alone (c)"


def test_a_rate_counts_the_operations_of_all_threads():
    product = Product("small", (64, 32), (32, 16), "", 2 * 64 * 32 * 16)
    lowest = GemmLowerBound(2, [product])
    (candidate,) = lowest._candidates
    (a, b, first), (_, _, second) = candidate.operands
    assert lowest.rate() > 1e6
    assert first is not second
    for out in (first, second):
        np.testing.assert_allclose(out, a @ b, rtol=1e-5)


def test_rates_and_ratios_follow_from_the_medians_of_the_same_batch():
    medians = {
        (2, "npalexnet"): 4.0,
        (2, "torch"): 2.0,
        (2, DIRECT): 1.0,
        (2, WINOGRAD): 0.5,
        (8, "npalexnet"): 8.0,
        (8, DIRECT): 4.0,
        (8, WINOGRAD): 2.0,
    }
    rows = [{"batch": b, "rival": r, "flops": 6_000_000_000 * b, "median": m} for (b, r), m in medians.items()]
    found = {(row["batch"], row["rival"]): row for row in network.with_ratios(rows)}
    assert found[2, "torch"]["images_per_second"] == 1.0
    assert found[2, "torch"]["time_over_direct_floor"] == 2.0
    assert found[2, "torch"]["time_over_winograd_floor"] == 4.0
    assert found[2, "torch"]["time_over_npalexnet"] == 0.5
    assert found[8, "npalexnet"]["time_over_direct_floor"] == 2.0
    assert found[8, "npalexnet"]["time_over_winograd_floor"] == 4.0
