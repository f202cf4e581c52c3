"""docs/paper.md: each row of its tables is held against the code that the row names.

A check receives what the row says of the paper, as numbers, and the things that the row names, imported.
"""

import re
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import npalexnet as na
from npalexnet.alexnet import VARIANTS
from npalexnet.data.pipeline import evaluation_pipeline, ten_cropped, training_pipeline
from npalexnet.data.statistics import Statistics
from npalexnet.layers.parameter import Parameter
from npalexnet.training import RECIPES
from npalexnet.windows import Geometry

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
LINK = re.compile(r"\[`([\w./]+)::([\w.]+)`\]\(\.\./([\w./]+)\)")
PAPER = RECIPES["paper"]
CHECKS = {}


def rows_of_page():
    """Return (section, name): (what the paper says, what is here), for each row of each table."""
    rows = {}
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        for line in re.findall(r"^\| [^|-].*$", section, re.MULTILINE):
            name, paper, here = (cell.strip() for cell in line.strip("|").split("|"))
            rows[section.split()[0], name] = paper, here
    return rows


ROWS = rows_of_page()


def row(section, name):
    """Register a check of a row."""

    def register(check):
        assert (section, name) not in CHECKS
        CHECKS[section, name] = check
        return check

    return register


def resolve(path, name):
    """Import what a link names: a function, a class, or a method of a class."""
    found = import_module(path.removesuffix(".py").replace("/", "."))
    for part in name.split("."):
        found = getattr(found, part)
    assert found.__module__ == path.removesuffix(".py").replace("/", "."), f"{name} is only imported into {path}"
    return found


def numbers(text):
    """Return the numbers in a text; letters beside a digit (the 1 of conv1) make it none."""
    return [float(n) for n in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?:e-?\d+)?(?![\w])", text)]


@pytest.fixture(scope="module")
def model():
    return na.AlexNet(variant="paper", init="paper")


@pytest.fixture(scope="module")
def leaves(model):
    return [layer for _, layer in model.named_leaves()]


def test_every_row_has_a_check_and_every_check_a_row():
    assert ROWS.keys() == CHECKS.keys()


def test_every_link_leads_to_the_file_that_it_names():
    found = LINK.findall(PAGE)
    assert len(found) >= len(ROWS)
    assert len(found) == len(re.findall(r"::", PAGE))
    for path, name, target in found:
        assert path == target
        assert (ROOT / path).is_file()
        resolve(path, name)


def test_links_to_other_pages_lead_to_headings_that_are_there():
    for page, heading in re.findall(r"\]\(([\w-]+\.md)(?:#([\w-]+))?\)", PAGE):
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        headings = [re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.M)]
        assert heading in ("", *headings), (page, heading)


@pytest.mark.parametrize(("section", "name"), ROWS)
def test_the_code_does_what_the_row_says(section, name, request):
    paper, here = ROWS[section, name]
    things = [resolve(path, thing) for path, thing, _ in LINK.findall(here)]
    assert things, "a row names the code that it speaks of"
    if any(getattr(thing, "__name__", "") == "paper" for thing in things):
        assert VARIANTS["paper"].figure in things  # what the fixtures were made by
    check = CHECKS[section, name]
    wanted = check.__code__.co_varnames[: check.__code__.co_argcount]
    given = {"paper": paper, "here": here, "things": things, "thing": things[0]}
    check(**{k: given[k] if k in given else request.getfixturevalue(k) for k in wanted})


