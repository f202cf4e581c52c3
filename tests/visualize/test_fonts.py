"""Names in scripts that matplotlib's own font lacks."""

import warnings

import pytest
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.text import Text

from npalexnet.visualize import fonts, write_figure

ONLY_STIX = "\u24b6"  # a letter in a circle: of the fonts that come with matplotlib, STIXGeneral alone has it
NOWHERE = "\U00013000\U00013001"  # two hieroglyphs


@pytest.fixture(autouse=True)
def matplotlibs_own_fonts(monkeypatch):
    own = [font for font in fontManager.ttflist if "mpl-data" in font.fname]
    monkeypatch.setattr(fontManager, "ttflist", own)
    monkeypatch.setattr(fonts, "_told", set())


def figure_of(*names):
    figure = Figure(figsize=(2, 1), dpi=50)
    axes = figure.subplots()
    axes.set_xticks(range(len(names)), names)
    return figure


def families(figure):
    return {
        family for text in figure.findobj(Text) if not text.get_text().isascii() for family in text.get_fontfamily()
    }


def test_a_font_that_has_the_characters_is_used(tmp_path, caplog):
    figure = figure_of(f"a{ONLY_STIX}", "plain")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_figure(tmp_path / "figure.png", figure)
    assert "STIXGeneral" in families(figure)
    assert caplog.records == []
    boxes = figure_of(f"a{ONLY_STIX}", "plain")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        boxes.savefig(tmp_path / "boxes.png")
    assert (tmp_path / "figure.png").read_bytes() != (tmp_path / "boxes.png").read_bytes()


def test_characters_without_any_font_are_said_once(tmp_path, caplog):
    for name in ("first.png", "second.png"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            write_figure(tmp_path / name, figure_of(NOWHERE, NOWHERE[::-1]))
    (record,) = caplog.records
    assert f"Figures show boxes for {' '.join(NOWHERE)}: matplotlib knows no font" in record.getMessage()


def test_fonts_stay_as_they_are_for_names_that_they_have(tmp_path):
    figure = figure_of("café", "dog", "Жук", "❤\ufe0f")
    before = families(figure)
    write_figure(tmp_path / "figure.png", figure)
    assert families(figure) == before
