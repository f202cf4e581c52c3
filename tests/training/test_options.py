from pathlib import Path

import pytest

from npalexnet.training.options import DEFAULTS, as_config, complete


def test_what_is_not_given_is_the_default_and_what_other_commands_know_is_left_out():
    options = complete({"lr": 0.5, "data": None, "image": None, "run": print, "command": "train", "threads": 2})
    assert vars(options) == {**DEFAULTS, "lr": 0.5}


def test_a_resumed_run_has_its_own_options_and_the_few_that_may_be_given_anew():
    config = as_config(complete({"lr": 0.5, "data": "/pictures", "weights": Path("/w"), "workers": 3, "epochs": 4}))
    assert config["weights"] == "/w"
    assert "out" not in config
    options = complete({"resume": Path("runs/1"), "workers": 1, "data": None, "threads": 1}, config)
    assert (options.lr, options.data, options.weights, options.workers) == (0.5, "/pictures", Path("/w"), 1)
    assert (options.epochs, options.steps, options.resume) == (4, None, Path("runs/1"))
    with pytest.raises(ValueError, match=r"a run is resumed as it began: --data, --weight-decay can't be changed"):
        complete({"weight_decay": 0.0, "data": "other"}, config)


@pytest.mark.parametrize(
    ("began", "given", "epochs", "steps"),
    [
        ({}, {}, 1, None),
        ({}, {"steps": 5}, None, 5),
        ({"steps": 5}, {}, None, 5),
        ({"steps": 5}, {"epochs": 3}, 3, None),
        ({"epochs": 2}, {"steps": 9}, None, 9),
        ({"epochs": 2}, {"epochs": 3}, 3, None),
    ],
)
def test_epochs_take_the_place_of_steps_and_the_other_way_round(began, given, epochs, steps):
    options = complete(given, as_config(complete(began)))
    assert (options.epochs, options.steps) == (epochs, steps)


def test_both_at_once_are_refused():
    with pytest.raises(ValueError, match="--epochs and --steps don't go together"):
        complete({"epochs": 1, "steps": 1})
    with pytest.raises(ValueError, match="--epochs and --steps don't go together"):
        complete({"epochs": 1, "steps": 1}, as_config(complete({})))
