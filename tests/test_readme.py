import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import npalexnet as na
from npalexnet.cli import main
from npalexnet.inference.classifier import Classifier
from npalexnet.training.evaluation import evaluate
from tests.data.pictures import fill

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def examples_of(page):
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


EXAMPLES = examples_of("README.md")


@pytest.mark.parametrize("page", ["README.md", "docs/pypi.md"])
def test_the_library_example_runs_as_written_and_learns(page, capsys):
    exec(compile(examples_of(page)[0], page, "exec"), {})
    losses = [float(line.rpartition(" ")[2]) for line in capsys.readouterr().out.splitlines()]
    assert len(losses) == 3
    assert losses[2] < losses[0]


def test_the_page_of_the_package_index_has_no_link_that_leads_into_a_clone():
    page = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["readme"]
    text = (ROOT / page).read_text(encoding="utf-8")
    assert text.startswith("# npalexnet")
    assert not re.findall(r"\]\((?!https?://)|<img|\]\[", text)


@pytest.fixture
def pictures(narrow, tmp_path, monkeypatch):
    """A folder of that name in the working directory, as the examples have it, and a network of few parameters."""
    fill(tmp_path / "pictures" / "train", cat=3, dog=3)
    monkeypatch.chdir(tmp_path)


def test_the_five_lines_of_training_learn_and_what_they_write_is_used_by_the_commands(narrow, tmp_path, monkeypatch):
    """Pictures of noise: dark ones are cats, bright ones dogs."""
    for folder, count, first in (("train", 3, 0), ("val", 1, 10)):
        for name, darkest in (("cat", 0), ("dog", 150)):
            (tmp_path / "pictures" / folder / name).mkdir(parents=True)
            for seed in range(first, first + count):
                pixels = np.random.default_rng(seed).integers(darkest, darkest + 106, (9, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "pictures" / folder / name / f"{seed}.png")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(EXAMPLES[1], "README.md", "exec"), names)
    assert names["trainer"].state.finished
    learned = evaluate(names["model"], names["val"])
    assert learned.top1 == 1
    assert learned.loss < 0.5 * np.log(2)  # which is a guess's
    assert_prepares_as("runs/library", names["val"], names["data"])
    assert main(["evaluate", "runs/library", "--data", "pictures"]) == 0


def test_a_trained_network_classifies_as_the_readme_says(trained_run, tmp_path, monkeypatch, capsys):
    assert main(["predict", str(trained_run), str(ROOT / "docs" / "ankle-boot.png")]) == 0
    best = capsys.readouterr().out.splitlines()[1].split()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "1").symlink_to(trained_run)
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    monkeypatch.chdir(tmp_path)
    exec(compile(EXAMPLES[2], "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0].replace("%", " % ").split() == best


def test_the_recipe_put_together_in_python_trains_and_is_kept_with_the_weights(pictures, capsys):
    example, _ = examples_of("docs/training.md")
    names: dict[str, Any] = {}
    exec(compile(example, "docs/training.md", "exec"), names)
    assert "2 pictures of train/ were chosen at random for validation" in capsys.readouterr().out
    assert names["trainer"].state.finished
    assert_prepares_as("runs/python", names["trainer"].validation, names["data"])


def test_the_example_of_a_recipe_trains_the_released_network_with_its_rates(pictures):
    _, example = examples_of("docs/training.md")
    names: dict[str, Any] = {}
    exec(compile(example, "docs/training.md", "exec"), names)
    state = names["trainer"].state
    assert state.finished
    assert [(group["lr"], group["weight_decay"]) for group in state.optimizer.param_groups] == [(0.01, 5e-4), (0.02, 0)]
    assert names["train"].pipeline.output_shape == (3, 224, 224)
    assert Classifier.load("runs/released").model.variant == "released"


def assert_prepares_as(run, loader, data):
    """A classifier of the run makes of the validation pictures what the loader makes of them."""
    classifier = Classifier.load(run)
    assert classifier.classes == ["cat", "dog"]
    images, _ = next(loader.epoch(0))
    np.testing.assert_array_equal(classifier.inputs([data.validation[i][0] for i in range(2)]), images)


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
    scaling, replaying = examples_of("docs/gpu.md")
    exec(compile(scaling, "docs/gpu.md", "exec"), names)
    assert (model[2].weight.data != weight).any()
    exec(compile(replaying, "docs/gpu.md", "exec"), names)
    np.testing.assert_array_equal(names["logits"], model.eval()(names["images"]))


def test_every_file_that_the_readme_names_is_there():
    for name in re.findall(r"\]\(([\w./-]+)\)|`((?:npalexnet|docs|tests|benchmarks)/[\w./-]*)`", README):
        assert (ROOT / "".join(name)).exists(), name
