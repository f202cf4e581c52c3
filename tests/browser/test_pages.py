"""What must hold of every page that npalexnet writes."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from tests.browser.pages import WRITERS

every_page = pytest.mark.parametrize("name", WRITERS)
BLOCK = 16  # pixels: no letter and no bar is as wide and as high
NARROW = 320  # pixels: a small phone, or a page at 400 % (WCAG 2.2, success criterion 1.4.10)


def unfold(page):
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")


def pixels(page):
    """Return the brightness, 0 to 1, of what is on the page beside its images and maps: (H, W)."""
    page.add_style_tag(content="img, canvas { visibility: hidden; }")
    grey = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("L")
    return np.asarray(grey, np.float32) / 255


def blocks(brightness):
    """Return the darkest and the brightest pixel of each square: (2, rows, columns)."""
    rows, columns = (size // BLOCK for size in brightness.shape)
    squares = brightness[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
    return np.stack([squares.min(axis=(1, 3)), squares.max(axis=(1, 3))])


@every_page
@pytest.mark.parametrize(("scheme", "low", "high"), [("dark", 0, 0.6), ("light", 0.4, 1)])
def test_nothing_is_a_white_block_on_a_dark_page_or_a_dark_one_on_a_white_page(opened, pages, name, scheme, low, high):
    page = opened(pages[name], scheme=scheme)
    unfold(page)
    brightness = pixels(page)
    darkest, brightest = blocks(brightness)
    assert not (darkest > high).any(), "a bright block"
    assert not (brightest < low).any(), "a dark block"
    assert low <= np.median(brightness) <= high
    assert np.abs(brightness - np.median(brightness)).max() > 0.5, "there is text, and it can be seen"


@every_page
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [NARROW, 1280])
def test_axe_finds_no_barrier(opened, pages, name, width, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page = opened(pages[name], width=width, scheme=scheme)
    unfold(page)
    found = Axe().run(page)
    assert len(found.response["violations"]) == 0, found.generate_report()


@every_page
@pytest.mark.parametrize("width", [NARROW, 360])
def test_nothing_is_wider_than_a_phone(opened, pages, name, width):
    page = opened(pages[name], width=width)
    unfold(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wide = page.evaluate(
        """width => [...document.querySelectorAll('body *')]
            .filter(part => !part.closest('.scroll *, svg *') && part.getBoundingClientRect().right > width + 0.5)
            .map(part => part.outerHTML.slice(0, 80))""",
        width,
    )
    assert wide == []


@every_page
def test_parts_unfold_by_click_and_by_keyboard(opened, pages, name):
    page = opened(pages[name])
    unfold(page)
    for part in reversed(page.locator("details").all()):  # those within others first, before these close
        title = part.locator("> summary")
        states = []
        for act in (title.click, lambda title=title: title.press("Enter"), lambda title=title: title.press("Space")):
            act()
            states.append(part.get_attribute("open") is not None)
        assert states == [False, True, False]


@every_page
def test_the_tab_key_reaches_every_link_and_every_part_that_unfolds(opened, pages, name):
    page = opened(pages[name])
    unfold(page)
    wanted = page.locator("a, summary").count()
    reached = set()
    for _ in range(2 * wanted + 20):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("[...document.querySelectorAll('a, summary')].indexOf(document.activeElement)"))
    assert reached - {-1} == set(range(wanted))


@every_page
def test_a_link_of_the_contents_shows_its_part(opened, pages, name):
    page = opened(pages[name])
    links = page.locator("nav a")
    for i in range(links.count()):
        links.nth(i).click()
        heading = page.get_by_role("heading", name=links.nth(i).inner_text(), exact=True)
        top = heading.evaluate("heading => heading.getBoundingClientRect().top")
        assert -1 < top < 800, links.nth(i).inner_text()


@every_page
def test_images_are_there_and_say_what_they_show(opened, pages, name):
    page = opened(pages[name])
    unfold(page)
    found = page.evaluate("[...document.images].map(image => [image.alt, image.complete && image.naturalWidth > 0])")
    assert found
    for words, is_there in found:
        assert words.strip()
        assert is_there, words


@every_page
def test_no_drawing_has_white_paper_around_it(opened, pages, name):
    page = opened(pages[name])
    for kind, source in page.evaluate("[...document.images].map(image => image.src.split(';base64,'))"):
        if kind == "data:image/png":  # JPEG images are photographs, which may be white
            pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(source))).convert("RGBA"))
            edges = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
            assert np.concatenate(edges).min() < 250
