import numpy as np
import pytest

from npalexnet.data import open_data
from npalexnet.data.split import stratified_split
from tests.data.pictures import fill

SPLIT = {
    "train": ["was/here/train/a/001.png", "was/here/train/b/000.png", "was/here/train/b/002.png"],
    "val": ["was/here/train/a/000.png", "was/here/train/b/001.png"],
}


def test_a_split_takes_the_same_fraction_of_each_class_and_loses_nothing():
    labels = np.repeat([0, 1, 2, 3, 4], [100, 20, 3, 2, 1])
    train, validation = stratified_split(labels, 0.1, seed=3)
    np.testing.assert_array_equal(np.bincount(labels[validation], minlength=5), [10, 2, 1, 1, 0])
    np.testing.assert_array_equal(np.sort(np.concatenate([train, validation])), np.arange(len(labels)))


def test_a_split_is_the_same_for_one_seed_and_another_for_another():
    labels = np.repeat([0, 1], 50)
    np.testing.assert_array_equal(stratified_split(labels, 0.2, seed=1)[1], stratified_split(labels, 0.2, seed=1)[1])
    assert not np.array_equal(stratified_split(labels, 0.2, seed=1)[1], stratified_split(labels, 0.2, seed=2)[1])


def test_a_large_fraction_leaves_a_picture_of_each_class_to_train_on():
    np.testing.assert_array_equal(stratified_split(np.array([0, 0, 1, 1, 1]), 0.99, seed=0)[0].size, 2)


def test_without_val_a_seeded_fraction_of_each_class_is_split_off_and_noted(tmp_path):
    even = tmp_path / "even"
    tmp_path = tmp_path / "uneven"
    fill(tmp_path / "train", a=20, b=10)
    fill(even / "train", a=30, b=30)
    first, again, other = (open_data(tmp_path, seed=seed, validation_fraction=0.2) for seed in (5, 5, 6))
    np.testing.assert_array_equal(np.bincount(first.validation.labels), [4, 2])
    assert first.split() == again.split()
    assert first.split() != other.split()
    names = first.split()
    assert len(set(names["train"] + names["val"])) == 30
    assert first.randomly_split
    assert first.notes == [
        f"{tmp_path} has no val/: 6 pictures of train/ were chosen at random for validation, 2 to 4 of each class, "
        "with seed 5"
    ]
    assert ", 3 of each class," in open_data(even).notes[0]


def test_a_random_split_stays_as_it_was_when_pictures_are_added(tmp_path):
    fill(tmp_path / "here" / "train", a=20, b=10)
    first = open_data(tmp_path / "here")
    fill(tmp_path / "more", a=23)
    for name in ("020", "021", "022"):  # sorted to the end, before and after a renamed one
        (tmp_path / "more" / "a" / f"{name}.png").rename(tmp_path / "here" / "train" / "a" / f"0-{name}.png")
    assert open_data(tmp_path / "here").split() != first.split()
    assert open_data(tmp_path / "here", split=first.split()).split() == first.split()
    (tmp_path / "here").rename(tmp_path / "there")
    moved = open_data(tmp_path / "there", split=first.split())
    for part in ("train", "val"):
        expected = [name.replace("here", "there") for name in first.split()[part]]
        assert moved.split()[part] == expected
    gone = tmp_path / "there" / "train" / "b" / "003.png"
    gone.unlink()
    with pytest.raises(ValueError, match=r"lacks 1 of the pictures that .* the first is b/003\.png"):
        open_data(tmp_path / "there", split=first.split())


def test_pictures_of_which_none_can_be_split_off_are_refused(tmp_path):
    fill(tmp_path / "train", a=1, b=1)
    with pytest.raises(ValueError, match=r"no class in \S+/train has two pictures"):
        open_data(tmp_path)


def test_pictures_that_a_split_does_not_name_are_left_out_with_a_note(tmp_path):
    fill(tmp_path / "train", a=2, b=3)
    how = f"{tmp_path} has no val/: 2 pictures of train/ are for validation, 1 of each class, as in the run's split"
    assert open_data(tmp_path, split=SPLIT).notes == [how]
    for count, note in ((4, "2 pictures"), (3, "1 picture")):
        fill(tmp_path / str(count) / "train", a=count, b=3)
        data = open_data(tmp_path / str(count), split=SPLIT)
        assert (len(data.train), len(data.validation)) == (3, 2)
        assert data.notes[1] == f"{note} of {tmp_path / str(count)}/train left out: the run's split does not name them"


def test_for_validation_only_the_validation_pictures_of_a_split_are_needed(tmp_path):
    fill(tmp_path / "train", a=3, b=2)  # and no b/002
    (tmp_path / "train" / "a" / "001.png").unlink()
    with pytest.raises(ValueError, match=r"lacks 2 of .* the first is a/001\.png: put them .*, or begin a new run"):
        open_data(tmp_path, split=SPLIT)
    data = open_data(tmp_path, split=SPLIT, validation_only=True)
    assert data.split() == {
        "train": [f"{tmp_path}/train/b/000.png"],
        "val": [f"{tmp_path}/train/a/000.png", f"{tmp_path}/train/b/001.png"],
    }
    (tmp_path / "train" / "b" / "001.png").write_text("damaged")
    with pytest.raises(ValueError, match=r"lacks 1 of .* is b/001\.png: put .* damaged counts .*, or name other data"):
        open_data(tmp_path, split=SPLIT, validation_only=True)


def test_for_validation_a_folder_with_none_but_pictures_that_were_trained_on_is_refused(tmp_path):
    fill(tmp_path / "train", a=2, b=1)
    (tmp_path / "train" / "a" / "000.png").unlink()  # there are left a/001 and b/000
    with pytest.raises(ValueError, match=r"lacks 2 of .* the first is a/000\.png"):
        open_data(tmp_path, split=SPLIT, validation_only=True)


def test_for_validation_a_folder_without_any_picture_of_a_split_is_other_data(tmp_path):
    (tmp_path / "train").mkdir()
    fill(tmp_path / "train", c=4, d=4)
    data = open_data(tmp_path, split=SPLIT, validation_only=True)
    assert data.split() == open_data(tmp_path).split()
    assert data.notes[0] == f"{tmp_path}/train holds no picture that the run's split names: these are other data"
    with pytest.raises(ValueError, match="lacks 5 of the pictures"):
        open_data(tmp_path, split=SPLIT)


def test_two_pictures_whose_names_differ_in_their_unicode_form_alone_stay_on_their_sides(tmp_path):
    fill(tmp_path, a=3, b=3)
    for name in ("caf\N{LATIN SMALL LETTER E WITH ACUTE}", "cafe\N{COMBINING ACUTE ACCENT}"):
        (tmp_path / "a" / f"{name}.png").write_bytes((tmp_path / "a" / "000.png").read_bytes())
    if len(list((tmp_path / "a").iterdir())) < 5:
        pytest.skip("this file system has one file for both")
    for seed in range(8):
        first = open_data(tmp_path, seed=seed)
        assert open_data(tmp_path, split=first.split()).split() == first.split()
