"""The page of ``npalexnet explain`` as a reader uses it: what it shows at a click, a tap or a key, against torch."""

import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

import npalexnet as na
from npalexnet.explain.page import explain
from npalexnet.inference.classifier import Classifier
from tests.browser.pages import BOOT
from tests.explain.reading import content_of
from tests.explain.torch_way import TorchWay
from tests.support import normal

SUPERSCRIPTS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


@pytest.fixture(scope="module")
def ways():
    return {}


@pytest.fixture
def way(trained_run, pages, ways):
    """What torch computes of the picture on the page; its `calls` by the titles of the layers."""
    if not ways:
        classifier = Classifier.load(trained_run)
        with Image.open(BOOT) as picture:
            image = classifier.inputs([picture])[0]
        content = content_of(pages["explain"].read_text(encoding="utf-8"))
        found = TorchWay(classifier.model, image, content["label"])
        steps = [step for step in content["steps"] if step["kind"] != "dropout"]
        found.by_title = {step["title"]: call for step, call in zip(steps, found.calls, strict=True)}
        found.steps = {step["title"]: step for step in steps}
        ways["explain"] = found
    return ways["explain"]


def number(text):
    return float(text.replace("\u2212", "-").replace(",", ""))


def close(text, expected):
    """Whether four digits that are shown are those of the number, which is torch's and not rounded to float32."""
    expected = float(expected.detach() if isinstance(expected, torch.Tensor) else expected)
    return number(text) == pytest.approx(expected, rel=6e-4, abs=1e-9 + 1e-6 * abs(expected))


def line(page, name):
    return page.locator(f"[data-name={name}]").inner_text()


def cells(page, name):
    """Return the numbers of a matrix on the page, and half a unit of their last digit."""
    figure = page.locator(f"figure:has(#{name})")
    unit = re.search(r"in units of 10(\S+)$", figure.locator("figcaption").inner_text())
    factor = 10.0 ** int(unit[1].translate(SUPERSCRIPTS)) if unit else 1
    rows = [row.locator("td").all_inner_texts() for row in figure.locator("tr").all()]
    decimals = max(len(text.partition(".")[2]) for row in rows for text in row)
    return factor * np.array([[number(text) for text in row] for row in rows]), factor * 0.51 * 10.0**-decimals


def choose(page, title, *, backward=False, channel=None, source=None):
    page.get_by_role("button", name="Backward" if backward else "Forward", exact=True).click()
    page.get_by_role("tab", name=title).first.click()
    for name, value in (("output", channel), ("input", source)):
        if value is not None:
            page.locator(f"#{name}-{value}").click()


def point(page, place, size, act="click", name="target"):
    """Click, hover or tap the middle of a number of a map."""
    canvas = page.locator(f"#{name}")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    position = {
        "x": (place[1] + 0.5) * box["width"] / size[1],
        "y": (place[0] + 0.5) * box["height"] / size[0],
    }
    getattr(canvas, act)(position=position)


def lit(page):
    return page.get_by_role("status").inner_text()


@pytest.mark.parametrize("act", ["click", "hover", "tap"])
def test_an_output_of_a_convolution_is_the_sum_of_the_products_that_are_shown(opened, pages, way, act):
    page = opened(pages["explain"], width=360 if act == "tap" else 1280, touch=act == "tap")
    module, x, y = way.by_title["convolution 2"]
    o = way.steps["convolution 2"]["channels"][1]
    unit = way.steps["convolution 2"]["units"][str(o)]
    c = unit["inputs"][-1]
    choose(page, "convolution 2", channel=o, source=c)
    for place in ((0, 3), (13, 12)):  # at the border, where two rows of the window are padding, and inside
        point(page, place, (27, 27), act)
        assert f"Output ({place[0]}, {place[1]}) of convolution 2, channel {o}: window rows" in lit(page)
        assert f"row {place[0] * 27 + place[1]} of the columns matrix" in lit(page)
        padded = F.pad(x, (2, 2, 2, 2))[0].detach().numpy()
        window = padded[:, place[0] : place[0] + 5, place[1] : place[1] + 5]
        kernel = module.weight[o].detach().numpy()
        for name, expected in (("window", window[c]), ("kernel", kernel[c]), ("products", window[c] * kernel[c])):
            found, half = cells(page, name)
            np.testing.assert_allclose(found, expected, rtol=0, atol=half)
        parts = (window * kernel).sum(axis=(1, 2))
        for k, channel in enumerate(unit["inputs"]):
            assert close(line(page, f"part-{k}"), parts[channel])
        assert close(line(page, "rest"), np.delete(parts, unit["inputs"]).sum())
        assert close(line(page, "bias"), module.bias[o])
        assert close(line(page, "output"), y[0, o, place[0], place[1]])
        assert close(line(page, "relu"), y[0, o, place[0], place[1]].relu())
        assert close(re.search(r"add up to (\S+),", lit(page))[1], y[0, o, place[0], place[1]])
    assert page.locator("#window .outside").count() == 0
    point(page, (0, 3), (27, 27), "tap" if act == "tap" else "click")
    assert page.locator("#window .outside").count() == 10


