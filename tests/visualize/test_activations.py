import numpy as np
import pytest

import npalexnet as na
from npalexnet.visualize.activations import activations, most_variable, occlusion_map, receptive_field, responses

pytestmark = pytest.mark.usefixtures("narrow")


def positive(network):
    """Return the network with positive weights alone: then every output grows with every number that it depends on."""
    network.load_state_dict({name: np.abs(values) + 0.1 for name, values in network.state_dict().items()})
    return network.eval()


def test_activations_are_what_each_layer_puts_out():
    model = na.AlexNet(7, dropout=0.5)
    images = np.random.default_rng(0).standard_normal((2, 3, 227, 227), dtype=np.float32)
    found = activations(model, images, ["layers.1", "classifier.6", "layers.12"])
    model.eval()
    np.testing.assert_allclose(found["classifier.6"], model(images), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["layers.1"], np.maximum(model.layers[0](images), 0), rtol=1e-5, atol=1e-6)
    assert found["layers.12"].shape == (2, 256, 6, 6)


NETWORKS = {
    "maxima": lambda: na.Sequential(
        na.Conv2d(1, 2, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), seed=0), na.ReLU(),
        na.MaxPool2d(2, stride=1, padding=1), na.Conv2d(2, 1, 2, padding="same", seed=1),
    ),
    "averages": lambda: na.Sequential(
        na.Conv2d(1, 2, 2, stride=2, ceil_mode=True, seed=0), na.SpatialResponseNorm(2),
        na.AvgPool2d(2, stride=1, padding=1), na.AdaptiveAvgPool2d(1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ["0", "1", "2", "3"])
@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_a_receptive_field_is_all_that_a_place_depends_on(network, name):
    network = positive(network())
    image = np.ones((1, 1, 11, 9), np.float32)
    with na.convolution_algorithm("im2col"):
        before = activations(network, image, [name])[name][0, 0]
    fields = {place: np.zeros((11, 9), bool) for place in np.ndindex(before.shape)}
    for row, column in np.ndindex(11, 9):
        brighter = image.copy()
        brighter[0, 0, row, column] = 100
        with na.convolution_algorithm("im2col"):  # Winograd's rounds with pixels that cancel out
            changed = activations(network, brighter, [name])[name][0, 0] != before
        for place in fields:
            fields[place][row, column] = changed[place]
    for place, depends in fields.items():
        field = receptive_field(network, name, place, (11, 9))
        rows, columns = np.nonzero(depends)
        assert (field[0].start, field[0].stop) == (rows.min(), rows.max() + 1), place
        assert (field[1].start, field[1].stop) == (columns.min(), columns.max() + 1), place


@pytest.mark.parametrize(
    ("name", "size"),
    [("layers.1", 11), ("layers.2", 19), ("layers.4", 51), ("layers.7", 99), ("layers.9", 131), ("layers.11", 163)],
)
def test_the_receptive_fields_of_alexnet_have_the_known_sizes(name, size):
    model = na.AlexNet(2)
    rows, columns = receptive_field(model, name, (6, 6), (100_000, 100_000))
    far, _ = receptive_field(model, name, (600, 6), (100_000, 100_000))
    assert far.stop - far.start == size
    assert rows == columns


def test_a_linear_layer_sees_the_whole_image():
    assert receptive_field(na.AlexNet(2), "classifier.1", (0, 0), (227, 200)) == (slice(0, 227), slice(0, 200))


def test_responses_are_the_largest_activations_and_their_places_for_any_number_of_images():
    network = na.Sequential(na.Conv2d(1, 3, 2, seed=0), na.Flatten(), na.Linear(3 * 12, 4, seed=0)).eval()
    images = np.random.default_rng(0).standard_normal((37, 1, 4, 5), dtype=np.float32)
    seen = []
    found = responses(network, list(images), ["0", "2"], seen.append)
    maps = network[0](images)
    np.testing.assert_allclose(found["0"].values, maps.max(axis=(2, 3)), rtol=1e-6)
    for i, c in np.ndindex(37, 3):
        row, column = found["0"].places[i, c]
        assert maps[i, c, row, column] == maps[i, c].max()
    np.testing.assert_allclose(found["2"].values, network(images), rtol=1e-4, atol=1e-6)
    assert not found["2"].places.any()
    assert sum(seen) == 37


def test_the_most_variable_channel_is_neither_a_dead_nor_a_constant_one():
    network = na.Sequential(na.Conv2d(1, 3, 1, seed=0), na.ReLU()).eval()
    network.load_state_dict(
        {"0.weight": np.array([0, 1, -1], "f").reshape(3, 1, 1, 1), "0.bias": np.array([9, 0, -99], "f")}
    )
    images = np.arange(6, dtype=np.float32).reshape(6, 1, 1, 1)
    assert most_variable(responses(network, images, ["1"])) == {"1": 1}


def test_responses_and_occlusion_are_the_same_on_every_device(device):
    network = na.Sequential(
        na.Conv2d(3, 4, 3, seed=0), na.ReLU(), na.MaxPool2d(2), na.Flatten(), na.Dropout(0.5, seed=0),
        na.Linear(4 * 9, 3, seed=1),
    )  # fmt: skip
    images = np.random.default_rng(0).standard_normal((5, 3, 8, 8), dtype=np.float32)
    maps = np.maximum(network[0](images), 0)
    logits = network.eval()(images[:1])
    found = responses(network.to(device).train(), images, ["1", "5"])
    np.testing.assert_allclose(found["1"].values, maps.max(axis=(2, 3)), rtol=1e-5, atol=1e-6)
    rows, columns = found["1"].places[..., 0], found["1"].places[..., 1]
    picked = maps[np.arange(5)[:, None], np.arange(4), rows, columns]
    np.testing.assert_allclose(picked, found["1"].values, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["5"].values[:1], logits, rtol=1e-4, atol=1e-6)
    probability, decreases = occlusion_map(network, images[0], 2, cells=2, size=100)
    assert probability == pytest.approx(np.exp(logits[0, 2]) / np.exp(logits[0]).sum(), rel=1e-4)
    assert decreases.shape == (2, 2)
    assert np.ptp(decreases) < 1e-6  # each square covers all
    assert abs(decreases).max() > 1e-3
