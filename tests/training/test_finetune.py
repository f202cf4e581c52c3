import numpy as np
import pytest
from safetensors.numpy import save_file

import npalexnet as na
from npalexnet.pretrained.opening import open_weights
from npalexnet.training.finetune import load_fitting
from npalexnet.weights import save_weights

ACCENT, COMBINED = "\N{LATIN SMALL LETTER E WITH ACUTE}", "e\N{COMBINING ACUTE ACCENT}"
LAST = ("classifier.6.weight", "classifier.6.bias")


@pytest.fixture
def other(narrow):
    """The weights of a network for three classes."""
    return na.AlexNet(3, seed=1).state_dict()


def loaded(path, classes, variant="seed"):
    """Start a network for some classes from a file; returns it, how it was before, and what was said."""
    model = na.AlexNet(len(classes), seed=2, variant=variant)
    before = model.state_dict()
    return model, before, load_fitting(model, open_weights(path), classes)


@pytest.mark.parametrize(
    ("classes", "theirs", "line"),
    [
        (["a", "b", "c"], ["a", "b", "c"], "16 of 16 tensors"),
        (["a", "b", "c"], None, "16 of 16 tensors"),
        (["a", "b", "d"], ["a", "b", "c"], "16 of 16 tensors; the last layer is new, for other classes"),
        (["a", "b"], None, "16 of 16 tensors; the last layer is new, for other classes"),
        ([ACCENT, "b", "c"], [COMBINED, "b", "c"], "16 of 16 tensors"),
    ],
)  # fmt: skip
def test_the_last_layer_is_loaded_if_it_is_for_the_same_classes(tmp_path, other, classes, theirs, line):
    path = tmp_path / "w.safetensors"
    if theirs is None:
        save_file(other, path)
    else:
        save_weights(path, other, {"classes": theirs})
    model, before, said = loaded(path, classes)
    assert said == line
    for name, values in model.state_dict().items():
        np.testing.assert_array_equal(values, before[name] if "new" in line and name in LAST else other[name])


@pytest.mark.parametrize(
    ("layers", "line"),
    [
        (range(5), "10 of 16 tensors; the classifier is new"),
        (range(6), "12 of 16 tensors; the last two layers are new"),
        (range(7), "14 of 16 tensors; the last layer is new"),
        (range(3), "6 of 16 tensors; conv4, conv5 and the classifier are new"),
    ],
)
def test_what_a_file_lacks_at_the_networks_end_keeps_its_values(tmp_path, other, layers, line):
    names = [name for i, name in enumerate(other) if i // 2 in layers]
    save_file({name: other[name] for name in names}, tmp_path / "w")
    model, before, said = loaded(tmp_path / "w", ["a", "b", "c"])
    assert said == line
    for name, values in model.state_dict().items():
        np.testing.assert_array_equal(values, other[name] if name in names else before[name])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {k: s[k] for k in list(s)[10:]}, r"holds classifier\.6\.weight, but no layers\.0\.weight"),
        (lambda s: {k: s[k] for k in list(s) if "layers.6" not in k}, r"holds classifier\.6\.weight, but no layers\.6"),
        (lambda s: {k: s[k] for k in list(s) if k != "layers.6.bias"}, r"it lacks layers\.6\.bias"),
        (lambda s: {**s, "layers.3.weight": s["layers.3.weight"][:, :48].copy()}, r"has shape \(256, 48, 5, 5\)"),
        (lambda s: {**s, "layers.1.weight": np.ones(96, "f")}, r'it has further parameters: "layers\.1\.weight"'),
        (lambda s: {**s, "layers.0.bias": np.ones(96, "int64")}, r"layers\.0\.bias\" is int64; weights are floats"),
        (lambda s: {"a.weight": np.ones((3, 3), "f")}, r"none of its tensors is called as one of AlexNet: it holds"),
    ],
)
def test_weights_that_would_fill_a_network_here_and_there_are_refused(tmp_path, other, change, message):
    save_file(change(other), tmp_path / "w")
    with pytest.raises(ValueError, match=message) as caught:
        open_weights(tmp_path / "w")
    assert str(caught.value).startswith(str(tmp_path / "w"))


def test_a_head_under_a_name_of_its_own_is_left_out_and_named(tmp_path, other):
    """Convolutions that others have put another classifier on."""
    names = [f"backbone.{name}" for name in list(other)[:10]]
    state = dict(zip(names, other.values(), strict=False))
    save_file({**state, "head.weight": np.ones((7, 9216), "f"), "backbone.pool.p": np.ones(1, "f")}, tmp_path / "w")
    weights = open_weights(tmp_path / "w")
    assert (weights.variant, weights.found.missing) == ("seed", "the classifier")
    assert weights.found.notes == ('not used: "backbone.pool.p", "head.weight"',)


def test_torchvisions_weights_are_not_loaded_into_half_of_another_network(tmp_path, narrow):
    """The linear layers of both have the same names, on other convolutions."""
    save_file(na.AlexNet(3, variant="torchvision").state_dict(), tmp_path / "w")
    assert open_weights(tmp_path / "w").variant == "torchvision"
    with pytest.raises(ValueError, match=r"the AlexNet seed: it holds weights of the variant torchvision"):
        open_weights(tmp_path / "w", "seed")
    model = na.AlexNet(3)
    before = model.state_dict()
    with pytest.raises(ValueError, match="holds weights of the variant torchvision, not seed"):
        load_fitting(model, open_weights(tmp_path / "w"), "abc")
    for name, values in model.state_dict().items():
        np.testing.assert_array_equal(values, before[name])


def test_hidden_layers_of_another_size_are_refused_and_change_nothing(tmp_path, other):
    other["classifier.4.weight"], other["classifier.4.bias"] = np.ones((32, 64), "f"), np.ones(32, "f")
    other["classifier.6.weight"] = np.ones((3, 32), "f")
    save_file(other, tmp_path / "w")
    model = na.AlexNet(3)
    before = model.state_dict()
    with pytest.raises(ValueError, match=r"classifier\.4"):
        load_fitting(model, open_weights(tmp_path / "w"), "abc")
    for name, values in model.state_dict().items():
        np.testing.assert_array_equal(values, before[name])