def test_the_first_convolution_has_all_its_products(opened, pages, way):
    page = opened(pages["explain"])
    module, x, y = way.by_title["convolution 1"]
    o = way.steps["convolution 1"]["channels"][0]
    choose(page, "convolution 1", channel=o, source=1)
    point(page, (20, 30), (55, 55))
    products = (x[0, :, 80:91, 120:131] * module.weight[o]).detach().numpy()
    found, half = cells(page, "products")
    np.testing.assert_allclose(found, products[1], rtol=0, atol=half)
    assert [close(line(page, f"part-{k}"), products[k].sum()) for k in range(3)] == [True] * 3
    assert page.locator("[data-name=rest]").count() == 0
    assert close(line(page, "output"), y[0, o, 20, 30])


def test_a_gradient_of_a_convolution_goes_where_torch_sends_it(opened, pages, way):
    page = opened(pages["explain"])
    module, x, y = way.by_title["convolution 2"]
    o = way.steps["convolution 2"]["channels"][0]
    c = way.steps["convolution 2"]["units"][str(o)]["inputs"][0]
    choose(page, "convolution 2", backward=True, channel=o, source=c)
    upstream = y.grad[0, o].numpy()
    inner = np.abs(upstream[4:-4, 4:-4])
    place = [int(i) + 4 for i in np.unravel_index(inner.argmax(), inner.shape)]
    point(page, place, (27, 27))
    g = upstream[place[0], place[1]]
    assert f"Gradient of output ({place[0]}, {place[1]}) of convolution 2, channel {o}: g = " in lit(page)
    assert close(line(page, "g"), g)
    kernel = module.weight[o, c].detach().numpy()
    top, left = place[0] - 2, place[1] - 2
    window = x[0, c, top : top + 5, left : left + 5].detach().numpy()
    for name, expected in (("kernel", kernel), ("to-input", g * kernel), ("window", window), ("to-kernel", g * window)):
        found, half = cells(page, name)
        np.testing.assert_allclose(found, expected, rtol=0, atol=half)
    page.locator("#to-input td").nth(5 * 1 + 3).click()  # row 1, column 3
    assert close(line(page, "to-input"), g * kernel[1, 3])
    of_channel = F.conv_transpose2d(y.grad[:, o : o + 1], module.weight[o : o + 1, c : c + 1], padding=2)[0, 0]
    assert close(line(page, "windows"), of_channel[top + 1, left + 3].detach())
    assert close(line(page, "input"), x.grad[0, c, top + 1, left + 3])
    assert close(line(page, "to-kernel"), g * window[1, 3])
    assert close(line(page, "kernel"), module.weight.grad[o, c, 1, 3])
    assert close(line(page, "bias"), module.bias.grad[o])
    assert f"pixel ({top + 1}, {left + 3})" in page.locator("#view").inner_text()
    page.locator("#source").focus()
    page.keyboard.press("ArrowDown")  # to the next pixel of the same window
    assert f"Gradient of output ({place[0]}, {place[1]})" in lit(page)
    assert close(line(page, "to-input"), g * kernel[2, 3])
    assert close(line(page, "input"), x.grad[0, c, top + 2, left + 3])


