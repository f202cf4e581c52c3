"""What the page of ``npalexnet look`` says, as a browser shows it."""

import json

from npalexnet.cli import main
from tests.browser.pages import BOOT


def test_the_page_says_what_predict_says_and_says_it_as_text(opened, pages, trained_run, capsys):
    assert main(["predict", str(trained_run), str(BOOT), "--json", "--top", "5", "--threads", "2"]) == 0
    predicted = json.loads(capsys.readouterr().out)["predictions"]
    wanted = [(each["class"], f"{100 * each['probability']:.1f} %") for each in predicted]
    card = opened(pages["look"]).locator(".card").first
    assert card.get_by_role("heading").inner_text() == ", ".join(wanted[0])
    rows = card.get_by_role("listitem")
    assert [tuple(row.inner_text().split("\n")) for row in rows.all()] == wanted


def test_headings_and_numbers_can_be_read_by_a_screen_reader(opened, pages):
    page = opened(pages["look"])
    titles = [heading.inner_text() for heading in page.get_by_role("heading", level=2).all()]
    assert titles[1:] == [
        "Mistakes", "What excites its channels", "Layer by layer", "Filters", "Training", "What is confused with what",
        "The run",
    ]  # fmt: skip
    assert page.get_by_role("row", name="top-1 accuracy").get_by_role("cell").inner_text().endswith(" %")
    assert page.get_by_role("img", name="Cross-entropy loss").count() == 1
    assert page.get_by_role("columnheader", name="Ankle boot").count() == 1
