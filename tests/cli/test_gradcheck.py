import numpy as np

import npalexnet as na
from npalexnet.cli import gradcheck as layer_checks
from npalexnet.cli import main


def test_gradcheck_prints_a_table_in_which_all_is_well(capsys):
    assert main(["gradcheck"]) == 0
    output = capsys.readouterr().out
    for layer in ("Conv2d", "MaxPool2d", "Linear", "ReLU", "Dropout", "LocalResponseNorm", "CrossEntropyLoss"):
        assert layer in output
    assert "Conv2d, Winograd's algorithm" in output
    assert "WRONG" not in output


def test_a_wrong_gradient_is_named_and_ends_gradcheck_with_status_1(monkeypatch, capsys):
    class Wrong(na.ReLU):
        def gradients(self, grad_y, y):
            return 1.01 * grad_y * (y > 0), []

    x = np.random.default_rng(0).standard_normal((3, 5))
    reports = [(type(layer).__name__, na.gradcheck(layer, x, raise_exception=False)) for layer in (Wrong(), na.ReLU())]
    monkeypatch.setattr(layer_checks, "check_all_layers", lambda device, seed: reports)
    assert main(["gradcheck"]) == 1
    output = capsys.readouterr().out
    verdicts = {line.split()[0]: line.split()[-1] for line in output.splitlines() if line.startswith(("Wrong", "ReLU"))}
    assert verdicts == {"Wrong": "WRONG", "ReLU": "ok"}
    assert "1 of 2 ok" in output
