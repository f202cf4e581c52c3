"""The numbers of the page against torch and the definitions, for every variant."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import npalexnet as na
from npalexnet import naive
from npalexnet.explain.content import contents
from npalexnet.explain.encoding import encoded
from tests.explain.reading import array_of, edge_of, maps_of
from tests.explain.torch_way import TorchWay
from tests.support import normal

NAMES = ["a", "b", "c", "d"]


class Truth:
    """A network of float64, what the page says of it, and what torch says: outputs and gradients of each layer."""

    def __init__(self, variant):
        model = na.AlexNet(len(NAMES), dtype="float64", seed=5, variant=variant, init="he").eval()
        for parameter in model.parameters():
            if parameter.data.ndim == 1:
                parameter.data[...] = normal(parameter.shape, seed=len(parameter.data)) / 10
        self.image = 50 * normal((3, model.image_size, model.image_size), seed=1)  # so that normalisation matters
        self.label = int(model(self.image[None]).argmin())  # not the answer, so that there are gradients
        self.content = contents(model, self.image, self.label, NAMES, dropout=0.25)
        self.model, self.steps = model, [s for s in self.content["steps"] if s["kind"] != "dropout"]
        self.indices = [i for i, s in enumerate(self.content["steps"]) if s["kind"] != "dropout"]
        self.way = TorchWay(model, self.image, self.label)
        self.calls, self.x = self.way.calls, self.way.x


@pytest.fixture(scope="module")
def truths():
    return {}


@pytest.fixture(params=na.VARIANTS)
def truth(request, narrow, truths):
    if request.param not in truths:
        truths[request.param] = Truth(request.param)
    return truths[request.param]


def close(actual, expected, tolerance=1e-6):
    """Equal but for the rounding to float32, on the scale of the largest."""
    expected = np.asarray(expected.detach() if isinstance(expected, torch.Tensor) else expected)
    assert np.abs(actual - expected).max() <= tolerance * max(np.abs(expected).max(), 1e-30)


def test_all_outputs_and_gradients_between_the_layers_are_torchs(truth):
    assert len(truth.steps) == len(truth.calls)
    image = truth.content["edges"][0]
    for key, expected in (("value", truth.image), ("gradient", truth.x.grad[0])):
        found = maps_of(image, key)
        assert list(found) == [0, 1, 2]
        for c in range(3):
            close(found[c], expected[c])
    for index, step, (module, _, y) in zip(truth.indices, truth.steps, truth.calls, strict=True):
        edge = edge_of(truth.content, index + 1)
        assert list(edge["shape"]) == list(y.shape[1:]), step["title"]
        for key, expected in (("value", y[0]), ("gradient", y.grad[0])):
            if y.ndim == 2:
                close(array_of(edge[key]), expected)
                continue
            maps = maps_of(edge, key)
            assert set(step["channels"]) <= set(maps), (step["title"], module)
            for c, found in maps.items():
                assert np.abs(found - expected[c].detach().numpy()).max() <= 1e-6 * expected.abs().max().item()


def test_the_shown_products_the_rest_and_the_bias_are_the_output_of_a_convolution(truth):
    for index, step, (module, x, y) in zip(truth.indices, truth.steps, truth.calls, strict=True):
        if step["kind"] != "convolution":
            continue
        values = maps_of(truth.content["edges"][index], "value")
        for o, unit in step["units"].items():
            o, shape = int(o), (len(unit["inputs"]), *step["kernel"])
            shown = np.stack([values[c] for c in unit["inputs"]])
            kernels, gradients = array_of(unit["kernels"], *shape), array_of(unit["weight_gradients"], *shape)
            first = o // (len(module.weight) // module.groups) * module.weight.shape[1]
            local = [c - first for c in unit["inputs"]]
            close(kernels, module.weight[o, local])
            close(gradients, module.weight.grad[o, local], 1e-5)
            assert unit["bias"] == pytest.approx(module.bias[o].item())
            assert unit["bias_gradient"] == pytest.approx(module.bias.grad[o].item(), rel=1e-6, abs=1e-12)
            assert unit["others"] == module.weight.shape[1] - len(local)
            others = [c for c in range(module.weight.shape[1]) if c not in local]
            if others:
                part = x[:, first : first + module.weight.shape[1]][:, others]
                expected = F.conv2d(part, module.weight[o : o + 1, others], None, module.stride, module.padding)[0, 0]
                close(array_of(unit["rest"], *y.shape[2:]), expected)
            self_made = places_by_definition(shown, kernels, step, y.shape[2:])
            for (p, q), products in self_made.items():
                rest = array_of(unit["rest"], *y.shape[2:])[p, q] if others else 0
                assert products + rest + unit["bias"] == pytest.approx(y[0, o, p, q].item(), rel=1e-4, abs=1e-5)


def places_by_definition(x, kernels, step, size):
    """Sum the products of the windows in a corner and in the middle with plain loops, from the formula."""
    found = {}
    for p, q in ((0, 0), (size[0] // 2, size[1] // 2), (size[0] - 1, size[1] - 1)):
        total = 0.0
        for c, i, j in np.ndindex(kernels.shape):
            r = p * step["stride"][0] + i * step["dilation"][0] - step["padding"][0]
            s = q * step["stride"][1] + j * step["dilation"][1] - step["padding"][1]
            if 0 <= r < x.shape[1] and 0 <= s < x.shape[2]:
                total += float(x[c, r, s]) * float(kernels[c, i, j])
        found[p, q] = total
    return found


def test_the_winners_of_pooling_are_torchs(truth):
    for step, (module, x, _) in zip(truth.steps, truth.calls, strict=True):
        if step["kind"] != "max pooling":
            continue
        y, flat = F.max_pool2d(x, module.kernel_size, module.stride, return_indices=True)
        for c, code in step["winners"].items():
            winner = array_of(code, *y.shape[2:]).astype(int)
            rows = np.arange(y.shape[2])[:, None] * step["stride"][0] + winner // step["kernel"][1]
            columns = np.arange(y.shape[3])[None] * step["stride"][1] + winner % step["kernel"][1]
            np.testing.assert_array_equal(rows * x.shape[3] + columns, flat[0, int(c)])


def test_the_gradient_through_the_divisors_is_the_rest_of_torchs(truth):
    for step, (_, x, y) in zip(truth.steps, truth.calls, strict=True):
        if step["kind"] != "normalization":
            continue
        base = (x / y).detach()  # d ** beta, where x is not 0
        for c, code in step["through"].items():
            c = int(c)
            defined = (x[0, c] != 0).numpy()
            direct = (y.grad[0, c] / base[0, c]).numpy()
            expected = (x.grad[0, c].numpy() - direct)[defined]
            found = array_of(code, *x.shape[2:])[defined]
            assert np.abs(found - expected).max() <= 1e-6 * x.grad.abs().max().item()


def test_normalisation_by_the_definition_from_the_neighbours_on_the_page_is_the_output(truth):
    for index, step in zip(truth.indices, truth.steps, strict=True):
        if step["kind"] != "normalization":
            continue
        edges = truth.content["edges"]
        values, outputs = maps_of(edges[index], "value"), maps_of(edges[index + 1], "value")
        size, constants = step["size"], (step["scale"], step["beta"], step["k"])
        for c in step["channels"]:
            corner = values[c][None, None, :6, :6]
            if step["spatial"]:
                y = naive.spatial_response_norm(corner, size, step["scale"] * size**2, *constants[1:])[0, 0, :3, :3]
            else:
                near = [i for i in range(c - size // 2, c + (size - 1) // 2 + 1) if i in values]
                near = [i for i in near if same_group(i, c, edges[index]["shape"][0] // step["groups"])]
                assert len(near) >= 3
                stack = np.stack([values[i][:3, :3] for i in near])[None]
                wide = naive.local_response_norm(stack, 2 * size + 1, *constants, divide_alpha=False)
                y = wide[0, near.index(c)]
            close(outputs[c][:3, :3], y, 1e-5)


def same_group(i, c, width):
    return i // width == c // width


def test_the_shown_products_the_rest_and_the_bias_are_the_output_of_a_linear_layer(truth):
    for step, (module, x, y) in zip(truth.steps, truth.calls, strict=True):
        if step["kind"] != "linear":
            continue
        for o, unit in step["units"].items():
            o, inputs = int(o), unit["inputs"]
            close(array_of(unit["weights"]), module.weight[o, inputs])
            products = (x[0] * module.weight[o]).detach().numpy()
            assert np.abs(products[inputs]).min() >= np.abs(np.delete(products, inputs)).max(initial=0)
            assert unit["rest"] == pytest.approx(np.delete(products, inputs).sum(), abs=1e-9)
            assert unit["others"] == len(products) - len(inputs)
            total = (array_of(unit["weights"]) * x[0, inputs].detach().numpy()).sum() + unit["rest"] + unit["bias"]
            assert total == pytest.approx(y[0, o].item(), rel=1e-5, abs=1e-6)


def test_loss_and_probabilities_are_torchs_and_the_label_is_among_the_classes_shown(truth):
    assert truth.content["loss"] == pytest.approx(truth.way.loss.item())
    close(truth.content["probabilities"], truth.way.logits.softmax(1)[0])
    assert truth.content["label"] == truth.label
    assert truth.label in truth.content["steps"][-1]["channels"]


def test_layers_have_the_costs_that_summary_prints(truth):
    for step, ours in zip(truth.content["steps"], truth.model.summary().layers, strict=True):
        assert (step["name"], step["parameters"], step["multiply_adds"]) == (
            ours.name, ours.parameters, ours.multiply_adds
        )  # fmt: skip


def test_the_mask_of_dropout_is_the_one_of_the_stated_seed_and_probability(truth):
    masks = [step for step in truth.content["steps"] if step["kind"] == "dropout"]
    assert len(masks) == 2
    for step in masks:
        kept = array_of(step["kept"])
        words = np.random.Philox(key=step["seed"]).random_raw((kept.size + 1) // 2).astype("<u8").view("<u4")
        np.testing.assert_array_equal(kept, words[: kept.size] >= 0.25 * 2**32)
        assert step["p"] == 0.25


@pytest.mark.parametrize("shape", [(3,), (40, 40), (2, 30, 30)])
@pytest.mark.parametrize("levels", [1, 2, 256, 257])
def test_arrays_keep_every_bit(shape, levels):
    values = normal(levels, "float32")[np.random.default_rng(0).integers(0, levels, shape)]
    np.testing.assert_array_equal(array_of(encoded(values), *shape), values)


def test_the_way_is_the_same_whatever_algorithm_is_set(narrow):
    model = na.AlexNet(2, seed=0).eval()
    image = normal((3, 227, 227), "float32")
    with na.convolution_algorithm("winograd"):
        found = contents(model, image, 0, ["a", "b"])
    with na.convolution_algorithm("im2col"):
        assert found["edges"] == contents(model, image, 0, ["a", "b"])["edges"]
        logits = model(image[None])[0]
    np.testing.assert_array_equal(array_of(found["edges"][-1]["value"]), logits)


def test_weights_that_are_not_finite_are_refused_with_the_layer(narrow):
    model = na.AlexNet(2, seed=0).eval()
    model.layers[3].bias.data[0] = np.nan
    with pytest.raises(ValueError, match=r"the numbers of layers\.3 are not finite"):
        contents(model, normal((3, 227, 227), "float32"), 0, ["a", "b"])
