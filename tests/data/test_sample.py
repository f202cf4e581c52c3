import numpy as np
import pytest

from npalexnet.data.idx import read_idx, write_idx
from npalexnet.data.sample import CLASSES, FOLDER, draw_sample, load_sample


@pytest.mark.parametrize(("split", "count"), [("train", 2000), ("test", 500)])
def test_every_class_is_there_equally_often(split, count):
    sample = load_sample(split)
    assert sample.images.shape == (count, 28, 28)
    assert sample.images.dtype == np.uint8
    np.testing.assert_array_equal(np.bincount(sample.labels), [count // len(CLASSES)] * len(CLASSES))


def test_no_validation_image_is_a_training_image():
    train, test = ({image.tobytes() for image in load_sample(split).images} for split in ("train", "test"))
    assert not train & test


def test_classes_are_shuffled_so_that_the_first_images_are_a_fair_sample():
    assert np.bincount(load_sample("train").labels[:100], minlength=len(CLASSES)).min() >= 3


def test_the_package_carries_licence_and_provenance_in_at_most_1_5_megabytes():
    assert "Zalando" in (FOLDER / "LICENSE").read_text(encoding="utf-8")
    assert "github.com/zalandoresearch/fashion-mnist" in (FOLDER / "README.md").read_text(encoding="utf-8")
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 1_500_000


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="split must be 'train' or 'test', got 'val'"):
        load_sample("val")


def test_the_draw_takes_images_with_their_labels_and_is_the_same_each_time(tmp_path):
    source, first, second = (tmp_path / name for name in ("source", "first", "second"))
    for folder in (source, first, second):
        folder.mkdir()
    labels = np.arange(2500, dtype=np.uint8) % 10
    images = np.stack([np.arange(2500) // 250, np.arange(2500) % 250, labels], axis=1)[:, None]  # (2500, 1, 3), unique
    for split in ("train", "t10k"):
        write_idx(source / f"{split}-images-idx3-ubyte.gz", images)
        write_idx(source / f"{split}-labels-idx1-ubyte.gz", labels)
    draw_sample(source, first)
    draw_sample(source, second)

    drawn = read_idx(first / "train-images-idx3-ubyte.gz")
    np.testing.assert_array_equal(drawn[:, 0, 2], read_idx(first / "train-labels-idx1-ubyte.gz"))
    assert len({image.tobytes() for image in drawn}) == 2000
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes()
