import numpy as np
import pytest
from PIL import Image

from npalexnet.data import ArrayDataset, FolderDataset, Statistics
from npalexnet.data.sample import load_sample

RNG = np.random.default_rng(0)
COLOURS = np.clip(RNG.normal(128, 30, (7, 9, 8, 1)) + RNG.normal(0, [5, 10, 20], (7, 9, 8, 3)), 0, 255).astype(np.uint8)


def dataset(images):
    return ArrayDataset(images, np.zeros(len(images), np.int64), ["a"])


def test_mean_deviation_and_principal_colours_are_numpys():
    statistics = Statistics.fit(dataset(COLOURS))
    pixels = COLOURS.reshape(-1, 3) / 255
    np.testing.assert_allclose(statistics.mean, pixels.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(statistics.std, pixels.std(axis=0), rtol=1e-12)
    vectors = np.array(statistics.eigenvectors)
    np.testing.assert_allclose(
        vectors @ np.diag(statistics.eigenvalues) @ vectors.T, np.cov(pixels.T, bias=True), atol=1e-14
    )
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=1e-14)
    assert list(statistics.eigenvalues) == sorted(statistics.eigenvalues, reverse=True)
    assert np.all(vectors[np.abs(vectors).argmax(axis=0), range(3)] > 0)


def test_a_grey_samples_numbers_are_the_same_for_each_colour_and_it_varies_in_one_direction_alone():
    sample = load_sample("train")
    statistics = Statistics.fit(sample)
    mean, std = sample.images.mean() / 255, sample.images.std() / 255
    np.testing.assert_allclose(statistics.mean, [mean] * 3, rtol=1e-12)
    np.testing.assert_allclose(statistics.std, [std] * 3, rtol=1e-12)
    np.testing.assert_allclose(statistics.eigenvalues, [3 * std**2, 0, 0], atol=1e-12)


def test_pictures_of_one_colour_have_a_deviation_to_divide_by():
    assert Statistics.fit(dataset(np.full((2, 4, 4), 7, np.uint8))).std == (1e-6,) * 3


def test_the_numbers_do_not_depend_on_the_number_of_threads():
    one, four = (Statistics.fit(dataset(COLOURS), mean_image=8, workers=workers) for workers in (1, 4))
    assert (one.mean, one.std, one.eigenvalues, one.eigenvectors) == (
        four.mean, four.std, four.eigenvalues, four.eigenvectors
    )  # fmt: skip
    np.testing.assert_array_equal(one.mean_image, four.mean_image)


def test_the_mean_image_is_the_mean_of_the_pictures():
    images = COLOURS[:, :8]
    mean = Statistics.fit(dataset(images), mean_image=8).mean_image
    assert mean.dtype == np.float32
    np.testing.assert_allclose(mean, images.mean(axis=0) / 255, atol=1e-7)


def test_a_limit_measures_pictures_from_all_over_the_data_set():
    images = np.repeat(np.arange(10, dtype=np.uint8), 16).reshape(10, 4, 4)
    np.testing.assert_allclose(Statistics.fit(dataset(images), limit=5).mean, 4 / 255)  # 0, 2, 4, 6, 8


def test_large_pictures_count_no_more_than_small_ones(tmp_path):
    Image.new("RGB", (600, 500), "white").save(tmp_path / "large.png")
    Image.new("RGB", (10, 20), "black").save(tmp_path / "small.png")
    files = FolderDataset([str(tmp_path / "large.png"), str(tmp_path / "small.png")], [0, 0], ["a"])
    np.testing.assert_allclose(Statistics.fit(files).mean, 0.5)


def test_a_picture_that_broke_since_it_was_found_is_named_with_what_to_do(tmp_path):
    for name in ("a", "b"):
        Image.new("RGB", (10, 20)).save(tmp_path / f"{name}.png")
    files = FolderDataset([str(tmp_path / "a.png"), str(tmp_path / "b.png")], [0, 0], ["a"])
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    with pytest.raises(OSError, match=r"b\.png is .*; put a good one in its place, or remove it and begin a new run"):
        Statistics.fit(files)


def test_nothing_to_measure_is_refused():
    with pytest.raises(ValueError, match="there is no picture to measure"):
        Statistics.fit(dataset(COLOURS[:0]))
    with pytest.raises(ValueError, match="limit must be at least 1, got 0"):
        Statistics.fit(dataset(COLOURS), limit=0)