def picture(height=300, width=400, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def statistics(**others):
    return Statistics((0.5, 0.4, 0.3), (0.2, 0.2, 0.2), **others)


@row("2", "size")
def _(paper, thing):
    (size,) = numbers(paper)
    assert thing().size == size
    whole = Image.fromarray(picture(512, 1024))
    middle = whole.resize((512, 256), Image.Resampling.BILINEAR).crop((128, 0, 384, 256))
    np.testing.assert_array_equal(np.asarray(thing()(whole, None)), np.asarray(middle))


@row("2", "mean")
def _(paper, things):
    subtract, pipeline = things
    mean = np.random.default_rng(1).random((256, 256, 3), np.float32)
    steps = pipeline(statistics(mean_image=mean), PAPER.augment, pixels=PAPER.pixels, image_size=224).transforms
    (found,) = (step for step in steps if isinstance(step, subtract))
    x = np.ones((256, 256, 3), np.float32)
    np.testing.assert_array_equal(found(x, None), 1 - mean)
    _, last = numbers(paper)
    zero, one = (steps[-1](np.full((1, 1, 3), value, np.float32), None) for value in (0, 1))
    np.testing.assert_allclose([zero, one - last], 0, atol=1e-4)  # from 0 to 1 becomes from 0 to 255, and no more


@row("3.1", "function")
def _(thing):
    np.testing.assert_array_equal(thing()(np.array([[-2.0, 0.0, 3.0]])), [[0, 0, 3]])


@row("3.1", "place")
def _(paper, leaves):
    with_weights = [i for i, layer in enumerate(leaves) if isinstance(layer, na.Conv2d | na.Linear)]
    followed = [isinstance(leaves[i + 1], na.ReLU) for i in with_weights[:-1]]
    assert all(followed)
    assert [float(sum(isinstance(layer, na.ReLU) for layer in leaves))] == numbers(paper) == [len(followed)]


@row("3.2", "groups")
def _(paper, things, leaves):
    convolution, _ = things
    convs = [layer for layer in leaves if isinstance(layer, convolution)]
    assert [i for i, layer in enumerate(convs, 1) if layer.groups == 2] == numbers(paper)
    assert {layer.groups for layer in convs} == {1, 2}
    one, halves = na.Conv2d(4, 6, 3, groups=2, seed=0, dtype="float64"), []
    x = np.random.default_rng(0).standard_normal((2, 4, 5, 5))
    for i in range(2):
        half = na.Conv2d(2, 3, 3, dtype="float64")
        half.weight.data[...], half.bias.data[...] = (p.data[3 * i : 3 * i + 3] for p in (one.weight, one.bias))
        halves.append(half(x[:, 2 * i : 2 * i + 2]))
    with na.convolution_algorithm("im2col"):
        y = one(x)
    np.testing.assert_allclose(y, np.concatenate(halves, axis=1), rtol=1e-12, atol=1e-12)


@row("3.3", "formula")
def _(things):
    layer, loops = things
    x, k, n, alpha, beta = np.random.default_rng(0).standard_normal((1, 7, 2, 1)), 2.0, 5, 0.3, 0.75
    expected = np.empty_like(x)
    for c in range(7):
        around = x[:, max(0, c - n // 2) : min(6, c + n // 2) + 1]
        expected[:, c] = x[:, c] / (k + alpha * (around**2).sum(axis=1)) ** beta
    np.testing.assert_allclose(layer(n, alpha, beta, k, divide_alpha=False)(x), expected, rtol=1e-12)
    np.testing.assert_allclose(loops(x, n, alpha, beta, k, divide_alpha=False), expected, rtol=1e-12)


@row("3.3", "constants")
def _(paper, here, leaves):
    said = dict(re.findall(r"(\w+) = (\d[\d.e-]*)", paper))
    assert said.keys() == {"k", "n", "alpha", "beta"}
    norms = [layer for layer in leaves if isinstance(layer, na.LocalResponseNorm)]
    assert len(norms) == 2
    for norm in norms:
        found = {"k": norm.k, "n": norm.size, "alpha": norm.alpha, "beta": norm.beta}
        assert found == {name: float(value) for name, value in said.items()}
        assert "divide_alpha=False" in here
        assert norm.divisor == 1


@row("3.3", "place")
def _(paper, leaves):
    kinds = [type(layer).__name__ for layer in leaves]
    convs = [i for i, kind in enumerate(kinds) if kind == "Conv2d"]
    after = [kinds[first + 1 : last] for first, last in pairwise([*convs, kinds.index("Flatten")])]
    normalised = ["ReLU", "LocalResponseNorm", "MaxPool2d"]
    assert [i for i, found in enumerate(after, 1) if found == normalised] == numbers(paper)
    assert kinds.count("LocalResponseNorm") == len(numbers(paper))


@row("3.4", "windows")
def _(paper, things, leaves):
    z, s = numbers(paper)
    pools = [layer for layer in leaves if isinstance(layer, things[0])]
    assert [(pool.kernel_size, pool.stride) for pool in pools] == 3 * [((z, z), (s, s))]


@row("3.4", "gradient")
def _(things):
    pool, loops = things
    x = np.zeros((1, 5, 5, 1))
    x[0, 2, 2, 0] = 1  # the largest number of all four windows
    windows = Geometry((3, 3), (2, 2), (1, 1), ((0, 0), (0, 0))).windows("a pool", (1, 1, 5, 5))
    grad_y = np.arange(1.0, 5.0).reshape(1, 2, 2, 1)
    for grad_x in (
        pool(x, windows)[1](grad_y)[0, ..., 0],
        loops(grad_y.transpose(0, 3, 1, 2), x.transpose(0, 3, 1, 2), (3, 3), (2, 2))[0, 0],
    ):
        assert grad_x[2, 2] == 1 + 2 + 3 + 4
        assert np.count_nonzero(grad_x) == 1


@row("3.5", "kernels")
def _(paper, leaves):
    convs = [layer for layer in leaves if isinstance(layer, na.Conv2d)]
    assert len(convs) == paper.count(" of ")
    for layer, said in zip(convs, paper.split(";"), strict=True):
        O, kH, kW, C, *stride = numbers(said)
        assert layer.weight.shape == (O, C, kH, kW)
        assert layer.stride == (tuple(stride) or (1,)) * 2


@row("3.5", "pools")
def _(paper, leaves):
    convs, pooled = 0, []
    for layer in leaves:
        convs += isinstance(layer, na.Conv2d)
        pooled += [convs] if isinstance(layer, na.MaxPool2d) else []
    assert pooled == numbers(paper)


@row("3.5", "linear")
def _(paper, thing, leaves):
    assert [layer.weight.shape[0] for layer in leaves if isinstance(layer, thing)] == numbers(paper)


@row("3.5", "loss")
def _(thing):
    logits, labels = np.random.default_rng(0).standard_normal((4, 3)), np.array([0, 2, 1, 1])
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert thing()(logits, labels) == pytest.approx(-np.log(softmax[range(4), labels]).mean(), rel=1e-12)


@row("3.5", "neurons")
def _(paper, here, thing, model):
    layers = [layer for layer in thing(model, (1, 3, 224, 224), 4) if layer.kind in ("Conv2d", "Linear")]
    first, *others = (np.prod(layer.output_shape) for layer in layers)
    wrong, *said = numbers(paper)
    assert others == said
    assert [first] == numbers(here.replace(LINK.search(here)[0], ""))
    assert first == 55 * 55 * 96 != wrong


@row("3.5", "image")
def _(paper, here, thing, model, leaves):
    H, W, C, count = numbers(paper)
    assert count == H * W * C
    assert isinstance(model, thing)
    assert model.image_size == H == W
    assert VARIANTS["paper"].image_size == H
    assert leaves[0].padding == (2, 2)
    assert "2 columns of padding" in here
    assert leaves[0].output_shape((1, 3, 224, 224)) == (1, 96, 55, 55)


def augmented():
    return training_pipeline(statistics(), PAPER.augment, pixels=PAPER.pixels, image_size=224).transforms


@row("4.1", "crops")
def _(paper, here, thing):
    size, _, whole, _ = numbers(paper)
    steps = augmented()
    assert steps[0].size == whole
    (crop,) = (step for step in steps if type(step) is thing)
    assert crop.size == size
    assert {v.image_size for v in VARIANTS.values()} == {size, 227}
    assert "227" in here
    rng, x = np.random.default_rng(0), np.arange(12.0).reshape(3, 4, 1) * np.ones(3)
    corners = {thing(2)(x, rng)[0, 0, 0] for _ in range(200)}
    assert corners == {0, 1, 2, 4, 5, 6}  # all places of 2 x 2 in 3 x 4


@row("4.1", "flips")
def _(here, thing):
    (flip,) = (step for step in augmented() if type(step) is thing)
    assert [flip.p] == numbers(here.split("probability")[1])
    x = np.arange(6.0).reshape(1, 2, 3)
    rng = np.random.default_rng(0)
    found = [flip(x, rng) for _ in range(400)]
    mirrored = [np.array_equal(y, x[:, ::-1]) for y in found]
    assert all(np.array_equal(y, x) for y, m in zip(found, mirrored, strict=True) if not m)
    assert 0.4 < np.mean(mirrored) < 0.6


@row("4.1", "ten")
def _(things):
    crop, log_probabilities = things
    x = np.arange(5 * 7 * 3.0).reshape(5, 7, 3)
    squares = [x[:3, :3], x[:3, 4:], x[2:, :3], x[2:, 4:], x[1:4, 2:5]]
    np.testing.assert_array_equal(crop(3)(x, None), [*squares, *(square[:, ::-1] for square in squares)])
    ten = ten_cropped(evaluation_pipeline(statistics(), PAPER.augment, pixels=PAPER.pixels, image_size=224))
    assert ten.output_shape == (10, 3, 224, 224)
    logits = np.random.default_rng(0).standard_normal((2, 10, 3, 1, 1))
    softmax = (np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True))[..., 0, 0]
    found = log_probabilities(na.Sequential(na.Flatten()), logits)
    np.testing.assert_allclose(np.exp(found), softmax.mean(axis=1), rtol=1e-12)


@row("4.1", "components")
def _(thing):
    pictures = [(Image.fromarray(picture(256, 256, seed)), 0) for seed in range(2)]
    found = thing(pictures)
    colours = np.concatenate([np.asarray(image).reshape(-1, 3) for image, _ in pictures]) / 255
    vectors = np.array(found.eigenvectors)
    np.testing.assert_allclose(
        vectors @ np.diag(found.eigenvalues) @ vectors.T, np.cov(colours.T, bias=True), atol=1e-12
    )
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=1e-12)


@row("4.1", "colours")
def _(paper, thing):
    (deviation,) = numbers(paper)
    values, vectors = (0.09, 0.04, 0.01), ((0.6, 0.8, 0.0), (0.8, -0.6, 0.0), (0.0, 0.0, 1.0))
    (jitter,) = (
        step
        for step in training_pipeline(statistics(eigenvalues=values, eigenvectors=vectors), PAPER.augment).transforms
        if isinstance(step, thing)
    )
    assert jitter.sigma == deviation
    rng, x = np.random.default_rng(0), np.zeros((2, 2, 3), np.float32)
    shifts = np.array([jitter(x, rng) for _ in range(4000)])
    assert (shifts == shifts[:, :1, :1]).all()  # all pixels by the same
    along = shifts[:, 0, 0] @ np.array(vectors)
    np.testing.assert_allclose(along.std(axis=0), deviation * np.sqrt(values), rtol=0.05)


@row("4.2", "probability")
def _(paper, thing, leaves):
    _, probability = numbers(paper)
    assert {layer.p for layer in leaves if isinstance(layer, thing)} == {probability}
    assert (thing(probability, seed=0)(np.ones((1, 10_000))) == 0).mean() == pytest.approx(probability, abs=0.02)


@row("4.2", "place")
def _(leaves):
    kinds = [type(layer).__name__ for layer in leaves]
    assert kinds[kinds.index("Flatten") + 1 :] == [*2 * ["Linear", "ReLU", "Dropout"], "Linear"]


@row("4.2", "scale")
def _(paper, here, thing):
    (factor,) = numbers(paper)
    layer, x = thing(0.5, seed=0), np.full((1, 100), 3.0)
    assert set(layer(x).ravel()) == {0, 3 / factor}
    assert f"divides by {factor}" in here
    np.testing.assert_array_equal(layer.eval()(x), x)


@row("5", "batch")
def _(paper, thing):
    assert isinstance(PAPER, thing)
    assert [PAPER.batch_size] == numbers(paper)


@row("5", "momentum")
def _(paper):
    assert [PAPER.momentum] == numbers(paper)
    assert PAPER.trainer_settings()["momentum"] == PAPER.momentum


@row("5", "decay")
def _(paper):
    assert [PAPER.weight_decay] == numbers(paper)
    assert PAPER.bias_decay_factor == PAPER.bias_lr_factor == 1  # the paper has no exception for biases


@row("5", "rule")
def _(paper, thing):
    momentum, decay = numbers(paper)
    assert (momentum, decay) == (PAPER.momentum, PAPER.weight_decay)
    rng, lr = np.random.default_rng(0), 0.01
    w = rng.standard_normal(5)
    parameter, v = Parameter(w.copy()), np.zeros(5)
    optimizer = thing([parameter], lr, momentum, weight_decay=decay)
    for _ in range(5):
        parameter.grad = rng.standard_normal(5)
        v = momentum * v - decay * lr * w - lr * parameter.grad
        w = w + v
        optimizer.step()
        np.testing.assert_allclose(parameter.data, w, rtol=1e-12)


@row("5", "weights")
def _(paper, thing, leaves):
    mean, deviation = numbers(paper)
    thing(leaves[0], [(deviation, 0)], 1)  # drawn again by what the row names; the others by AlexNet
    for layer in leaves:
        if isinstance(layer, na.Conv2d | na.Linear):
            weight = layer.weight.data
            assert weight.mean(dtype=np.float64) == pytest.approx(mean, abs=4 * deviation / weight.size**0.5)
            assert weight.std(dtype=np.float64) == pytest.approx(deviation, rel=4 / weight.size**0.5)


@row("5", "biases")
def _(paper, thing, leaves):
    one, *convolutions, zero = numbers(paper)
    small = na.Linear(2, 3)
    thing(small, [(0.01, one)], 1)
    assert set(small.bias.data) == {one}
    convs = [layer for layer in leaves if isinstance(layer, na.Conv2d)]
    linear = [layer for layer in leaves if isinstance(layer, na.Linear)]
    ones = [convs[int(i) - 1] for i in convolutions] + linear[:-1]
    for layer in (*convs, *linear):
        assert set(layer.bias.data) == {one if layer in ones else zero}


@row("5", "rate")
def _(paper, thing):
    lr, factor, times = numbers(paper)
    assert (PAPER.lr, PAPER.schedule) == (lr, "plateau")
    plateau, rates = thing(lr), []
    for _ in range(40):  # validations that get no better
        plateau.report(0.5)
        rates.append(plateau.lr(0))
    expected = [lr / factor**i for i in range(int(times) + 1)]
    np.testing.assert_allclose(sorted(set(rates), reverse=True), expected, rtol=1e-12)


@row("6", "filters")
def _(thing, leaves):
    figure = thing(leaves[0].weight.data)
    assert "96 filters" in figure.axes[0].get_title()


@row("6", "top 5")
def _(thing):
    accumulator = thing(7)
    accumulator.add(np.arange(14.0).reshape(2, 7), np.array([2, 1]))  # the fifth and the sixth most probable
    metrics = accumulator.metrics()
    assert (metrics.top1, metrics.top5) == (0, 0.5)


@row("6", "distances")
def _(paper, thing, leaves, model):
    hidden = [name for name, layer in model.named_leaves() if isinstance(layer, na.ReLU)][-1]
    small = na.Sequential(na.Flatten(), *leaves[-5:-2])  # fc7, its ReLU, its dropout
    found = thing(small, np.ones((2, 4096), np.float32), ["2"])["2"]
    assert [float(found.shape[1])] == numbers(paper)
    assert hidden == "classifier.4"
