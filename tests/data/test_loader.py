import gc
import threading

import numpy as np
import pytest

from npalexnet.data import (
    ArrayDataset,
    DataLoader,
    FolderDataset,
    Normalize,
    Pipeline,
    RandomCrop,
    ResizeCenterCrop,
    Statistics,
    evaluation_pipeline,
    ten_cropped,
    training_pipeline,
)
from tests.data.pictures import noise

IMAGES = np.random.default_rng(0).integers(0, 256, (11, 10, 12, 3), dtype=np.uint8)
LABELS = np.arange(11) * 5 % 11
DATASET = ArrayDataset(IMAGES, LABELS, list("abcdefghijk"))
STATISTICS = Statistics((0.5, 0.5, 0.5), (0.2, 0.3, 0.4), (0.1, 0.02, 0.01))
PAPER = training_pipeline(STATISTICS, "paper")
PLAIN = Pipeline([ResizeCenterCrop(6), Normalize((0, 0, 0))])
CROPS = Pipeline([ResizeCenterCrop(12), RandomCrop(6)])


def load(loader, number=0, start=0):
    return list(loader.epoch(number, start))


def assert_same(batches, others):
    assert len(batches) == len(others)
    for (images, labels), (other_images, other_labels) in zip(batches, others, strict=True):
        np.testing.assert_array_equal(images, other_images)
        np.testing.assert_array_equal(labels, other_labels)


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("npalexnet-loader")]


def test_without_shuffling_every_picture_comes_in_its_place_with_its_label():
    batches = load(DataLoader(DATASET, PLAIN, 4, shuffle=False, workers=3))
    assert [len(images) for images, _ in batches] == [4, 4, 3]
    np.testing.assert_array_equal(np.concatenate([labels for _, labels in batches]), LABELS)
    expected = [PLAIN(image, np.random.default_rng(0)) for image in IMAGES]
    np.testing.assert_array_equal(np.concatenate([images for images, _ in batches]), expected)


def test_batches_are_float32_channels_last_in_memory_with_labels_int64():
    images, labels = load(DataLoader(DATASET, PAPER, 4))[0]
    assert (images.shape, images.dtype, labels.dtype) == ((4, 3, 227, 227), np.float32, np.int64)
    assert images.transpose(0, 2, 3, 1).flags.c_contiguous


def test_an_epoch_takes_every_picture_once_with_its_own_label():
    batches = load(DataLoader(DATASET, PLAIN, 4, seed=1))
    labels = np.concatenate([labels for _, labels in batches])
    np.testing.assert_array_equal(np.sort(labels), np.arange(11))
    assert not np.array_equal(labels, LABELS)
    for picture, label in zip(np.concatenate([images for images, _ in batches]), labels, strict=True):
        index = int(np.flatnonzero(label == LABELS)[0])
        np.testing.assert_array_equal(picture, PLAIN(IMAGES[index], np.random.default_rng(0)))


@pytest.mark.parametrize("workers", [2, 4])
def test_the_number_of_threads_changes_no_bit(workers):
    assert_same(
        load(DataLoader(DATASET, PAPER, 3, seed=7, workers=1), 2),
        load(DataLoader(DATASET, PAPER, 3, seed=7, workers=workers, ahead=3), 2),
    )


def test_an_epoch_goes_on_from_its_middle_with_the_same_batches():
    whole = load(DataLoader(DATASET, CROPS, 3, seed=7), 5)
    for start in range(5):
        assert_same(load(DataLoader(DATASET, CROPS, 3, seed=7), 5, start), whole[start:])


def test_what_chance_does_to_a_picture_does_not_depend_on_its_batch():
    def by_label(batch_size):
        batches = load(DataLoader(DATASET, CROPS, batch_size, seed=7), 1)
        return {int(label): image for images, labels in batches for image, label in zip(images, labels, strict=True)}

    first, second = by_label(2), by_label(5)
    for label, image in first.items():
        np.testing.assert_array_equal(image, second[label])


def test_epochs_differ_in_order_and_in_what_chance_does():
    loader = DataLoader(DATASET, CROPS, 11, seed=7)
    assert not np.array_equal(loader.order(0), loader.order(1))
    assert not np.array_equal(DataLoader(DATASET, CROPS, 11, seed=8).order(0), loader.order(0))
    unshuffled = DataLoader(DATASET, CROPS, 11, seed=7, shuffle=False)
    (first, _), (second, _) = load(unshuffled, 0)[0], load(unshuffled, 1)[0]
    assert sum(not np.array_equal(a, b) for a, b in zip(first, second, strict=True)) > 5


def test_pictures_of_one_batch_get_different_chances():
    same = ArrayDataset(np.repeat(IMAGES[:1], 8, axis=0), np.zeros(8, np.int64), ["a"])
    images, _ = load(DataLoader(same, CROPS, 8, seed=7))[0]
    assert len({image.tobytes() for image in images}) > 3


