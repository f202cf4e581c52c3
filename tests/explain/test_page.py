"""The page as a document: it stands on its own, is small enough, and takes any name."""

import re
from pathlib import Path

import numpy as np
import pytest

import npalexnet as na
from npalexnet.explain import page
from npalexnet.explain.page import explain
from tests.explain.reading import array_of, content_of, maps_of
from tests.pages import Checker
from tests.support import normal

FOLDER = Path(page.__file__).parent
HOSTILE = ["</script><b>x", "a & b", "<!-- c", "{{data}} \u2028 {{title}}"]


def a_page(model, image, classes, **options):
    picture = np.zeros((*image.shape[1:], 3), np.uint8)
    return explain(model, image, picture, "mine/<i>.png", classes, 1, why="because", title="The <net>", **options)


def test_the_page_refers_to_nothing_outside_and_names_are_text(narrow):
    model = na.AlexNet(4, seed=0).eval()
    document = a_page(model, normal((3, 227, 227), "float32"), HOSTILE)
    assert document == a_page(model, normal((3, 227, 227), "float32"), HOSTILE), "the same gives the same bytes"
    checker = Checker(document)
    assert checker.open == []
    assert all(reference.startswith("data:") for reference in checker.references)
    for outside in ("http:", "https:", "//cdn", "url(", "@import", "fetch(", "XMLHttpRequest", "import("):
        assert outside not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", document)
    assert checker.tags.count("script") == 2
    assert "<b>x" not in document
    assert content_of(document)["classes"] == HOSTILE
    text = " ".join(checker.texts)
    for words in ("The <net>", "mine/<i>.png", "a & b", "the class a & b, because"):
        assert words in text
    assert "{{picture}}" not in document


def test_each_script_is_in_the_page_once_and_nothing_of_them_is_global():
    assert {f"{name}.js" for name in page.SCRIPTS} == {path.name for path in (FOLDER / "js").iterdir()}
    assert len(set(page.SCRIPTS)) == len(page.SCRIPTS)
    template = (FOLDER / "page.html").read_text(encoding="utf-8")
    assert '"use strict";\n(() => {\n{{script}}})();' in template


@pytest.mark.parametrize("variant", ["paper", "seed"])
def test_a_page_of_the_whole_network_has_less_than_3_mb_whatever_its_image(variant):
    """Of an image with a mean image subtracted no two numbers are alike: it can't be written as levels."""
    model = na.AlexNet(1000, seed=0, variant=variant, init="torch").eval()
    side = na.VARIANTS[variant].sizes[-1]
    classes = [f"a class with a long name, as ImageNet has them, {k}" for k in range(1000)]
    document = a_page(model, normal((3, side, side), "float32"), classes)
    assert len(document.encode()) < 3_000_000
    content = content_of(document)
    assert sorted(maps_of(content["edges"][0], "gradient")) == [0, 1, 2]
    assert array_of(content["edges"][-1]["value"]).shape == (1000,)
    assert all(len(step["channels"]) >= 1 for step in content["steps"])


def test_images_that_are_too_large_for_a_page_are_refused(narrow):
    model = na.AlexNet(2, seed=0, variant="torchvision").eval()
    with pytest.raises(ValueError, match=r"of at most 3: images of 400 x 400 pixels are too large"):
        a_page(model, normal((3, 400, 400), "float32"), ["a", "b"])