def test_a_pixel_that_several_windows_of_a_pool_have_chosen_gets_all_their_gradients(opened, pages, way):
    page = opened(pages["explain"])
    _, x, y = way.by_title["pooling 1"]
    step = way.steps["pooling 1"]
    _, flat = F.max_pool2d(x, 3, 2, return_indices=True)
    c, winner, pairs = next(
        (c, int(pixel), np.argwhere((flat[0, c] == pixel).numpy()))
        for c in step["channels"]
        for pixel in flat[0, c].unique()
        if ((flat[0, c] == pixel) & (y.grad[0, c] != 0)).sum() > 1
    )
    choose(page, "pooling 1", channel=c)
    place = pairs[0].tolist()
    point(page, place, (27, 27))
    found, half = cells(page, "window")
    rows, columns = slice(2 * place[0], 2 * place[0] + 3), slice(2 * place[1], 2 * place[1] + 3)
    np.testing.assert_allclose(found, x[0, c, rows, columns].detach(), rtol=0, atol=half)
    assert close(line(page, "output"), y[0, c, place[0], place[1]])
    pixel = f"({winner // 55}, {winner % 55})"
    assert f"is at pixel {pixel}" in lit(page)
    choose(page, "pooling 1", backward=True, channel=c)
    point(page, place, (27, 27))
    assert f"goes to the pixel that was the largest, {pixel}" in lit(page)
    terms = line(page, "to-input").split(" + ")
    assert len(terms) == len(pairs)
    for term, (p, q) in zip(terms, pairs.tolist(), strict=True):
        assert close(term, y.grad[0, c, p, q])
    assert f"the largest in {len(pairs)}" in page.locator("#view").inner_text()
    assert close(line(page, "input"), x.grad[0, c, winner // 55, winner % 55])


def test_of_equal_numbers_the_first_is_said_to_have_won(opened, pages, way):
    page = opened(pages["explain"])
    _, x, y = way.by_title["pooling 1"]
    channels = way.steps["pooling 1"]["channels"]
    c = next(c for c in channels if (y[0, c] == 0).any())
    p, q = np.argwhere((y[0, c] == 0).numpy())[0].tolist()
    assert (x[0, c, 2 * p : 2 * p + 3, 2 * q : 2 * q + 3] == 0).all()
    choose(page, "pooling 1", channel=c)
    point(page, (p, q), (27, 27))
    assert lit(page).endswith(f"the largest number, 0, is at pixel ({2 * p}, {2 * q}), the first of 9 equal ones.")


def test_keys_walk_over_outputs_and_say_where_they_are(opened, pages, way):
    page = opened(pages["explain"])
    choose(page, "ReLU 1")
    page.locator("#target").focus()
    _, x, y = way.by_title["ReLU 1"]
    c = way.steps["ReLU 1"]["channels"][0]
    row = column = 0
    page.keyboard.press("Home")
    for _ in range(60):
        page.keyboard.press("ArrowUp")
    for key, down, across in (("ArrowRight", 0, 1), ("ArrowDown", 1, 0), ("End", 0, 53), ("PageDown", 5, 0),
                              ("ArrowRight", 0, 0), ("ArrowLeft", 0, -1), ("PageUp", -5, 0)):  # fmt: skip
        page.keyboard.press(key)
        row, column = row + down, column + across
        assert f"Output ({row}, {column}) of channel {c}, ReLU 1" in lit(page)
        assert close(line(page, "input"), x[0, c, row, column])
        assert close(line(page, "output"), y[0, c, row, column])
    page.get_by_role("button", name="down", exact=True).click()
    assert f"Output ({row + 1}, {column}) of channel {c}, ReLU 1" in lit(page)
    page.get_by_role("button", name="largest number").click()
    assert number(line(page, "output")) == pytest.approx(float(y[0, c].detach().max()), rel=6e-4)


def test_a_click_holds_an_output_and_a_second_one_lets_go(opened, pages):
    page = opened(pages["explain"], width=360)
    choose(page, "ReLU 3")
    point(page, (2, 3), (13, 13), "hover")
    assert "Output (2, 3)" in lit(page)
    point(page, (4, 5), (13, 13))
    point(page, (9, 9), (13, 13), "hover")
    assert "Output (4, 5)" in lit(page)
    point(page, (4, 5), (13, 13))
    point(page, (9, 9), (13, 13), "hover")
    assert "Output (9, 9)" in lit(page)


@pytest.mark.parametrize("width", [360, 1280])
def test_what_is_pointed_at_stays_where_it_is(opened, pages, width):
    """Sentences of other lengths must not push the map from under the pointer."""
    page = opened(pages["explain"], width=width)
    choose(page, "convolution 2", backward=True)
    page.locator("#target").scroll_into_view_if_needed()
    places = set()
    for row, column in ((0, 0), (13, 13), (26, 26), (10, 3), (17, 20)):
        point(page, (row, column), (27, 27), "hover")
        assert f"({row}, {column})" in lit(page)
        places.add(str(page.locator("#target").bounding_box()))
    assert len(places) == 1


def test_keys_walk_over_the_numbers_of_a_window(opened, pages, way):
    page = opened(pages["explain"])
    choose(page, "convolution 3")
    cell = page.locator("#kernel td.chosen")
    assert cell.count() == 1
    cell.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert page.locator("#cell").inner_text().startswith("Row 2, column 2 of the window: ")
    assert page.evaluate("document.activeElement.className").endswith("chosen")
    for name in ("window", "kernel", "products"):
        assert page.locator(f"#{name} [aria-selected=true]").count() == 1
        assert page.locator(f"#{name} [tabindex='0']").count() == 1


def test_the_layers_are_tabs_that_keys_walk(opened, pages):
    page = opened(pages["explain"])
    titles = page.get_by_role("tab").locator("b").all_inner_texts()
    assert titles[:4] == ["image", "convolution 1", "ReLU 1", "pooling 1"]
    assert titles[-1] == "softmax"
    page.get_by_role("tab", selected=True).focus()
    for key, expected in (("ArrowRight", 2), ("ArrowLeft", 1), ("End", len(titles) - 1), ("Home", 0)):
        page.keyboard.press(key)
        assert page.locator("[role=tab][aria-selected=true] b").inner_text() == titles[expected]
        assert page.evaluate("document.activeElement.querySelector('b').textContent") == titles[expected]
        assert page.locator("[role=tab][tabindex='0']").count() == 1
        assert page.get_by_role("tabpanel").get_attribute("aria-labelledby") == f"tab-{expected}"


def test_a_linear_layers_input_is_found_in_the_maps_that_were_flattened(opened, pages, way):
    page = opened(pages["explain"])
    _, _, pooled = way.by_title["pooling 3"]
    choose(page, "linear layer 1")
    words = page.locator("#origin").inner_text()
    first = page.locator(".list tbody th").first.inner_text()
    assert words.startswith(f"The inputs are the {' × '.join(map(str, pooled.shape[1:]))} numbers")
    unit, row, column, channel = re.search(r"input ([\d,]+) is \((\d+), (\d+)\) of channel (\d+)\.$", words).groups()
    assert unit == first
    assert np.unravel_index(int(number(unit)), pooled.shape[1:]) == (int(channel), int(row), int(column))
    assert close(page.locator(".list tbody td").first.inner_text(), pooled[0, int(channel), int(row), int(column)])
    choose(page, "linear layer 2")
    assert page.locator("#origin").count() == 0


def test_the_end_is_torchs_softmax_and_its_gradient(opened, pages, way):
    page = opened(pages["explain"])
    module, x, y = way.by_title["linear layer 3"]
    step = way.steps["linear layer 3"]
    choose(page, "linear layer 3", channel=step["channels"][0])
    assert close(line(page, "output"), y[0, step["channels"][0]])
    assert close(line(page, "bias"), module.bias[step["channels"][0]])
    rows = [row.locator("th, td").all_inner_texts() for row in page.locator(".list tbody tr").all()]
    for unit, value, weight, product in rows:
        i = int(number(unit))
        assert close(value, x[0, i])
        assert close(weight, module.weight[step["channels"][0], i])
        assert close(product, x[0, i] * module.weight[step["channels"][0], i])
    choose(page, "linear layer 3", backward=True)
    assert close(line(page, "g"), y.grad[0, step["channels"][0]])
    for row in page.locator(".list tbody tr").all():
        unit, value, _, _, total, of_weight = row.locator("th, td").all_inner_texts()
        assert close(total, x.grad[0, int(number(unit))])
        assert close(of_weight, number(value) * float(y.grad[0, step["channels"][0]])) or number(value) == 0
    probabilities = way.logits.softmax(1)[0]
    choose(page, "softmax")
    shown = [row.locator("td").all_inner_texts() for row in page.locator(".list tbody tr").all()]
    for k, (logit, _, p) in zip(step["channels"], shown, strict=True):
        assert close(logit, way.logits[0, k])
        assert close(p, probabilities[k])
    assert close(line(page, "loss"), way.loss)
    choose(page, "softmax", backward=True)
    shown = [row.locator("td").all_inner_texts() for row in page.locator(".list tbody tr").all()]
    for k, (_, target, gradient) in zip(step["channels"], shown, strict=True):
        assert close(gradient, way.logits.grad[0, k] if way.logits.grad is not None else y.grad[0, k])
        assert number(target) == (k == step["channels"][0])


@pytest.fixture
def page_of_variant(narrow, tmp_path, opened):
    """Return what opens a page of a variant, with the model and the image."""

    def make(variant, **options):
        model = na.AlexNet(3, seed=5, variant=variant, init="he").eval()
        image = 50 * normal((3, model.image_size, model.image_size), "float32", seed=1)
        label = int(model(image[None]).argmin())
        picture = np.zeros((*image.shape[1:], 3), np.uint8)
        names = ["<b>one</b>", "two & more " * 20, "thr\"ee' \u00e9" * 20]
        path = tmp_path / f"{variant}.html"
        document = explain(model, image, picture, "a picture", names, label, why="because", title=variant)
        path.write_text(document, encoding="utf-8")
        return opened(path, **options), TorchWay(model, image, label), content_of(document)

    return make


EVERY_LAYER = """
    ["forward", "backward"].flatMap((direction) => {
        document.getElementById(direction).click();
        return [...document.querySelectorAll("[role=tab]")].map((tab) => {
            tab.click();
            const texts = ["layer", "lit"].map((id) => document.getElementById(id).innerText);
            return [...texts, document.documentElement.scrollWidth];
        });
    })
"""


@pytest.mark.parametrize("variant", na.VARIANTS)
def test_every_layer_of_every_variant_is_shown_forward_and_backward(page_of_variant, variant):
    page, way, content = page_of_variant(variant, width=360)
    seen = page.evaluate(EVERY_LAYER)
    assert len(seen) == 2 * (len(content["steps"]) + 2)
    for words, sentence, width in seen:
        assert sentence.endswith(".")
        assert not re.search(r"undefined|NaN|Infinity|\[object", words), words
        assert width <= 360, words
    calls = iter(way.calls)
    for step in content["steps"]:
        _, x, y = (None, None, None) if step["kind"] == "dropout" else next(calls)
        if step["kind"] == "normalization":
            c = step["channels"][-1]
            choose(page, step["title"], channel=c)
            point(page, (7, 8), y.shape[2:])
            assert close(line(page, "output"), y[0, c, 7, 8])
            choose(page, step["title"], backward=True, channel=c)
            point(page, (7, 8), y.shape[2:])
            assert close(line(page, "g"), y.grad[0, c, 7, 8])
            found = number(line(page, "to-input"))
            assert abs(found - float(x.grad[0, c, 7, 8])) <= 1e-6 * float(x.grad.abs().max()) + 6e-4 * abs(found)
        if step["kind"] == "flatten":
            choose(page, step["title"])
            assert close(line(page, "output"), torch.max(x[0, step["channels"][0]]))


def test_axe_finds_no_barrier_in_any_kind_of_layer(opened, pages):
    from axe_playwright_python.sync_playwright import Axe

    page, axe = opened(pages["explain"], width=360), Axe()
    for direction in (False, True):
        for title in ("convolution 2", "pooling 1", "dropout 1", "linear layer 1", "softmax"):
            choose(page, title, backward=direction)
            found = axe.run(page)
            assert len(found.response["violations"]) == 0, found.generate_report()


@pytest.mark.parametrize("width", [320, 360, 700, 1010, 1280])
def test_no_digit_is_cut_off(opened, pages, width):
    page = opened(pages["explain"], width=width)
    for title, backward in (("convolution 1", False), ("convolution 2", True)):
        choose(page, title, backward=backward)
        cut = page.evaluate(
            "[...document.querySelectorAll('.cells td')]"
            ".filter((cell) => cell.scrollWidth > cell.clientWidth).map((cell) => cell.innerText)"
        )
        assert cut == []


def test_buttons_are_large_enough_for_fingers(opened, pages):
    page = opened(pages["explain"], width=360, touch=True)
    for title in ("convolution 1", "linear layer 1"):
        choose(page, title)
        sizes = page.evaluate(
            "[...document.querySelectorAll('button')].map(b => b.getBoundingClientRect()).map(r => [r.width, r.height])"
        )
        assert min(min(size) for size in sizes) >= 44
