"""What is said of npalexnet's convolutions is what they do, and their multiply-adds are counted by hand."""

from collections import Counter

import numpy as np
import pytest

import npalexnet as na
from benchmarks import convolutions
from benchmarks.convolutions import images_by_winograd, saved_multiply_adds, used_lines, winograd_multiply_adds
from benchmarks.rivals.npalexnet_rival import NpalexnetRival
from benchmarks.workload import random_batch
from npalexnet.layers.winograd import Winograd
from tests.networks import narrow

NAMES = ["conv1", "conv2", "conv3", "conv4", "conv5"]


@pytest.fixture
def model(monkeypatch):
    narrow(monkeypatch)
    return na.AlexNet(num_classes=3, seed=0)


@pytest.fixture
def seen(monkeypatch):
    """How many images Winograd's algorithm was given, by kernel size and channels."""
    counts = Counter()

    def output(self, x, weight, *given, real=Winograd.output, **more):
        counts[weight.shape] += len(x)
        return real(self, x, weight, *given, **more)

    monkeypatch.setattr(Winograd, "output", output)
    return counts


@pytest.mark.parametrize("images", [1, 5, 13])
def test_what_is_said_is_what_is_computed(model, seen, images):
    said = images_by_winograd(model, images)
    assert list(said) == NAMES
    model.eval()(random_batch(images, 3)[0])
    shapes = {
        name: layer.weight.data.transpose(2, 3, 1, 0).shape for name, layer, _ in convolutions.convolutions(model, 1)
    }
    assert {name: seen[shape] for name, shape in shapes.items()} == said


def test_the_setting_is_the_one_of_this_moment(model):
    with na.convolution_algorithm("im2col"):
        assert images_by_winograd(model, 32) == dict.fromkeys(NAMES, 0)
    with na.convolution_algorithm("winograd"):
        assert images_by_winograd(model, 5) == {**dict.fromkeys(NAMES, 5), "conv1": 0}  # its stride is 4


def test_a_rival_held_to_im2col_never_uses_winograd_and_leaves_the_setting_alone(monkeypatch, seen):
    narrow(monkeypatch)
    state = na.AlexNet(num_classes=3, seed=0).state_dict()
    ours = NpalexnetRival(1, 3, 0.5, "cpu", state)
    held = NpalexnetRival(1, 3, 0.5, "cpu", state, "im2col")
    assert (ours.name, held.name) == ("npalexnet", "npalexnet, im2col")
    x, grad_y = np.ones((8, 256, 13, 13), "float32"), np.ones((8, 384, 13, 13), "float32")
    with na.convolution_algorithm("winograd"):
        for rival, uses in ((held, False), (ours, True)):
            rival.take(*random_batch(2, 3))
            for run in (rival.runner("forward"), rival.runner("step"), rival.layer(6, x, grad_y, True).forward):
                seen.clear()
                run()
                assert bool(seen) == uses
                assert na.get_convolution_algorithm() == "winograd"
    assert held.times_alone("conv")
    assert not held.times_alone("pool")
    assert ours.times_alone("pool")


def test_multiply_adds_at_the_points_are_those_of_whole_tiles():
    layer = na.Conv2d(4, 6, 3, padding=1, groups=2, seed=0)  # 3 kernels for 2 channels, in 2 groups
    # 13 outputs are 3 tiles of 5, 11 are 3 of 5, each with 7 points.
    assert winograd_multiply_adds(layer, (2, 4, 13, 11)) == 2 * (3 * 3) * (7 * 7) * (2 * 3) * 2
    layer = na.Conv2d(96, 256, 5, padding=2, seed=0)  # 27 outputs are 7 tiles of 4, with 8 points
    assert winograd_multiply_adds(layer, (1, 96, 27, 27)) == 7 * 7 * 8 * 8 * 96 * 256


def test_what_winograd_saves_is_the_definition_s_less_its_own(model):
    with na.convolution_algorithm("winograd"):
        saved = saved_multiply_adds(model, 2)
    assert saved["conv1"] == 0
    assert saved["conv2"] == 2 * 96 * 256 * (27 * 27 * 25 - 7 * 7 * 64)
    assert saved["conv4"] == 2 * 384 * 384 * (13 * 13 * 9 - 9 * 49)
    with na.convolution_algorithm("im2col"):
        assert set(saved_multiply_adds(model, 2).values()) == {0}


def test_a_line_says_which_layers_at_which_batch_size():
    found = {"1": {"conv1": 0, "conv2": 0}, "8": {"conv1": 0, "conv2": 8}, "9": {"conv1": 0, "conv2": 6}}
    assert used_lines(found) == [
        "npalexnet's convolutions, batch of 1: im2col in all of them",
        "npalexnet's convolutions, batch of 8: Winograd's in conv2, im2col in the others",
        "npalexnet's convolutions, batch of 9: Winograd's in conv2 (6 of 9 images), im2col in the others",
    ]
