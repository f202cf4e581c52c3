"""Train with im2col and with Winograd's convolution from the same start, and draw both courses in one picture::

    python tests/scripts/train_with_both_algorithms.py PICTURE.png [OPTIONS OF NPALEXNET TRAIN]

Prints the loss of the last steps and the accuracy of each evaluation on the validation images, beside each other. They
differ as two runs do that round differently: not at all at first, by a percent or so of accuracy in the end.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from npalexnet.files import atomic_write
from npalexnet.visualize.figures import new_figure
from npalexnet.visualize.results import read_metrics

LAST = 25  # steps


def main(picture: Path, options: list[str]) -> None:
    courses = {}
    with tempfile.TemporaryDirectory() as folder:
        for algorithm in ("im2col", "auto"):
            run = Path(folder) / algorithm
            command = [sys.executable, "-m", "npalexnet", "train", *options, "--convolution", algorithm]
            subprocess.run([*command, "--out", str(run)], check=True)
            courses[algorithm] = read_metrics(run / "metrics.jsonl")
    figure = new_figure(10, 4)
    loss, accuracy = figure.subplots(1, 2)
    for algorithm, colour in (("im2col", "tab:blue"), ("auto", "tab:orange")):
        steps = [record for record in courses[algorithm] if "loss" in record]
        evaluations = [record for record in courses[algorithm] if "test_loss" in record]
        seen, losses = [record["images"] for record in steps], [record["loss"] for record in steps]
        loss.plot(seen, losses, color=colour, linewidth=1, alpha=0.7, label=algorithm)
        correct = [100 * record["test_accuracy"] for record in evaluations]
        accuracy.plot([record["images"] for record in evaluations], correct, "o-", color=colour, label=algorithm)
        print(
            f"{algorithm}: mean loss of the last {LAST} steps {np.mean(losses[-LAST:]):.3f}, validation accuracy "
            + ", ".join(f"{value:.1f} %" for value in correct)
        )
    loss.set_ylabel("cross-entropy loss of each batch")
    accuracy.set_ylabel("validation accuracy (%)")
    accuracy.set_ylim(0, 100)
    for axes in (loss, accuracy):
        axes.set_xlabel("training images seen")
        axes.grid(alpha=0.3)
        axes.legend()
    with atomic_write(picture) as temporary:
        figure.savefig(temporary, format="png")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:])
