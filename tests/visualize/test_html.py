from npalexnet.visualize.html import bars, text, tile, unfolding
from tests.pages import Checker


def test_text_is_no_tag_and_hides_no_character():
    assert text("a<b & '\x1b'") == r"a&lt;b &amp; &#x27;\x1b&#x27;"


def test_a_tile_has_its_words_as_text_and_its_frame_in_percent():
    document = tile("data:,", "what it shows", ["first", "second"], box=(0.25, 0.5, 0.125, 1))
    assert "left:25.00%;top:50.00%;width:12.50%;height:100.00%" in document
    assert "alt='what it shows'" in document
    checker = Checker(document)
    assert (checker.texts, checker.open) == (["first", "second"], [])
    assert "<i " not in tile("data:,", "what it shows")


def test_bars_are_as_long_as_their_numbers_and_of_another_colour_below_zero():
    document = bars([("cat", 0.5, "50 %"), ("dog", -0.25, "-1")])
    assert "class='plus' style='width:50.0%'" in document
    assert "class='minus' style='width:25.0%'" in document
    assert Checker(document).texts == ["cat", "50 %", "dog", "-1"]


def test_parts_are_open_or_folded():
    assert unfolding("a", "b", "c", is_open=True).startswith("<details open>")
    assert unfolding("a", "b", "c", is_open=False).startswith("<details>")
