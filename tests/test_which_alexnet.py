"""docs/which-alexnet.md has the numbers of the code, and calls that make the layers which it says they make."""

import re
from pathlib import Path

import pytest

import npalexnet as na
from npalexnet.alexnet import VARIANTS
from npalexnet.layers.average_pooling import AdaptiveAvgPool2d
from npalexnet.layers.normalization import LocalResponseNorm, ResponseNorm, SpatialResponseNorm
from npalexnet.layers.summary import summarize
from npalexnet.training import RECIPES

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "which-alexnet.md").read_text(encoding="utf-8")
CALLS = {
    "LocalResponseNorm": LocalResponseNorm,
    "SpatialResponseNorm": SpatialResponseNorm,
    "AdaptiveAvgPool2d": AdaptiveAvgPool2d,
    "Conv2d": na.Conv2d,
}
LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")


def tables(page):
    """Yield a page's tables as lists of rows, each a list of cells; the first one has the names of the columns."""
    for block in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in block.splitlines()]
        yield [rows[0], *rows[2:]]


def by_variant(table):
    """Return the columns of a table that names variants in its first row: cells by the variant and the row's name."""
    header, *rows = table
    names = [re.findall(r"`([\w-]+)`", cell) for cell in header]
    return {name: {row[0]: row[i] for row in rows} for i, found in enumerate(names) for name in found}


DIFFERENCES, COSTS, NORMS, TRAINING, ERRORS = tables(PAGE)


@pytest.fixture(scope="module", params=VARIANTS)
def model(request):
    """One after the other: each has 60 million parameters."""
    return na.AlexNet(init="torch", variant=request.param)


def test_every_variant_has_a_column():
    assert list(by_variant(DIFFERENCES)) == list(VARIANTS)
    assert sorted(by_variant(COSTS)) == sorted(VARIANTS)


def test_sizes_parameters_and_multiply_adds_are_those_of_summary(model):
    size = model.image_size
    layers = list(summarize(model, (1, 3, size, size), item_bytes=4))
    column = by_variant(DIFFERENCES)[model.variant]
    assert column["image"].split(",")[0] == str(size)
    assert column["parameters"] == f"{sum(layer.parameters for layer in layers):,}"
    assert column["multiply-adds (M)"] == f"{sum(layer.multiply_adds for layer in layers) / 1e6:,.1f}"
    costs = [f"{x.parameters:,}; {x.multiply_adds / 1e6:,.1f}" for x in layers if x.parameters]
    assert list(by_variant(COSTS)[model.variant].items()) == list(zip(LAYERS, costs, strict=True))
    maxima = [layer.output_shape[1:] for layer in layers if layer.kind in ("Conv2d", "MaxPool2d")]
    assert [shape[1:] for shape in maxima] == [(n, n) for n in (55, 27, 27, 13, 13, 13, 13, 6)]
    assert maxima[-1] == (256, 6, 6)


def test_layers_groups_and_order_are_those_of_the_figure(model):
    column, leaves = by_variant(DIFFERENCES)[model.variant], [layer for _, layer in model.named_leaves()]
    words = {"ReLU": "ReLU", "MaxPool2d": "pool", "LocalResponseNorm": "LRN", "SpatialResponseNorm": "LRN over pixels",
             "AdaptiveAvgPool2d": "average to 6 x 6"}  # fmt: skip
    at = [i for i, layer in enumerate(leaves) if isinstance(layer, na.Conv2d)]
    for number, (first, last) in enumerate(
        zip(at, [*at[1:], leaves.index(last_of(leaves, na.Flatten))], strict=True), 1
    ):
        conv = leaves[first]
        cell = next(text for row, text in column.items() if row.startswith(f"conv{number}"))
        said = re.fullmatch(r"(\d+)(?: in (\d) groups)?(?:, padding (\d)|, (windows hang over))?", cell)
        assert int(said[1]) == conv.out_channels
        assert int(said[2] or 1) == conv.groups
        if number == 1:
            assert ((int(said[3] or 0),) * 2, said[4] is not None) == (conv.padding, conv.ceil_mode)
        after = [words[type(layer).__name__] for layer in leaves[first + 1 : last]]
        assert column.get(f"after conv{number}", "ReLU") == ", ".join(after)
    dropped_first = isinstance(leaves[leaves.index(last_of(leaves, na.Flatten)) + 1], na.Dropout)
    assert ("before" if dropped_first else "after") == column["dropout"].split()[0]


