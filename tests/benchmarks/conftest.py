"""Benchmarks in tests: one run a measurement, few candidates for the lower bound, the threads as they were before."""

from types import SimpleNamespace

import pytest
import torch

import npalexnet as na
from benchmarks import rounds
from benchmarks.rivals import gemm_lower_bound, torch_network, torch_rival
from benchmarks.rivals.torch_network import torch_alexnet
from tests.networks import narrow, narrowed

FLAGS = ((torch.backends.cuda.matmul, "allow_tf32"), (torch.backends.cudnn, "allow_tf32"))
RIVALS = ["npalexnet", "torch", "torch, channels_last"]


@pytest.fixture(autouse=True)
def _precision():
    """The precision of both libraries is what it was before."""
    before = [getattr(*flag) for flag in FLAGS], torch.backends.cudnn.benchmark, na.get_float32_matmul_precision()
    yield
    for flag, value in zip(FLAGS, before[0], strict=True):
        setattr(*flag, value)
    torch.backends.cudnn.benchmark = before[1]
    na.set_float32_matmul_precision(before[2])


@pytest.fixture(autouse=True, scope="module")
def _hurry():
    ours, theirs = na.get_num_threads(), torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rounds, "AT_LEAST", 0.0)
        patch.setattr(gemm_lower_bound, "IMAGES", (1,))
        yield
    na.set_num_threads(ours)
    torch.set_num_threads(theirs)


def narrow_rivals(monkeypatch):
    """Give npalexnet's and torch's AlexNet few parameters, see `tests.networks.narrow`."""
    narrow(monkeypatch)
    nn = SimpleNamespace(**{**vars(torch.nn), "Linear": narrowed(torch.nn.Linear)})
    for module in (torch_rival, torch_network):
        monkeypatch.setattr(module, "torch_alexnet", lambda _, *settings: torch_alexnet(nn, *settings))


@pytest.fixture(name="narrow_rivals")
def _narrow_rivals(monkeypatch):
    narrow_rivals(monkeypatch)
