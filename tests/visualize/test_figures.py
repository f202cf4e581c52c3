import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from npalexnet import visualize
from npalexnet.visualize import write_figure
from npalexnet.visualize.figures import shortened


def test_a_figure_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "figure.png"
    write_figure(path, Figure(figsize=(2, 1), dpi=50))
    before = path.read_bytes()
    with Image.open(path) as image:
        assert (image.format, image.size) == ("PNG", (100, 50))

    def full(figure, file):
        file.write_bytes(before[:20])
        raise OSError("no space left")

    monkeypatch.setattr(Figure, "savefig", full)
    with pytest.raises(OSError, match="no space left"):
        write_figure(path, Figure())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_names_are_cut_off_and_mean_themselves_whatever_they_consist_of():
    assert shortened("a" * 24) == "a" * 24
    assert shortened("a" * 25) == "a" * 23 + "…"
    assert shortened("12 $ or 13 $", 7) == r"12 \$ o…"
    assert shortened("caf\udce9") == "caf\\xe9"  # the byte e9 in the name of a folder


def test_figures_show_themselves_in_a_notebook():
    figures = [
        visualize.filters(np.random.default_rng(0).normal(size=(3, 3, 4, 4)).astype(np.float32)),
        visualize.confusion(np.eye(2, dtype=int), ["cat", "猫"]),
        visualize.mistakes([None], np.array([0]), np.array([[1.0, 0.0]]), ["a", "b"]),
    ]
    for figure in figures:
        with Image.open(io.BytesIO(figure._repr_png_())) as image:
            assert image.format == "PNG"
            assert image.size == pytest.approx(tuple(figure.get_size_inches() * figure.dpi), abs=1)
