"""Log-probabilities beside torch's, and what is counted of them."""

import numpy as np
import pytest
import torch

import npalexnet as na
from npalexnet import backend
from npalexnet.data import CenterCrop, DataLoader, Normalize, Pipeline, ResizeCenterCrop, ten_cropped
from npalexnet.training import evaluate
from npalexnet.training.evaluation import log_probabilities
from tests.support import normal
from tests.training.small import loader as small_loader
from tests.training.small import sample, small_network, trainer_of


def logits_network():
    """Each image's logits are its first row of red."""
    network = na.Sequential(na.Flatten(), na.Linear(12, 2, seed=0)).eval()
    weight = np.zeros((2, 12), np.float32)
    weight[0, 0] = weight[1, 1] = 1
    network.load_state_dict({"1.weight": weight, "1.bias": np.zeros(2, np.float32)})
    return network


def images_of(logits):
    images = np.zeros((*np.shape(logits)[:-1], 3, 2, 2), np.float32)
    images[..., 0, 0, :] = logits
    return images


def test_log_probabilities_are_torchs_in_float64(device):
    logits = 100 * normal((7, 2), "float32")
    images = backend.get_device(device).from_host(images_of(logits))
    found = log_probabilities(logits_network().to(device), images)
    assert found.dtype == np.float64
    expected = torch.log_softmax(torch.from_numpy(logits).double(), 1)
    np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-14)


def test_of_ten_crops_the_probabilities_are_averaged_not_their_logarithms(device):
    logits = 3 * normal((4, 10, 2), "float32")
    images = backend.get_device(device).from_host(images_of(logits))
    found = log_probabilities(logits_network().to(device), images)
    expected = torch.softmax(torch.from_numpy(logits).double(), 2).mean(1)
    np.testing.assert_allclose(np.exp(found), expected, rtol=1e-13)


def test_probabilities_too_small_for_a_float_have_logarithms_all_the_same():
    found = log_probabilities(logits_network(), images_of([[[0, 2000]] * 10, [[3000, 0]] * 9 + [[1000, 0]]]))
    np.testing.assert_allclose(found, [[-2000, 0], [0, -1000 - np.log(10)]], atol=1e-12)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_have_no_log_probabilities(wrong):
    network = logits_network()
    network.load_state_dict({**network.state_dict(), "1.bias": np.array([wrong, 0], np.float32)})
    for shape in ((3, 2), (3, 10, 2)):
        assert not np.isfinite(log_probabilities(network, images_of(np.zeros(shape)))).all(axis=1).any()


def test_a_loader_of_ten_crops_is_counted_by_picture_and_each_batch_is_handed_on():
    model, dataset = small_network().train(), sample("test", 5)
    pipeline = ten_cropped(Pipeline([ResizeCenterCrop(240), CenterCrop(227), Normalize((0.3,) * 3, (0.35,) * 3)]))
    loader, seen = DataLoader(dataset, pipeline, 3, shuffle=False), []
    metrics = evaluate(model, loader, watch=seen.append)
    assert [found.shape for found in seen] == [(3, 10), (2, 10)]
    assert model.training
    images = np.concatenate([images for images, _ in loader.epoch(0)]).reshape(50, 3, 227, 227)
    logits = torch.from_numpy(model.eval()(images)).double()
    probabilities = torch.softmax(logits, 1).reshape(5, 10, 10).mean(1)
    targets = torch.from_numpy(dataset.labels)
    assert metrics.loss == pytest.approx(torch.nn.functional.nll_loss(probabilities.log(), targets).item(), rel=1e-5)
    assert metrics.images == 5
    assert metrics.confusion[dataset.labels, probabilities.argmax(1)].all()
    np.testing.assert_allclose(np.exp(np.concatenate(seen)), probabilities, rtol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_network_gets_images_of_the_dtype_that_it_is_to_compute_in(monkeypatch, dtype):
    model, seen = small_network(), []
    forward = model.forward
    monkeypatch.setattr(model, "forward", lambda x: seen.append(x.dtype.name) or forward(x))
    evaluate(model, small_loader("test", 4, shuffle=False), dtype=dtype)
    trainer_of(model, 16, dtype=dtype, validation=4, steps=1).fit()
    assert seen == [dtype] * 3  # the last ones of a step and of its validation