def test_ten_crops_are_an_axis_of_their_own():
    loader = DataLoader(DATASET, ten_cropped(evaluation_pipeline(STATISTICS, "paper")), 2, shuffle=False)
    images, labels = next(batches := loader.epoch(0))
    batches.close()
    assert images.shape == (2, 10, 3, 227, 227)
    assert labels.shape == (2,)


def test_drop_last_leaves_out_the_smaller_batch():
    loader = DataLoader(DATASET, PLAIN, 4, drop_last=True)
    assert [len(images) for images, _ in load(loader)] == [4, 4]
    assert (len(loader), len(DataLoader(DATASET, PLAIN, 4))) == (2, 3)


class Broken(ArrayDataset):
    """The picture of index 5 can't be had."""

    def __getitem__(self, index):
        if index == 5:
            raise ValueError("its ink has dried")
        return super().__getitem__(index)


@pytest.mark.parametrize("ahead", [1, 3])
def test_no_more_is_loaded_ahead_than_was_said(ahead, monkeypatch):
    begun, begin = [], DataLoader._begin
    monkeypatch.setattr(DataLoader, "_begin", lambda *arguments: begun.append(1) or begin(*arguments))
    batches = DataLoader(DATASET, PLAIN, 1, ahead=ahead).epoch(0)
    assert not begun
    for asked in range(1, 5):
        next(batches)
        assert len(begun) == asked + ahead
    batches.close()


def test_a_picture_that_cannot_be_loaded_is_an_error_with_its_name_after_the_batches_before_it():
    batches = DataLoader(Broken(IMAGES, LABELS, DATASET.classes), PLAIN, 2, workers=2, shuffle=False).epoch(0)
    assert [labels.tolist() for _, labels in (next(batches), next(batches))] == [
        LABELS[:2].tolist(),
        LABELS[2:4].tolist(),
    ]
    with pytest.raises(RuntimeError, match="image 5 can't be loaded: its ink has dried"):
        next(batches)
    assert not threads()


def test_a_file_that_breaks_after_it_was_found_is_named_once(tmp_path):
    noise().save(tmp_path / "a.png")
    files = FolderDataset([str(tmp_path / "a.png")], [0], ["a"])
    (tmp_path / "a.png").write_text("gone")
    with pytest.raises(RuntimeError, match=r"^\S+a\.png is not an image file; put a good one in its place, [^/]*$"):
        load(DataLoader(files, PLAIN, 1))


@pytest.mark.parametrize("leave", ["close", "drop", "exhaust"])
def test_no_thread_is_left_behind(leave):
    batches = DataLoader(DATASET, PAPER, 2, workers=3).epoch(0)
    next(batches)
    assert threads()
    if leave == "close":
        batches.close()
    elif leave == "drop":
        del batches
        gc.collect()
    else:
        list(batches)
    assert not threads()


def test_waiting_is_counted_over_all_batches(monkeypatch):
    loader, clock = DataLoader(DATASET, PLAIN, 4), iter([10.0, 13.0, 20.0, 20.5, 30.0, 30.25])
    monkeypatch.setattr("npalexnet.data.loader.time.perf_counter", lambda: next(clock))
    load(loader)
    assert loader.waited == 3.75


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"batch_size": 2.0}, "batch_size must be an int, got 2.0"),
        ({"workers": 0}, "workers must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"ahead": 0}, "ahead must be at least 1, got 0"),
        ({"batch_size": 12, "drop_last": True}, "drop_last leaves nothing: 11 pictures are fewer than a batch of 12"),
    ],
)
def test_numbers_out_of_range_are_refused(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        DataLoader(DATASET, PLAIN, **{"batch_size": 2, **options})


def test_an_empty_data_set_is_refused():
    with pytest.raises(ValueError, match="the data set is empty"):
        DataLoader(ArrayDataset(IMAGES[:0], LABELS[:0], ["a"]), PLAIN, 2)


@pytest.mark.parametrize(("number", "start"), [(-1, 0), (0, -1), (0, 7)])
def test_an_epoch_or_batch_that_there_is_not_is_refused_at_once(number, start):
    with pytest.raises(ValueError, match="number must not be negative and start be from 0 to 6"):
        DataLoader(DATASET, PLAIN, 2).epoch(number, start)


def test_after_the_last_batch_there_is_nothing():
    assert load(DataLoader(DATASET, PLAIN, 2), 0, 6) == []


def test_what_is_no_data_set_or_pipeline_is_refused_at_once():
    with pytest.raises(TypeError, match=r"^dataset must be a Dataset, with its labels and classes, got "):
        DataLoader(list(IMAGES), PLAIN, 2)
    with pytest.raises(TypeError, match=r"^pipeline must be a Pipeline, got None"):
        DataLoader(DATASET, None, 2)
    with pytest.raises(TypeError, match=r"^number and start must be ints, got 0\.5 and 0"):
        DataLoader(DATASET, PLAIN, 2).epoch(0.5)
