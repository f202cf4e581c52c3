"""What a run must have in common with its checkpoint to go on."""

import pytest

from npalexnet.data import Pipeline, RandomHorizontalFlip
from npalexnet.training import Run
from tests.training.small import trainer_of


def mirrored(trainer):
    trainer.train.pipeline = Pipeline([*trainer.train.pipeline.transforms, RandomHorizontalFlip()])


@pytest.mark.parametrize(
    ("settings", "change", "message"),
    [
        ({"accumulate": 2}, None, "its accumulate was 1, and is 2"),
        ({"dtype": "bfloat16"}, None, "its dtype was 'float32', and is 'bfloat16'"),
        ({"dtype": "float16"}, None, "its dtype was 'float32', and is 'float16'"),
        ({}, mirrored, "its preparation of images was"),
    ],
)
def test_a_run_does_not_go_on_with_other_settings_of_its_steps_or_other_pictures(tmp_path, settings, change, message):
    trainer_of(run=Run(tmp_path / "run"), count=16, epochs=1).fit()
    trainer = trainer_of(run=Run.reopen(tmp_path / "run"), count=16, epochs=1, **settings)
    if change is not None:
        change(trainer)
    with pytest.raises(ValueError, match=message):
        trainer.resume()
    assert trainer.state.step == 0
