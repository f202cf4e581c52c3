import numpy as np
import pytest
from PIL import Image

from npalexnet.cli import main
from npalexnet.inference.classifier import Classifier
from npalexnet.inference.validation import ValidationSet
from npalexnet.weights import load_weights, save_weights
from tests.explain.reading import array_of, content_of
from tests.pages import Checker

BOOT = "docs/ankle-boot.png"


def page_of(path):
    document = path.read_text(encoding="utf-8")
    return content_of(document), " ".join(Checker(document).texts)


def test_without_an_image_it_is_a_validation_image_and_the_loss_its_own_class(trained_run, tmp_path, capsys):
    out = tmp_path / "new" / "page.html"
    assert main(["explain", str(trained_run), "--out", str(out)]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    assert f"Wrote {out}: " in output.out
    content, text = page_of(out)
    classifier = Classifier.load(trained_run)
    validation = ValidationSet.open(None, classifier)
    label = int(validation.labels[0])
    assert content["label"] == label
    assert f"a validation image of class {classifier.names[label]}" in text
    assert f"the class {classifier.names[label]}, which is the validation image's own" in text
    logits = classifier.model(validation[0][None])[0]
    np.testing.assert_allclose(array_of(content["edges"][-1]["value"]), logits, rtol=1e-4, atol=1e-5)
    assert list(out.parent.iterdir()) == [out]


def test_of_an_image_it_is_the_most_probable_class_and_of_a_named_one_that(trained_run, tmp_path, capsys):
    out = tmp_path / "page.html"
    classifier = Classifier.load(trained_run)
    best = classifier.predict(BOOT, top=1)[0]
    assert main(["explain", str(trained_run), BOOT, "--out", str(out)]) == 0
    content, text = page_of(out)
    assert content["label"] == best.number
    assert f"the class {best.name}, which the network finds most probable" in text
    assert f"{100 * best.probability:.1f} %" in text
    assert "docs/ankle-boot.png" in text
    other = classifier.names[(best.number + 1) % 10]
    assert main(["explain", str(trained_run), BOOT, "--out", str(out), "--class", other]) == 0
    content, text = page_of(out)
    assert content["classes"][content["label"]] == other
    assert f"the class {other}, which was asked for" in text
    gradient = array_of(content["edges"][-1]["gradient"])
    assert list(np.flatnonzero(gradient < 0)) == [content["label"]]


def test_the_default_is_beside_the_weights_and_an_earlier_page_is_replaced(trained_run, tmp_path):
    state, metadata = load_weights(trained_run / "weights.safetensors")
    save_weights(tmp_path / "weights.safetensors", state, metadata)
    (tmp_path / "explain.html").write_text("an earlier page")
    assert main(["explain", str(tmp_path), BOOT]) == 0
    content, text = page_of(tmp_path / "explain.html")
    assert [step["p"] for step in content["steps"] if step["kind"] == "dropout"] == [metadata["options"]["dropout"]] * 2
    assert str(tmp_path.parent) not in text
    assert {path.name for path in tmp_path.iterdir()} == {"explain.html", "weights.safetensors"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere"),
        (["{run}", "missing.png"], "missing.png"),
        (["{run}", "pyproject.toml"], "pyproject.toml"),
        (["{run}", BOOT, "--class", "whale"], "class must be one of"),
        (["{run}", BOOT, "--out", "{tmp}"], "is a folder"),
        (["{run}", BOOT, "--out", "{tmp}/page.png"], "a file that ends with .html"),
        (["{run}", BOOT, "--out", "{tmp}/file/page.html"], "it, or what is above it, is a file"),
    ],
)
def test_what_can_not_be_is_one_line_and_nothing_is_written(trained_run, tmp_path, capsys, arguments, message):
    (tmp_path / "file").write_text("mine")
    assert main(["explain", *(a.format(run=trained_run, tmp=tmp_path) for a in arguments)]) == 1
    output = capsys.readouterr()
    (line,) = output.err.splitlines()
    assert line.startswith("npalexnet explain: error: ")
    assert message in line
    assert {path.name for path in tmp_path.iterdir()} == {"file"}
    assert (tmp_path / "file").read_text() == "mine"


def test_a_page_that_is_not_finished_leaves_the_earlier_one(trained_run, tmp_path, capsys, monkeypatch):
    out = tmp_path / "page.html"
    out.write_text("an earlier page")

    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("npalexnet.files.sync", fail)
    assert main(["explain", str(trained_run), BOOT, "--out", str(out)]) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert out.read_text() == "an earlier page"
    assert list(tmp_path.iterdir()) == [out]


def test_data_must_be_named_where_the_weights_do_not_say_them_unless_there_is_an_image(trained_run, tmp_path, capsys):
    state, metadata = load_weights(trained_run / "weights.safetensors")
    del metadata["options"]
    save_weights(tmp_path / "weights.safetensors", state, metadata)
    assert main(["explain", str(tmp_path)]) == 1
    assert "does not say which data it was trained on; name them with --data" in capsys.readouterr().err
    for part, number in (("train", 3), ("train", 5), ("val", 3)):
        folder = tmp_path / "data" / part / metadata["classes"][number]
        folder.mkdir(parents=True)
        Image.new("RGB", (30, 30), "navy").save(folder / "0.png")
    assert main(["explain", str(tmp_path), "--data", str(tmp_path / "data")]) == 0
    content, _ = page_of(tmp_path / "explain.html")
    assert content["label"] == 3


@pytest.mark.parametrize("command", ["explain", "look"])
def test_an_image_behind_the_options_is_refused_with_where_it_belongs(trained_run, tmp_path, capsys, command):
    with pytest.raises(SystemExit):
        main([command, str(trained_run), "--out", str(tmp_path / "page.html"), BOOT])
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.endswith(f"unrecognized arguments: {BOOT}; IMAGE comes before the options")
