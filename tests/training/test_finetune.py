import numpy as np
import pytest
from safetensors.numpy import save_file

from npalexnet import Linear, Sequential
from npalexnet.training.finetune import load_fitting, read_weights
from npalexnet.weights import save_weights
from tests.support import normal


def network(out=3, hidden=4):
    return Sequential(Linear(2, hidden, seed=0), Linear(hidden, out, seed=1))


def test_what_fits_is_loaded_and_the_rest_is_named():
    model, other = network(), network()
    other.load_state_dict({name: values + 1 for name, values in other.state_dict().items()})
    tensors = other.state_dict()
    tensors["1.weight"] = normal((5, 4), "float32")
    tensors["2.weight"] = tensors.pop("1.bias")
    before = model.state_dict()
    assert load_fitting(model, tensors) == [
        "1.weight has another shape ((5, 4) in the file, (3, 4) here), so it keeps its initial values",
        "1.bias is not in the file, so it keeps its initial values",
        "2.weight of the file is unknown here",
    ]
    for name, values in model.state_dict().items():
        np.testing.assert_array_equal(values, before[name] + np.float32(name.startswith("0.")))


def test_parameters_that_are_left_out_stay_without_a_word():
    model, tensors = network(), {name: values + 1 for name, values in network().state_dict().items()}
    before = model.state_dict()
    assert load_fitting(model, tensors, leave_out=["1.weight", "1.bias"]) == []
    np.testing.assert_array_equal(model.state_dict()["1.weight"], before["1.weight"])
    np.testing.assert_array_equal(model.state_dict()["0.weight"], tensors["0.weight"])


def test_a_file_of_which_nothing_fits_is_refused():
    model = network()
    with pytest.raises(ValueError, match=r"none of the weights fit: 0\.weight is not in the file"):
        load_fitting(model, {"conv1.weight": normal((3, 3))})


def test_integers_that_would_fit_are_refused_and_change_nothing():
    model, tensors = network(), network().state_dict()
    before = model.state_dict()
    tensors["0.weight"] = tensors["0.weight"].astype("int64")
    with pytest.raises(ValueError, match=r"0\.weight in the file is int64; weights are floats of 16, 32 or 64 bits"):
        load_fitting(model, tensors)
    np.testing.assert_array_equal(model.state_dict()["1.weight"], before["1.weight"])
    counts = {**network().state_dict(), "num_batches_tracked": np.array(7)}
    assert load_fitting(model, counts) == ["num_batches_tracked of the file is unknown here"]


def test_weights_come_from_a_run_a_file_or_another_program(tmp_path):
    state = network().state_dict()
    save_weights(tmp_path / "weights.safetensors", state, {"classes": ["a", "b", "c"]})
    save_file(state, tmp_path / "torchs.safetensors")
    for path, classes in (
        (tmp_path, ["a", "b", "c"]),
        (tmp_path / "weights.safetensors", ["a", "b", "c"]),
        (tmp_path / "torchs.safetensors", None),
    ):
        tensors, found = read_weights(path)
        assert found == classes
        assert tensors.keys() == state.keys()
