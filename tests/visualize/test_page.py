import base64

import pytest
from PIL import Image

from npalexnet.visualize.page import Section, page
from tests.pages import check_self_contained


@pytest.fixture
def picture(tmp_path):
    Image.new("RGB", (3, 2), "red").save(tmp_path / "red.png")
    return tmp_path / "red.png"


def test_a_page_holds_its_pictures_and_refers_to_nothing_else(picture):
    document = page("A title", [("steps", "7")], [Section("One", "About it.", [(picture, "below it")])])
    checker = check_self_contained(document)
    (source,) = [reference for reference in checker.references if reference.startswith("data:image/png")]
    assert base64.b64decode(source.partition(",")[2]) == picture.read_bytes()
    for text in ("A title", "steps", "7", "One", "About it.", "below it"):
        assert text in checker.texts
    assert document.startswith("<!DOCTYPE html>")
    assert "prefers-color-scheme: dark" in document


def test_names_that_look_like_html_are_shown_as_they_are(picture):
    odd = '<b>Tom\'s "cat" & dog</b>'
    checker = check_self_contained(page(odd, [(odd, odd)], [Section(odd, odd, [(picture, odd)])]))
    assert "b" not in checker.tags
    assert "".join(checker.texts).count(odd) == 8  # title twice, fact's name and value, link, heading, text, caption


def test_a_section_without_pictures_is_left_out():
    assert "Nothing" not in page("A title", [], [Section("Nothing", "to see", [])])
