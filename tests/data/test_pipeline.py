import json

import numpy as np
import pytest
from PIL import Image, ImageOps

from npalexnet.data import (
    CenterCrop,
    Normalize,
    Pipeline,
    RandomCrop,
    RandomHorizontalFlip,
    ResizeCenterCrop,
    Statistics,
    TenCrop,
    evaluation_pipeline,
    ten_cropped,
    training_pipeline,
)

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
STATISTICS = Statistics(MEAN, STD, (0.15, 0.01, 0.002))
MEAN_IMAGE = np.random.default_rng(1).random((256, 256, 3), dtype=np.float32)
WITH_IMAGE = Statistics(MEAN, STD, mean_image=MEAN_IMAGE)
COLOUR = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
RNG = np.random.default_rng


def reference(size):
    """The middle square as float64, (size, size, 3), from 0 to 1."""
    square = ImageOps.fit(Image.fromarray(COLOUR), (size, size), Image.Resampling.BILINEAR)
    return np.asarray(square).astype(np.float64) / 255


@pytest.mark.parametrize(
    "picture", [COLOUR, COLOUR[..., 0], Image.fromarray(COLOUR), COLOUR[:, ::2].transpose(1, 0, 2)]
)
def test_the_simple_recipe_is_the_middle_square_less_the_mean_over_the_deviation_to_the_bit(picture):
    image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    square = ImageOps.fit(image, (227, 227), Image.Resampling.BILINEAR).convert("RGB")
    expected = np.asarray(square, np.float32).transpose(2, 0, 1) / 255
    expected = (expected - np.float32(MEAN)[:, None, None]) / np.float32(STD)[:, None, None]
    for pipeline in (training_pipeline(STATISTICS), evaluation_pipeline(STATISTICS)):
        y = pipeline(picture, RNG(0))
        np.testing.assert_array_equal(y, expected)
        assert y.dtype == np.float32
        assert y.transpose(1, 2, 0).flags.c_contiguous


def test_the_papers_training_picture_is_a_part_mirrored_or_not_and_shifted_in_colour():
    square, pipeline, seen, shifts = reference(256), training_pipeline(STATISTICS, "paper"), set(), []
    for seed in range(8):
        y = pipeline(COLOUR, RNG(seed)).transpose(1, 2, 0).astype(np.float64)
        assert y.shape == (227, 227, 3)
        colours = y * STD + MEAN
        matches = [
            (mirrored, candidate[0, 0] - square[top, left])
            for mirrored, candidate in ((False, colours), (True, colours[:, ::-1]))
            for top in range(30)
            for left in range(30)
            if np.ptp(candidate[::75, ::75] - square[top : top + 227 : 75, left : left + 227 : 75], axis=(0, 1)).max()
            < 1e-5
        ]
        assert len(matches) == 1
        seen.add(matches[0][0])
        shifts.append(matches[0][1])
    assert seen == {True, False}
    assert np.abs(shifts).max(axis=0).min() > 1e-3


def test_the_papers_evaluation_picture_is_the_middle_and_the_same_each_time():
    expected = (reference(256)[14:241, 14:241] - MEAN) / STD
    pipeline = evaluation_pipeline(STATISTICS, "paper")
    for seed in (0, 1):
        np.testing.assert_allclose(pipeline(COLOUR, RNG(seed)).transpose(1, 2, 0), expected, atol=1e-5)


@pytest.mark.parametrize("statistics", [STATISTICS, WITH_IMAGE])
def test_crops_are_the_papers_picture_without_its_jitter(statistics):
    crops, paper = (training_pipeline(statistics, augment) for augment in ("crops", "paper"))
    assert [step for step in paper.to_json() if step["name"] != "ColourNoise"] == crops.to_json()
    assert len(crops.transforms) == len(paper.transforms) - 1
    evaluated = [evaluation_pipeline(statistics, augment)(COLOUR, RNG(0)) for augment in ("crops", "paper")]
    np.testing.assert_array_equal(*evaluated)


@pytest.mark.parametrize("statistics", [STATISTICS, WITH_IMAGE])
def test_crops_of_random_size_have_the_mean_subtracted_colour_by_colour(statistics):
    training, evaluation = (make(statistics, "resized") for make in (training_pipeline, evaluation_pipeline))
    assert [step["name"] for step in training.to_json()] == ["RandomResizedCrop", "Mirror", "Normalize"]
    white = training(np.full((9, 9), 255, np.uint8), RNG(0))
    np.testing.assert_allclose(white, np.broadcast_to(((1 - np.array(MEAN)) / STD)[:, None, None], (3, 227, 227)), 1e-6)
    np.testing.assert_array_equal(evaluation(COLOUR, RNG(0)), evaluation_pipeline(STATISTICS, "crops")(COLOUR, RNG(0)))


@pytest.mark.parametrize("augment", ["simple", "crops"])
def test_pixels_of_255_are_those_of_the_picture_less_the_mean(augment):
    expected = reference(227) if augment == "simple" else reference(256)[14:241, 14:241]
    y = evaluation_pipeline(STATISTICS, augment, pixels="255")(COLOUR, RNG(0)).transpose(1, 2, 0)
    np.testing.assert_allclose(y, 255 * (expected - MEAN), atol=1e-3)
    y = evaluation_pipeline(WITH_IMAGE, "crops", pixels="255")(COLOUR, RNG(0)).transpose(1, 2, 0)
    np.testing.assert_allclose(y, 255 * (reference(256) - MEAN_IMAGE)[14:241, 14:241], atol=1e-3)
    assert training_pipeline(STATISTICS, augment, pixels="255").to_json()[-1]["std"] == (1 / 255,) * 3


