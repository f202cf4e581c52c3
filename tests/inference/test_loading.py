"""Networks from files of weights that other programs write, and `npalexnet.load`."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file

import npalexnet as na
from npalexnet.data.pipeline import Pipeline
from npalexnet.data.transforms import CenterCrop, Normalize, ResizeCenterCrop
from npalexnet.inference.classifier import Classifier, Prediction
from npalexnet.weights import save_weights
from tests.pretrained.test_identify import CAFFE_ORDER, caffemodel, twin

PICTURE = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def _narrow(narrow):
    pass


def torchs_probabilities(model, picture):
    """What torch computes of the middle 224 of a picture of 256 x 256, prepared as torchvision does."""
    x = torch.from_numpy(picture[16:240, 16:240].transpose(2, 0, 1).astype(np.float32) / 255)
    mean, std = (torch.tensor(values)[:, None, None] for values in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    with torch.no_grad():
        return model.eval()(((x - mean) / std)[None]).softmax(1)[0].numpy()


def test_a_file_of_torch_answers_as_torch_does(tmp_path):
    """A checkpoint of torch's own network, under torchvision's names, in data parallel."""
    torch.manual_seed(0)
    model = twin()
    names = list(na.AlexNet(3, init="torch", variant="torchvision").state_dict())
    state = dict(zip((f"module.{name}" for name in names), model.state_dict().values(), strict=True))
    torch.save({"epoch": 90, "state_dict": state, "best_acc1": torch.tensor(56.5)}, tmp_path / "best.pth.tar")
    classifier = na.load(tmp_path / "best.pth.tar")
    assert (classifier.model.variant, classifier.model.training) == ("torchvision", False)
    assert classifier.classes == ["class 0", "class 1", "class 2"]
    expected = torchs_probabilities(model, PICTURE)
    answer = classifier.predict(PICTURE)
    assert [prediction.number for prediction in answer] == np.argsort(-expected).tolist()
    for prediction in answer:
        assert prediction.probability == pytest.approx(expected[prediction.number], rel=1e-4)
        assert prediction.name == f"class {prediction.number}"


def test_a_caffemodel_takes_the_same_picture_in_rgb(tmp_path):
    """The network in the file sees blue, green and red from 0 to 255, less their mean."""
    state = na.AlexNet(3, seed=1, variant="caffe").state_dict()
    state["layers.0.weight"] /= 100
    (tmp_path / "w").write_bytes(caffemodel(state.values(), CAFFE_ORDER["caffe"]))
    caffes = na.AlexNet(3, seed=2, variant="caffe").eval()
    caffes.load_state_dict(state)
    blue_first = PICTURE[14:241, 14:241, ::-1].astype(np.float32) - np.array([104, 117, 123], np.float32)
    logits = caffes(blue_first.transpose(2, 0, 1)[None])[0].astype(np.float64)
    expected = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    classifier = na.load(tmp_path / "w")
    found = {prediction.number: prediction.probability for prediction in classifier.predict(PICTURE, top=3)}
    np.testing.assert_allclose([found[k] for k in range(3)], expected, rtol=1e-3, atol=1e-6)


def test_a_thousand_outputs_are_imagenets_classes_unless_others_are_given(tmp_path):
    state = na.AlexNet(1000, init="torch", variant="torchvision").state_dict()
    save_file(state, tmp_path / "w")
    assert na.load(tmp_path / "w").classes[999] == "toilet tissue"
    (tmp_path / "names").write_text("\n".join(f"name {number}" for number in range(1000)))
    assert na.load(tmp_path / "w", classes=tmp_path / "names").classes[7] == "name 7"
    assert na.load(tmp_path / "w", classes=[f"{number}" for number in range(1000)]).classes[7] == "7"
    with pytest.raises(ValueError, match="w has 1,000 outputs, but 2 classes are given"):
        na.load(tmp_path / "w", classes=["a", "b"])
    with pytest.raises(ValueError, match="w has 1,000 outputs, but 1 class is given"):
        na.load(tmp_path / "w", classes=["a"])


def test_what_a_file_does_not_say_can_be_given(tmp_path):
    save_file(na.AlexNet(2).state_dict(), tmp_path / "w")
    with pytest.raises(
        ValueError,
        match="w does not say how pictures are prepared, and no preparation of pictures goes with the variant seed",
    ):
        na.load(tmp_path / "w")
    with pytest.raises(ValueError, match=r"w does not say .*, and std must be above 0, got \(0\.0, 1\.0, 1\.0\)"):
        na.load(tmp_path / "w", mean=[0.5, 0.25, 0.125], std=[0, 1, 1])
    classifier = na.load(tmp_path / "w", mean=[0.5, 0.25, 0.125], std=[0.25, 0.25, 0.25])
    assert classifier.pipeline.transforms == (
        ResizeCenterCrop(227), Normalize((0.5, 0.25, 0.125), (0.25, 0.25, 0.25)),
    )  # fmt: skip
    save_file(na.AlexNet(2, variant="caffenet").state_dict(), tmp_path / "w")
    with pytest.raises(ValueError, match="fit paper, caffe, caffenet alike"):
        na.load(tmp_path / "w")
    assert na.load(tmp_path / "w", variant="caffenet").model.variant == "caffenet"


def test_weights_without_the_last_layers_are_refused_with_what_to_do(tmp_path):
    state = list(na.AlexNet(2, variant="torchvision").state_dict().items())
    for count, missing in ((10, "the classifier"), (14, "the last layer"), (12, "the last two layers")):
        save_file(dict(state[:count]), tmp_path / "w")
        message = rf"holds {count} tensors of the AlexNet torchvision, but not {missing}: train that, npalexnet train"
        with pytest.raises(ValueError, match=message):
            na.load(tmp_path / "w")


def test_a_runs_own_description_is_used_and_can_be_overruled(tmp_path):
    steps = Pipeline([ResizeCenterCrop(256), CenterCrop(227), Normalize((0.5,) * 3, (0.25,) * 3)]).to_json()
    description = {"classes": ["cat", "dog"], "pipeline": steps, "variant": "seed"}
    save_weights(tmp_path / "weights.safetensors", na.AlexNet(2).state_dict(), description)
    assert na.load(tmp_path).classes == ["cat", "dog"]
    changed = na.load(tmp_path, classes=["Katze", "Hund"], mean=[0, 0, 0])
    assert changed.classes == ["Katze", "Hund"]
    assert changed.pipeline.transforms[1:] == (CenterCrop(227), Normalize((0.0,) * 3, (0.25,) * 3))
    with pytest.raises(ValueError, match="holds weights of the variant seed, not paper"):
        na.load(tmp_path, variant="paper")
    with pytest.raises(ValueError, match="variant must be one of 'seed', "):
        na.load(tmp_path, variant="lenet")


# --- predicting -------------------------------------------------------------------------------------------------------


@pytest.fixture
def classifier(tmp_path):
    state = na.AlexNet(6, seed=3, init="torch").state_dict()
    save_weights(tmp_path / "w", state, {"classes": list("abcdef"), "mean": [0.5] * 3, "std": [0.1] * 3})
    return Classifier.load(tmp_path / "w")


def test_paths_pictures_and_arrays_get_the_same_answers_alone_and_together(classifier, tmp_path):
    Image.fromarray(PICTURE).save(tmp_path / "p.png")
    shares = np.exp(classifier.log_probabilities(classifier.inputs([PICTURE])))[0]
    order = np.argsort(-shares).tolist()
    expected = [Prediction("abcdef"[k], pytest.approx(shares[k], rel=1e-5), k) for k in order]
    kinds = [str(tmp_path / "p.png"), tmp_path / "p.png", Image.fromarray(PICTURE), PICTURE]
    for one in kinds:
        assert classifier.predict(one) == expected[:5]
    assert classifier.predict(kinds, top=2) == [expected[:2]] * 4
    assert classifier.predict(np.stack([PICTURE] * 2), top=9) == [expected] * 2
    assert classifier.predict([]) == []


def test_more_pictures_than_a_batch_are_answered_in_order(classifier):
    pictures = [np.full((9, 9), shade, np.uint8) for shade in np.linspace(0, 255, 18).astype(np.uint8)]
    alone = [classifier.predict(picture)[0].probability for picture in (pictures[0], pictures[17])]
    answers = classifier.predict(pictures)
    assert [answers[0][0].probability, answers[17][0].probability] == pytest.approx(alone, rel=1e-4)


@pytest.mark.parametrize(
    ("pictures", "top", "error", "message"),
    [
        ("missing.jpg", 5, FileNotFoundError, "missing.jpg"),
        ([PICTURE, 7], 5, TypeError, "a picture must be a PIL.Image or an array of uint8, got int"),
        (7, 5, TypeError, "a picture must be a PIL.Image or an array of uint8, got int"),
        (np.zeros((9, 8, 4), np.uint8), 5, ValueError, r"\(H, W, 3\), not empty, got uint8 of shape \(9, 8, 4\)"),
        (PICTURE.astype(float), 5, ValueError, "a picture must be of uint8"),
        (PICTURE, 0, ValueError, "top must be at least 1, got 0"),
    ],
)
def test_what_is_no_picture_is_refused(classifier, pictures, top, error, message):
    with pytest.raises(error, match=message):
        classifier.predict(pictures, top=top)


def test_importing_the_package_imports_nothing_that_loading_needs():
    code = "import sys, npalexnet; print([m for m in sys.modules if m.split('.')[0] in ('PIL', 'safetensors', 'tqdm')])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
