from npalexnet.visualize.html import facts, grid, tile
from npalexnet.visualize.page import Section, page
from tests.pages import check_self_contained

RED = "data:image/png;base64,AAAA"


def test_a_page_holds_its_pictures_and_refers_to_nothing_else():
    body = grid([tile(RED, "a red square", ["below it"])])
    document = page("A title", facts([("steps", "7")]), [Section("One", "About it.", body)])
    checker = check_self_contained(document)
    assert checker.references.count(RED) == 1
    for words in ("A title", "steps", "7", "One", "About it.", "below it"):
        assert words in checker.texts
    assert document.startswith("<!DOCTYPE html>")
    assert "prefers-color-scheme: dark" in document
    assert "width=device-width" in document


def test_names_that_look_like_html_are_shown_as_they_are():
    odd = '<b>Tom\'s "cat" & dog</b>'
    section = Section(odd, odd, tile(RED, odd, ["line", odd]))
    checker = check_self_contained(page(odd, facts([(odd, odd)]), [section]))
    assert checker.tags.count("b") == 1  # the tile's first line
    assert "".join(checker.texts).count(odd) == 8  # title twice, fact's name and value, link, heading, text, caption


def test_a_section_with_nothing_in_it_is_left_out():
    assert "Nothing" not in page("A title", "", [Section("Nothing", "to see", "")])
