import json

import numpy as np

from npalexnet.cli import main
from npalexnet.cli.evaluate import per_class


def test_the_table_has_each_classs_accuracy_and_what_it_is_confused_with():
    table = per_class(np.array([[5, 1, 3, 2], [0, 0, 0, 0], [0, 0, 4, 0], [1, 1, 0, 6]]), ["cat", "dog", "cow", "hen"])
    header, _, *rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in table.splitlines()]
    assert header == ["class", "most often confused with", "images", "correct", "accuracy (%)"]
    assert rows == [
        ["cat", "cow (3), hen (2)", "11", "5", "45.5"],
        ["dog", "-", "0", "0", "-"],
        ["cow", "-", "4", "4", "100.0"],
        ["hen", "cat (1), dog (1)", "8", "6", "75.0"],
    ]


def test_a_run_on_some_validation_images_is_evaluated_on_these_to_its_own_accuracy(trained_run, tmp_path, capsys):
    own = [json.loads(line) for line in (trained_run / "metrics.jsonl").read_text().splitlines()]
    (loss, accuracy), *others = [
        (line["test_loss"], line["test_accuracy"]) for line in own if line.get("test_accuracy") is not None
    ]
    assert not others
    assert main(["evaluate", str(trained_run), "--out", str(tmp_path), "--threads", "2"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(
        "4 of the 500 validation images, as in the run's --validation-images; all are evaluated with --data sample\n"
        "Fashion-MNIST's sample: 4 validation images of 10 classes"
    )
    assert f"\nloss {loss:.4f}, top-1 accuracy {100 * accuracy:.2f} %" in printed
