import numpy as np
import pytest

import npalexnet as na
from npalexnet.data.pipeline import Pipeline
from npalexnet.data.transforms import CenterCrop, Normalize, ResizeCenterCrop, SubtractMeanImage
from npalexnet.inference.classifier import Classifier
from npalexnet.weights import save_weights
from tests.networks import narrow

AS_IT_IS = Normalize((0.0,) * 3, (1.0,) * 3)
pytestmark = pytest.mark.usefixtures("narrow")


@pytest.fixture(scope="module")
def state():
    with pytest.MonkeyPatch.context() as patch:
        narrow(patch)
        return na.AlexNet(2, seed=3).state_dict()


def classifier(state, path, **metadata):
    save_weights(path / "weights.safetensors", state, {"classes": ["a", "b"], **metadata})
    return Classifier.load(path)


def test_the_pipeline_that_the_weights_describe_is_used(state, tmp_path):
    """On a picture of 256 x 256 the middle 227 begin at (14, 14)."""
    picture = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    steps = Pipeline([ResizeCenterCrop(256), CenterCrop(227), Normalize((0.5,) * 3, (0.25,) * 3)]).to_json()
    network = classifier(state, tmp_path, pipeline=steps)
    inputs = network.inputs([picture])
    assert inputs.shape == (1, 3, 227, 227)
    middle = picture[14:241, 14:241].transpose(2, 0, 1)
    np.testing.assert_array_equal(network.seen(picture), picture[14:241, 14:241])
    np.testing.assert_allclose(inputs[0], (middle / 255 - 0.5) / 0.25, rtol=1e-5, atol=1e-5)


def test_a_picture_is_seen_in_its_own_colours_where_a_mean_image_is_taken_off_it(state, tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    mean = SubtractMeanImage(np.full((256, 256, 3), 0.25, np.float32))
    steps = Pipeline([ResizeCenterCrop(256), mean, CenterCrop(227), AS_IT_IS]).to_json()
    seen = classifier(state, tmp_path, pipeline=steps).seen(picture)
    np.testing.assert_array_equal(seen, picture[14:241, 14:241])


@pytest.mark.parametrize("steps", [None, [{"name": "Magic"}], "ResizeCenterCrop"])
def test_a_pipeline_that_is_none_is_refused_with_the_files_name(state, tmp_path, steps):
    with pytest.raises(ValueError, match=r"weights.safetensors does not say how pictures are prepared"):
        classifier(state, tmp_path, pipeline=steps)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([{"name": ["Normalize"]}], r"a pipeline's steps are .*, got \['Normalize'\]"),
        ([{"name": "MiddleSquare", "size": 20_000}], "the size of MiddleSquare must be .* from 1 to 1,024, got 20000"),
        ([{"name": "MiddleSquare", "size": 2**70}], "the size of MiddleSquare must be"),
        ([{"name": "MiddleSquare", "size": None}], "the size of MiddleSquare must be"),
        ([{"name": "MiddleSquare", "size": 226}], "must end with images of 227 x 227 to 258 x 258, got 226 x 226"),
        ([{"name": "MiddleSquare", "size": 227}] * 33, "pipeline must be a list of 0 to 32"),
        ([{"name": "Normalize", "mean": [10**400, 0, 0]}], "the step Normalize can't be made of"),
        ([{"name": "Normalize", "mean": [1e300, 0, 0]}], "mean must be from -1e30 to 1e30"),
        ([{"name": "Normalize", "mean": [0, 0, 0], "std": [1e-300, 1, 1]}], "std must be above 0"),
        ([{"name": "SubtractMeanImage", "shape": [2**40, 1, 3], "float32": ""}], "can't be made of"),
        ([7], "must be a list of dicts"),
    ],
)
def test_a_pipeline_with_odd_fields_is_refused_with_the_files_name(state, tmp_path, steps, message):
    with pytest.raises(ValueError, match=rf"weights\.safetensors does not say how pictures are prepared: .*{message}"):
        classifier(state, tmp_path, pipeline=steps)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([f"{i}" for i in range(200_000)], "classes must be a list of 1 to 100,000, got a list of 200,000"),
        (["a", 7], r"classes\[1\] must be text of at most 4,096 characters, got 7"),
        ({"a": 1}, "does not name its classes, got"),
        ([f"{i}" for i in range(90_000)], r"classifier\.6\.weight must have shape \(90000, 64\), got \(2, 64\)"),
    ],
)
def test_classes_are_compared_with_the_last_layer_before_a_network_is_made(
    state, tmp_path, monkeypatch, classes, message
):
    monkeypatch.setattr("npalexnet.inference.loading.AlexNet", None)
    steps = Pipeline([ResizeCenterCrop(227), AS_IT_IS]).to_json()
    few = {name: state[name] for name in ("classifier.6.weight", "classifier.6.bias")}
    with pytest.raises(ValueError, match=message):
        classifier(few, tmp_path, classes=classes, pipeline=steps)


def test_weights_that_say_nothing_of_pictures_are_refused_for_that(state, tmp_path):
    message = "does not say how pictures are prepared: it gives neither a pipeline nor mean and std"
    with pytest.raises(ValueError, match=message):
        classifier(state, tmp_path)


@pytest.mark.parametrize(
    "steps", [[ResizeCenterCrop(227), AS_IT_IS], [ResizeCenterCrop(256), CenterCrop(227), AS_IT_IS]]
)
def test_ten_crops_are_the_corners_and_the_middle_and_their_mirror_images(state, tmp_path, steps):
    picture = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    inputs = classifier(state, tmp_path, pipeline=Pipeline(steps).to_json()).inputs([picture], ten_crop=True)
    assert inputs.shape == (1, 10, 3, 227, 227)
    pixels = picture.transpose(2, 0, 1) / 255
    for i, (top, left) in enumerate([(0, 0), (0, 29), (29, 0), (29, 29), (14, 14)]):
        crop = pixels[:, top : top + 227, left : left + 227]
        np.testing.assert_allclose(inputs[0, i], crop, atol=1e-6)
        np.testing.assert_allclose(inputs[0, 5 + i], crop[:, :, ::-1], atol=1e-6)


def test_log_probabilities_are_those_of_the_logits_with_and_without_ten_crops(tmp_path):
    state = na.AlexNet(2, seed=3, init="torch").state_dict()  # small logits: no probability is near 0 or 1
    network = classifier(state, tmp_path, mean=[0.5] * 3, std=[0.1] * 3)
    inputs = 10 * np.random.default_rng(0).standard_normal((2, 10, 3, 227, 227), dtype=np.float32)
    logits = network.model(inputs.reshape(20, 3, 227, 227)).astype(np.float64)
    shares = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).reshape(2, 10, 2)
    np.testing.assert_allclose(np.exp(network.log_probabilities(inputs)), shares.mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(np.exp(network.log_probabilities(inputs[1])), shares[1], rtol=1e-5)


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        ("cat.jpg", r"^pictures must be a list of pictures, got 'cat\.jpg': pass \["),
        (["cat.jpg"], r"^a picture must be a PIL\.Image or an array of uint8, got 'cat\.jpg': open it by "),
        (np.zeros((9, 9, 3), np.uint8), r"^pictures must be a list of pictures, got one"),
    ],
    ids=["path", "paths", "one"],
)
def test_paths_and_single_pictures_are_refused_with_what_to_do(state, tmp_path, pictures, message):
    network = classifier(state, tmp_path, pipeline=Pipeline([ResizeCenterCrop(227), AS_IT_IS]).to_json())
    with pytest.raises(TypeError, match=message):
        network.inputs(pictures)
