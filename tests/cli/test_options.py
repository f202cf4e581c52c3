import pytest

from npalexnet import backend
from npalexnet.backend.cuda.device import Probe
from npalexnet.cli import options
from npalexnet.cli.options import chosen_device, described_device


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (Probe(False, "package", "CuPy is not installed"), ""),  # nobody expects a GPU to be used then
        (Probe(False, "driver", "no CUDA driver is installed"), "No GPU is used: no CUDA driver is installed (stage: "),
    ],
)
def test_auto_is_the_cpu_where_no_gpu_is_usable_and_says_why_where_one_was_expected(
    monkeypatch, capsys, found, expected
):
    for module in (options, backend):
        monkeypatch.setattr(module, "probe", lambda: found)
    assert chosen_device("auto") == "cpu"
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(expected)
    assert bool(output.err) == bool(expected)


def test_a_device_that_is_named_is_taken_or_refused(capsys):
    assert chosen_device("cpu") == "cpu"
    with pytest.raises(ValueError, match="device must be 'cpu', 'cuda', 'cuda:N' or 'auto', got 'tpu'"):
        chosen_device("tpu")
    for name, meant in (("gpu", "cuda"), ("CPU", "cpu")):
        with pytest.raises(ValueError, match=f"device must be .*, got '{name}'; did you mean {meant}?"):
            chosen_device(name)
    assert capsys.readouterr().err == ""


def test_a_device_is_described_by_its_threads_or_its_name():
    before = backend.get_num_threads()
    try:
        backend.set_num_threads(1)
        assert described_device("cpu") == "1 CPU thread"
        backend.set_num_threads(2)
        assert described_device("cpu") == "2 CPU threads"
    finally:
        backend.set_num_threads(before)
    assert described_device("fake") == "fake"