def last_of(leaves, kind):
    return [layer for layer in leaves if isinstance(layer, kind)][-1]


def test_the_calls_on_the_page_make_the_layers_of_the_variants(model):
    said = []
    for first, k, alpha, call in NORMS[1:]:
        if call != "none" and model.variant in re.findall(r"`([\w-]+)`", first):
            layer = eval(call.strip("`"), {}, CALLS)
            assert float(k) == layer.k
            assert eval(alpha) == pytest.approx(layer.alpha / layer.divisor, rel=1e-12)
            said.append(repr(layer))
    leaves = [layer for _, layer in model.named_leaves()]
    assert said == list(dict.fromkeys(repr(layer) for layer in leaves if isinstance(layer, ResponseNorm)))
    hanging, average = re.findall(r"`((?:Conv2d|AdaptiveAvgPool2d)\([^`]*\))`", PAGE)
    if model.variant == "released":
        assert repr(eval(hanging, {}, CALLS)) == repr(leaves[0])
    if model.variant == "torchvision":
        assert repr(eval(average, {}, CALLS)) == repr(model.avgpool)


def test_the_table_of_trainings_is_that_of_the_recipes():
    table = {row[0]: row[1:] for row in TRAINING[1:]}
    recipes = {cell.strip("`").split()[-1]: i for i, cell in enumerate(table["here"]) if cell}
    assert recipes.keys() == RECIPES.keys() - {"simple"}
    for name, i in recipes.items():
        recipe = RECIPES[name]
        assert int(table["images a step"][i]) == recipe.batch_size
        assert float(table["learning rate"][i]) == recipe.lr
        assert float(table["momentum"][i]) == recipe.momentum
        assert float(table["weight decay"][i]) == recipe.weight_decay
        assert {"the same": 1, "doubled": 2}[table["biases' learning rate"][i].split(";")[0]] == recipe.bias_lr_factor
        assert {"the same": 1, "not said": 1, "none": 0}[table["biases' decay"][i]] == recipe.bias_decay_factor
        assert table["pixels less their mean"][i].startswith({"255": "0 to 255", "std": "divided"}[recipe.pixels])
        assert ("colours" in table["augmentation"][i]) == (recipe.augment == "paper")


def test_error_rates_are_the_published_ones():
    """Accuracies of caffe, caffenet and torchvision, errors of the others, as their files have them."""
    published = {
        "paper": (40.7, 18.2), "released, at epoch 91": (40.664, 18.21),
        "released, trained on to epoch 135": (40.25, 17.994),
        "caffe": (100 - 57.1, 100 - 80.2), "caffenet": (100 - 57.4, 100 - 80.4),
        "torchvision": (100 - 56.522, 100 - 79.066), "one weird trick": (42.548, 19.81), "the same": (40.42, 18.15),
    }  # fmt: skip
    found = {row[0]: tuple(float(cell.rstrip(" %")) for cell in row[1:3]) for row in ERRORS[1:]}
    assert found.keys() == published.keys()
    for name, errors in published.items():
        assert found[name] == pytest.approx(errors, abs=0.0501), name


def test_the_table_of_recipes_in_the_page_on_training_is_that_of_the_code():
    header, *rows = next(
        table for table in tables((DOCS / "training.md").read_text(encoding="utf-8")) if table[0][1] == "`simple`"
    )
    found = {row[0].strip("`").removeprefix("--").replace("-", "_"): row[1:] for row in rows}
    assert [name.strip("`") for name in header[1:]] == list(RECIPES)
    for i, recipe in enumerate(RECIPES.values()):
        options = recipe.options()
        assert found.keys() == options.keys()
        for name, value in options.items():
            assert (
                (found[name][i] == value) if isinstance(value, str) else value is None or float(found[name][i]) == value
            )
