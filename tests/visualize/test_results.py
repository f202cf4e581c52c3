import numpy as np
import pytest

from npalexnet import visualize
from npalexnet.visualize.results import read_metrics, smoothed


def test_curves_show_every_record():
    records = [{"step": i, "images": 16 * i, "loss": 3 - 0.1 * i, "accuracy": i / 20} for i in range(1, 11)]
    records.append({"step": 10, "images": 160, "test_loss": 2.5, "test_accuracy": 0.4})
    loss, accuracy = visualize.curves(records).axes
    np.testing.assert_allclose(loss.lines[0].get_ydata(), [3 - 0.1 * i for i in range(1, 11)])
    np.testing.assert_allclose(loss.lines[1].get_ydata(), [3 - 0.1 * i for i in range(1, 11)])  # a line has no lag
    np.testing.assert_allclose(accuracy.lines[2].get_ydata(), [40])
    assert loss.get_ylim()[1] > 2.9
    assert accuracy.get_ylabel() == "accuracy (%)"


def test_metrics_are_read_while_the_last_line_is_being_written(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert read_metrics(path) == []
    path.write_text('{"step": 1}\n7\n{"step": 2}\n{"step": 3, "lo')
    assert read_metrics(path) == [{"step": 1}, {"step": 2}]


@pytest.mark.parametrize(
    "odd", [b'{"step": 2, "loss": 1.0}', b'{"step": 2, "images": "x", "loss": 1.0, "accuracy": 0.5}', b"[]", b"\xff",
    b'{"step": 2, "images": 9, "loss": [1], "accuracy": 0.5}', b'{"step": 2, "images": 9, "test_loss": 1.0}', b"",
    b'{"step": 2, "images": 9, "loss": 1e999, "accuracy": 0.5}'],
)  # fmt: skip
def test_lines_that_curves_can_not_show_are_left_out(tmp_path, odd):
    good = b'{"step": 1, "images": 4, "loss": 1.0, "accuracy": 0.5}'
    (tmp_path / "metrics.jsonl").write_bytes(good + b"\n" + odd + b"\n")
    records = read_metrics(tmp_path / "metrics.jsonl")
    assert records == [{"step": 1, "images": 4, "loss": 1.0, "accuracy": 0.5}]
    visualize.curves(records)


def test_curves_of_a_run_that_was_stopped_before_its_first_evaluation():
    figure = visualize.curves([{"step": 1, "images": 16, "loss": 2.3, "accuracy": 0.1}])
    assert len(figure.axes) == 2


def test_curves_of_a_run_whose_steps_are_not_recorded_show_its_evaluations():
    loss, _ = visualize.curves([{"step": 9, "images": 144, "test_loss": 1.5, "test_accuracy": 0.4}]).axes
    np.testing.assert_allclose(loss.lines[2].get_ydata(), [1.5])


def test_curves_leave_out_what_was_not_finite():
    records = [{"step": i, "images": i, "loss": loss, "accuracy": 0.5} for i, loss in enumerate([4, None, 2, 3])]
    records.append({"step": 4, "images": 4, "test_loss": None, "test_accuracy": 0.25})
    loss, accuracy = visualize.curves(records).axes
    np.testing.assert_allclose(loss.lines[0].get_ydata(), [4, np.nan, 2, 3])
    line = np.polyval(np.polyfit([0, 2, 3], [4, 2, 3], 1), range(4))
    np.testing.assert_allclose(loss.lines[1].get_ydata(), line)
    np.testing.assert_allclose(loss.get_ylim(), [0, 1.05 * 4])
    np.testing.assert_allclose(accuracy.lines[2].get_ydata(), [25])


def test_smoothing_fits_a_line_to_the_numbers_around_each_and_bridges_gaps():
    values = np.random.default_rng(0).normal(size=60)
    values[[7, 40, 41]] = np.nan
    values[20:22] = np.nan
    expected = []
    for i in range(60):
        near = np.array([j for j in range(max(0, i - 12), min(60, i + 13)) if np.isfinite(values[j])])
        expected.append(np.polyval(np.polyfit(near - i, values[near], 1), 0))
    np.testing.assert_allclose(smoothed(values), expected, atol=1e-12)
    np.testing.assert_array_equal(smoothed(np.array([np.nan, np.nan])), [np.nan, np.nan])
    np.testing.assert_array_equal(smoothed(np.array([5.0])), [5])
    assert len(smoothed(np.array([]))) == 0


TESTS = [
    {"step": 10 * i, "images": 160 * i, "epoch": float(i), "test_loss": loss, "test_accuracy": accuracy}
    for i, (loss, accuracy) in enumerate([(2, 0.3), (1, 0.6), (0.9, 0.6), (0.8, 0.5), (None, 0.6), (3, None)], 1)
]


@pytest.mark.parametrize(("step", "marked"), [(None, "kept: epoch 3"), (40, "kept: epoch 4"), (15, None), (60, None)])
def test_curves_mark_the_evaluation_whose_weights_were_kept(step, marked):
    for axes in visualize.curves(TESTS, kept_step=step).axes:
        marks = [line for line in axes.lines if line.get_label().startswith("kept")]
        assert [line.get_label() for line in marks] == ([marked] if marked else [])
        assert [line.get_xdata()[0] for line in marks] == ([160 * int(marked[-1])] if marked else [])


def confusion(matrix, classes, **options):
    axes, bar = visualize.confusion(np.array(matrix), classes, **options).axes
    counts = {text.get_position(): text.get_text() for text in axes.texts}
    return axes, counts, bar


def test_confusion_is_counted_with_true_classes_as_rows_and_coloured_by_fractions_of_them():
    axes, counts, bar = confusion([[3, 1, 0], [0, 0, 0], [0, 2, 6]], ["cat", "dog", "$cow$"])
    percent = {(0, 0): "3\n75 %", (1, 0): "1\n25 %", (1, 2): "2\n25 %", (2, 2): "6\n75 %"}  # (column, row)
    assert counts == percent
    np.testing.assert_allclose(axes.images[0].get_array(), [[75, 25, 0], [0, 0, 0], [0, 25, 75]])
    assert axes.images[0].get_clim() == (0, 100)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert axes.figure.get_suptitle() == "9 of 12 images classified correctly (75.0 %)"
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["cat", "dog", r"\$cow\$"]
    assert bar.get_ylabel() == "% of the row"


@pytest.mark.parametrize("K", [1, 2, 10, 40, 100])
def test_confusion_has_room_for_every_name_and_number(K):
    names, counts = [f"a class with a long name {k}" for k in range(K)], np.full((K, K), 1234)
    if K > 20:  # cells are all alike, and each number takes time
        counts[1:-1, 1:-1] *= np.eye(K - 2, dtype=int)
    figure = visualize.confusion(counts, names)
    axes = figure.axes[0]
    figure.draw_without_rendering()
    cell = axes.get_window_extent().width / K  # pixels
    heights = [tick.get_window_extent().height for tick in axes.get_yticklabels()]
    assert max(heights) < cell
    assert max(text.get_window_extent().width for text in axes.texts) < cell
    everything = figure.get_tightbbox()
    assert everything.x0 >= 0
    assert everything.y0 >= 0
    assert everything.x1 <= figure.get_figwidth()
    assert everything.y1 <= figure.get_figheight()
    assert min(text.get_fontsize() for text in axes.texts) > 4


def test_confusion_of_a_thousand_classes_fits_a_picture_without_numbers():
    figure = visualize.confusion(np.eye(1000, dtype=int), [f"{k}" for k in range(1000)], title="mine")
    assert len(figure.axes[0].texts) == 0
    assert max(figure.get_size_inches()) < 25
    assert figure.axes[0].get_xlabel() == "predicted class (its number)"
    assert figure.get_suptitle() == "mine"


def test_confusion_refuses_names_that_do_not_fit():
    with pytest.raises(ValueError, match=r"for each of 2 classes, got shape \(3, 3\)"):
        visualize.confusion(np.eye(3, dtype=int), ["a", "b"])