@pytest.mark.parametrize("augment", ["simple", "paper"])
def test_ten_crops_are_ten_inputs_of_which_the_fifth_is_the_middle(augment):
    ten = ten_cropped(evaluation_pipeline(STATISTICS, augment))(COLOUR, RNG(0))
    assert ten.shape == (10, 3, 227, 227)
    assert ten.transpose(0, 2, 3, 1).flags.c_contiguous
    square = (reference(256) - MEAN) / STD
    np.testing.assert_allclose(ten[4].transpose(1, 2, 0), square[14:241, 14:241], atol=1e-5)
    np.testing.assert_allclose(ten[3].transpose(1, 2, 0), square[29:, 29:], atol=1e-5)
    np.testing.assert_array_equal(ten[8], ten[3][:, :, ::-1])


def test_ten_crops_have_the_mean_image_taken_off_before():
    ten = ten_cropped(evaluation_pipeline(WITH_IMAGE, "paper"))(COLOUR, RNG(0))
    expected = (reference(256) - MEAN_IMAGE)[:227, 29:] / STD
    np.testing.assert_allclose(ten[1].transpose(1, 2, 0), expected, atol=1e-5)


def test_a_pipeline_of_ten_crops_stays_as_it_is():
    pipeline = Pipeline([ResizeCenterCrop(30), TenCrop(20)])
    assert ten_cropped(pipeline).to_json() == pipeline.to_json()


def test_ten_crops_of_a_pipeline_that_takes_no_square_are_refused():
    with pytest.raises(
        ValueError, match="need a pipeline with a ResizeCenterCrop or a CenterCrop, got RandomHorizontalFlip"
    ):
        ten_cropped(Pipeline([RandomHorizontalFlip()]))


def test_a_mean_image_is_taken_off_before_the_crop():
    y = evaluation_pipeline(WITH_IMAGE, "paper")(COLOUR, RNG(0))
    expected = (reference(256) - MEAN_IMAGE)[14:241, 14:241] / STD
    np.testing.assert_allclose(y.transpose(1, 2, 0), expected, atol=1e-5)
    assert "SubtractMeanImage" in {step["name"] for step in training_pipeline(WITH_IMAGE, "paper").to_json()}


@pytest.mark.parametrize(
    "pipeline",
    [
        training_pipeline(STATISTICS),
        training_pipeline(WITH_IMAGE, "paper"),
        ten_cropped(evaluation_pipeline(STATISTICS, "paper")),
    ],
)
def test_a_pipeline_read_from_its_json_does_the_same_to_the_bit(pipeline):
    copy = Pipeline.from_json(json.loads(json.dumps(pipeline.to_json())))
    np.testing.assert_array_equal(pipeline(COLOUR, RNG(5)), copy(COLOUR, RNG(5)))
    assert copy.to_json() == pipeline.to_json()


def test_the_shape_is_known_before_any_picture_is_seen():
    assert training_pipeline(STATISTICS, "paper").output_shape == (3, 227, 227)
    assert ten_cropped(evaluation_pipeline(STATISTICS)).output_shape == (10, 3, 227, 227)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (None, "must be a list of dicts, got None"),
        (["Mirror"], "must be a list of dicts"),
        ([{"name": "Blur"}], r"steps are MiddleSquare, .*, got 'Blur'"),
        ([{"size": 3}], "got None"),
        (
            [{"name": "Mirror", "q": 1}],
            "the step Mirror can't be made of .* unexpected keyword argument 'q'",
        ),
        (
            [{"name": "Mirror", "p": 7}],
            "the step Mirror can't be made of .* p must be from 0 to 1",
        ),
        ([{"name": "SubtractMeanImage", "shape": [1, 1, 3]}], "the step SubtractMeanImage can't be made"),
        ([{"name": "SubtractMeanImage", "shape": [1, 1, 3], "float32": "AAAA"}], "the step SubtractMeanImage can't"),
        (
            [{"name": "Mirror"}, {"name": "MiddleSquare"}],
            "on pictures must come before those on arrays",
        ),
    ],
)
def test_a_description_that_is_none_is_refused(steps, message):
    with pytest.raises(ValueError, match=message):
        Pipeline.from_json(steps)


def test_steps_in_the_wrong_order_are_refused_by_name():
    with pytest.raises(ValueError, match="got CenterCrop, ResizeCenterCrop"):
        Pipeline([CenterCrop(3), ResizeCenterCrop(4)])


@pytest.mark.parametrize("make", [training_pipeline, evaluation_pipeline])
def test_an_unknown_recipe_is_refused(make):
    with pytest.raises(ValueError, match="augment must be one of simple, crops, paper, resized, got 'modern'"):
        make(STATISTICS, "modern")
    with pytest.raises(ValueError, match="pixels must be one of std, 255, got '256'"):
        make(STATISTICS, "paper", pixels="256")


def test_pipelines_of_ones_own_are_put_together_from_the_steps():
    y = Pipeline([ResizeCenterCrop(20), RandomCrop(8), RandomHorizontalFlip(1.0), Normalize((0, 0, 0))])(COLOUR, RNG(0))
    assert y.shape == (3, 8, 8)
