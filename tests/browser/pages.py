"""The pages that the tests open: each command that writes one has a function here."""

import itertools
from pathlib import Path

import pytest
from PIL import Image

from npalexnet import backend
from npalexnet.cli import main
from npalexnet.weights import load_weights, save_weights
from tests.networks import narrow, save_bright_network

BOOT = Path(__file__).parents[2] / "docs" / "ankle-boot.png"


def look(run, folder):
    assert main(["look", str(run), str(BOOT), "--images", "40", "--out", str(folder), "--threads", "2"]) == 0
    return folder / "index.html"


def look_at_long_names(_, folder):
    """Look at a network whose classes and pictures have names that nothing breaks a line in."""
    save_bright_network(folder)
    state, metadata = load_weights(folder / "weights.safetensors")
    names = [name * 9 for name in metadata["classes"]]
    save_weights(folder / "weights.safetensors", state, {**metadata, "classes": names})
    for part, name in itertools.product(("train", "val"), names):
        (folder / part / name).mkdir(parents=True)
        for i, colour in enumerate(("white", "black")):
            Image.new("RGB", (20, 20), colour).save(folder / part / name / f"{i}{'0' * 60}.png")
    pictures = [str(folder / "val" / name / f"0{'0' * 60}.png") for name in names]
    assert main(["look", str(folder), *pictures, "--data", str(folder), "--unit", "classifier.6:1"]) == 0
    return folder / "look" / "index.html"


def explain(run, folder):
    assert main(["explain", str(run), str(BOOT), "--out", str(folder / "explain.html"), "--threads", "2"]) == 0
    return folder / "explain.html"


WRITERS = {"look": look, "look, long names": look_at_long_names, "explain": explain}


class Pages:
    """Writes pages of a run of the narrow network."""

    def __init__(self, run, tmp_path_factory):
        self.run, self.tmp_path_factory, self.written = run, tmp_path_factory, {}

    def __getitem__(self, name):
        """Return the path of a page."""
        if name not in self.written:
            threads = backend.get_num_threads()
            with pytest.MonkeyPatch.context() as patch:
                narrow(patch)
                patch.setattr("npalexnet.cli.look.CELLS", 5)  # of the occlusion map: a forward pass for each
                self.written[name] = WRITERS[name](self.run, self.tmp_path_factory.mktemp("page"))
            backend.set_num_threads(threads)
        return self.written[name]
