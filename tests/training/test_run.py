import json

import numpy as np
import pytest
from PIL import Image

from npalexnet.training.run import Run, new_run_folder
from npalexnet.weights import load_weights

STATE = {"layers.0.weight": np.random.default_rng(0).standard_normal((4, 3, 5, 5))}


def filled(folder):
    run = Run(folder)
    run.record(step=1, images=16, loss=2.3, accuracy=0.1, lr=0.1)
    run.record(step=1, images=16, epoch=1, test_loss=2.2, test_accuracy=0.2)
    run.save(STATE, {"classes": ["a", "b"]}, grey=True)
    return run


def test_a_run_leaves_weights_metrics_and_pictures(tmp_path):
    filled(tmp_path / "deep" / "run")
    folder = tmp_path / "deep" / "run"
    assert sorted(path.name for path in folder.iterdir()) == [
        "curves.png", "filters.png", "metrics.jsonl", "weights.safetensors",
    ]  # fmt: skip
    state, about = load_weights(folder / "weights.safetensors")
    np.testing.assert_array_equal(state["layers.0.weight"], STATE["layers.0.weight"])
    assert about == {"classes": ["a", "b"]}
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[1]) == {"step": 1, "images": 16, "epoch": 1, "test_loss": 2.2, "test_accuracy": 0.2}
    for name in ("curves.png", "filters.png"):
        with Image.open(folder / name) as picture:
            assert min(picture.size) > 50


def test_a_folder_that_holds_something_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(ValueError, match="holds something already"):
        Run(tmp_path)
    with pytest.raises(ValueError, match="holds something already"):
        Run(tmp_path / "mine.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_first_free_number_names_a_run(tmp_path):
    assert new_run_folder(tmp_path) == tmp_path / "1"
    (tmp_path / "1").mkdir()
    (tmp_path / "3").mkdir()
    assert new_run_folder(tmp_path) == tmp_path / "2"
