import numpy as np
import pytest
from safetensors.numpy import save_file

from npalexnet.weights import load_weights, save_weights

STATE = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "a.bias": np.array([0.5])}
METADATA = {"classes": ["T-shirt/top", "Trouser"], "mean": [0.25, 0.25, 0.25]}


def test_what_is_saved_is_loaded_bit_for_bit(tmp_path):
    save_weights(tmp_path / "w.safetensors", STATE, METADATA)
    state, metadata = load_weights(tmp_path / "w.safetensors")
    assert metadata == METADATA
    assert state.keys() == STATE.keys()
    for name, values in STATE.items():
        np.testing.assert_array_equal(state[name], values, strict=True)


def test_missing_damaged_and_foreign_files_are_refused_by_name(tmp_path):
    path = tmp_path / "w.safetensors"
    with pytest.raises(FileNotFoundError, match=r"w\.safetensors"):
        load_weights(path)
    save_weights(path, STATE, METADATA)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match=r"w\.safetensors is damaged or cut short, or no safetensors file"):
        load_weights(path)
    path.write_text("hello")
    with pytest.raises(ValueError, match="is damaged or cut short, or no safetensors file"):
        load_weights(path)
    save_file(STATE, path)
    with pytest.raises(ValueError, match="was not written by npalexnet"):
        load_weights(path)
