import re
from pathlib import Path

import numpy as np

import npalexnet as na

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_library_example_runs_as_written_and_learns(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
    losses = [float(line.rpartition(" ")[2]) for line in capsys.readouterr().out.splitlines()]
    assert len(losses) == 3
    assert losses[2] < losses[0]


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
