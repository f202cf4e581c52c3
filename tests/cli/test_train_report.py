from types import SimpleNamespace

from npalexnet.cli.train_report import _which_weights


def test_the_line_about_the_weights_names_the_best_validation_and_the_last_one():
    results = [(1, 5, 0.5, 0.9), (2, 10, 0.75, 0.5), (3, 15, 0.75, 0.4), (4, 20, 0.75, 0.6)]
    records = [{"epoch": e, "step": s, "test_accuracy": a, "test_loss": x} for e, s, a, x in results]
    output = SimpleNamespace(records=[{"step": 1, "loss": 1.0}, *records])
    assert _which_weights(output, 20) == (
        "The weights are those of epoch 3, step 15 of 20 (accuracy 75.0 %, loss 0.400): the best of 4 validations by "
        "accuracy, then by loss; the last one had accuracy 75.0 %, loss 0.600."
    )
