import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import npalexnet as na
from npalexnet.classifier import Classifier
from npalexnet.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_library_example_runs_as_written_and_learns(capsys):
    exec(compile(EXAMPLES[0], "README.md", "exec"), {})
    losses = [float(line.rpartition(" ")[2]) for line in capsys.readouterr().out.splitlines()]
    assert len(losses) == 3
    assert losses[2] < losses[0]


def test_what_the_five_lines_of_training_write_can_be_used_by_the_commands(narrow, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "pictures" / "train" / name).mkdir(parents=True)
        for i in range(3):
            picture = Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8))
            picture.save(tmp_path / "pictures" / "train" / name / f"{i}.png")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(EXAMPLES[1], "README.md", "exec"), names)
    classifier = Classifier.load("runs/library")
    assert classifier.classes == ["cat", "dog"]
    images, _ = next(names["val"].epoch(0))
    np.testing.assert_array_equal(classifier.inputs([names["data"].val[i][0] for i in range(2)]), images)
    assert main(["evaluate", "runs/library", "--data", "pictures"]) == 0


def test_the_examples_for_a_gpu_run_as_written():
    model = na.Sequential(na.Conv2d(3, 4, 3, seed=0), na.Flatten(), na.Linear(4 * 3 * 3, 5, seed=0))
    names = {
        "na": na,
        "model": model,
        "optimizer": na.SGD(model.parameters(), lr=0.1),
        "images": np.ones((2, 3, 5, 5), "float32"),
        "labels": np.array([1, 2]),
    }
    weight = model[2].weight.data.copy()
    scaling, replaying = re.findall(r"```python\n(.*?)```", (ROOT / "docs/gpu.md").read_text("utf-8"), re.DOTALL)
    exec(compile(scaling, "docs/gpu.md", "exec"), names)
    assert (model[2].weight.data != weight).any()
    exec(compile(replaying, "docs/gpu.md", "exec"), names)
    np.testing.assert_array_equal(names["logits"], model.eval()(names["images"]))


def test_every_file_that_the_readme_names_is_there():
    for name in re.findall(r"\]\(([\w./-]+)\)|`((?:npalexnet|docs|tests|benchmarks)/[\w./-]*)`", README):
        assert (ROOT / "".join(name)).exists(), name
