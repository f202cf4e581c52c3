"""Other frameworks: the same network from the same weights, or they are left out and it is said why."""

from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from threadpoolctl import threadpool_info

from benchmarks.cpu import peers
from benchmarks.rivals import peer
from benchmarks.rivals.npalexnet_rival import NpalexnetRival
from benchmarks.workload import SGD, random_batch


class TorchPeer(peer.Peer):
    """A framework that is installed wherever the tests run."""

    name = "Torch"
    wrong = 0.0
    ran_with = ()

    def __init__(self, *given):
        super().__init__(*given)
        self.optimizer = torch.optim.SGD(self.parameters, **SGD)

    def infer(self):
        self.ran_with = {lib["num_threads"] for lib in threadpool_info() if lib["internal_api"] == "openblas"}
        with torch.no_grad():
            return self.compute(torch.from_numpy(self.images)) + self.wrong

    def backward(self):
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.compute(torch.from_numpy(self.images)), torch.from_numpy(self.labels))
        loss.backward()
        return loss

    def update(self):
        self.optimizer.step()

    def numbers(self, array):
        return array.detach().numpy()

    def parameter(self, value):
        return torch.from_numpy(value).requires_grad_()

    def gradient(self, parameter):
        return parameter.grad.numpy()

    def conv(self, x, weight, bias, stride, padding):
        return F.conv2d(x, weight, bias, stride, padding)

    def max_pool(self, x, size, stride):
        return F.max_pool2d(x, size, stride)

    def relu(self, x):
        return F.relu(x)

    def linear(self, x, weight, bias):
        return x @ weight + bias

    def dropout(self, x):
        return F.dropout(x, self.dropout_rate)


@pytest.fixture
def ours(narrow_rivals):
    rival = NpalexnetRival(1, 3, 0.5)
    rival.take(*random_batch(2, 3))
    return rival


def test_a_peer_has_the_network_s_layers_and_copies_of_its_weights(ours):
    rival = TorchPeer(1, ours.model, 0.5)
    rival.take(*random_batch(2, 3))
    before = ours.model.state_dict()["classifier.1.weight"].copy()
    np.testing.assert_allclose(rival.logits(), ours.logits(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(rival.first_pass(), ours.first_pass(), rtol=1e-4)
    assert rival.ran_with == {1}
    rival.runner("step")()
    np.testing.assert_array_equal(ours.model.state_dict()["classifier.1.weight"], before)
    assert not np.array_equal(rival.layers[-6][1][0].detach().numpy().T, before)


def test_dropout_is_for_training_steps_alone(ours, monkeypatch):
    rival, dropped = TorchPeer(1, ours.model, 0.5), []
    monkeypatch.setattr(rival, "dropout", lambda x: dropped.append(len(x)) or x)
    rival.take(*random_batch(2, 3))
    rival.logits()
    rival.first_pass()
    assert dropped == []
    rival.runner("step")()
    assert dropped == [2, 2]
    rival.logits()
    assert dropped == [2, 2]


def test_what_is_not_installed_or_fails_to_import_is_left_out_with_the_reason(monkeypatch, ours):
    monkeypatch.setattr(peer, "PEERS", {"torch": "Torch", "missing": "Missing", "broken": "Broken"})
    said = []

    def importing(name):
        if name.endswith("broken_rival"):
            raise AttributeError("np.sctypes was removed")
        if name.endswith("missing_rival"):
            raise ModuleNotFoundError("No module named 'missing'", name="missing")
        assert name == "benchmarks.rivals.torch_rival"
        return SimpleNamespace(TorchRival=TorchPeer)

    monkeypatch.setattr(peer, "import_module", importing)
    (found,) = peer.peers(1, ours.model, 0.5, said.append)
    assert isinstance(found, TorchPeer)
    assert said == [
        "Missing is left out: missing is not installed (pip install 'npalexnet[peers]')",
        "Broken is left out: AttributeError: np.sctypes was removed",
    ]
    assert peer.versions([found]) == {"Torch": torch.__version__}


@pytest.mark.parametrize("wrong", [0.0, 0.1])
def test_peers_are_timed_in_both_tasks_unless_they_compute_something_else(monkeypatch, ours, wrong):
    def there(threads, model, dropout, say):
        rival = TorchPeer(threads, model, dropout)
        rival.wrong = wrong
        return [rival]

    monkeypatch.setattr(peer, "peers", there)
    monkeypatch.setattr(peers, "NpalexnetRival", lambda *given: ours)
    arguments = SimpleNamespace(threads=1, classes=3, dropout=0.5, batch_sizes=[2], rounds=1, warmup=0, pause=0.0)
    result = peers.run(arguments, lambda line: None)
    shown = peers.show(result)
    timed = [(row["task"], row["rival"]) for row in result["results"]]
    names = ["npalexnet"] if wrong else ["npalexnet", "Torch"]
    assert timed == [(task, name) for task in ("forward", "step") for name in names]
    assert ("LEFT OUT: Torch, fp32, batch of 2" in shown) == bool(wrong)
    assert [row["time_over_npalexnet"] for row in result["results"] if row["rival"] == "npalexnet"] == [1, 1]


def test_without_any_npalexnet_runs_alone_and_it_is_said(monkeypatch, ours):
    monkeypatch.setattr(peer, "PEERS", {})
    monkeypatch.setattr(peers, "NpalexnetRival", lambda *given: ours)
    arguments = SimpleNamespace(threads=1, classes=3, dropout=0.5, batch_sizes=[2], rounds=1, warmup=0, pause=0.0)
    said = []
    result = peers.run(arguments, said.append)
    assert "no other framework is installed: npalexnet runs alone (pip install 'npalexnet[peers]')" in said
    assert "beside npalexnet: nobody" in peers.show(result)


@pytest.mark.parametrize("package", list(peer.PEERS))
def test_the_real_ones_compute_the_same_where_they_are_installed(package, ours):
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    there = {rival.name.lower(): rival for rival in peer.peers(1, ours.model, 0.5, lambda line: None)}
    found = there[package]
    found.take(*random_batch(2, 3))
    np.testing.assert_allclose(found.logits(), ours.logits(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.first_pass(), ours.first_pass(), rtol=1e-4)
    found.runner("step")()
