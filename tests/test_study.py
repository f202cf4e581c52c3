"""The chapters of docs/study print what is committed, and their exercises tell right answers from wrong ones."""

import re

import pytest

for module in ("nbclient", "ipykernel"):
    pytest.importorskip(module, reason=f"the notebooks need {module}: pip install -e '.[test]'")

import nbformat  # noqa: E402

from tests.notebooks import NOTEBOOKS, STUDY, executed, exercises, read, text_of  # noqa: E402

# Of each solution, what a wrong answer has in the place of what.
MISTAKES = {
    "1-network-and-shapes": [(", padding)", ", 0)"), (" * step", "")],
    "2-convolution": [("top, left = p * stride, q * stride", "top, left = p, q"), ("axis=2", "axis=1")],
    "3-convolution-backward": [("+=", "="), ("[:, :, ::-1, ::-1]", "")],
    "4-pooling-to-loss": [("+=", "="), (" + epsilon / K", "")],
    "5-training": [("+ weight_decay * w", ""), ("(s + 1)", "s")],
    "6-fast": [("m1 - m2 + m3", "m1 - m2 - m3"), ("A @ grad_y", "A @ grad_y[::-1]")],
}
WITHOUT_TORCH = ("1-network-and-shapes", "4-pooling-to-loss")
chapters = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@chapters
def test_a_chapter_prints_what_is_committed_and_judges_answers_as_they_are(path):
    committed = read(path)
    extended = nbformat.v4.new_notebook(cells=list(committed.cells), metadata=committed.metadata)
    for (_, solution, judge), (right, wrong) in zip(exercises(committed), MISTAKES[path.stem], strict=True):
        assert right in solution
        for code in (solution, judge, solution.replace(right, wrong), judge):
            extended.cells.append(nbformat.v4.new_code_cell(code))
    found = executed(extended).cells
    for cell, now in zip(committed.cells, found, strict=False):
        if cell.cell_type == "code":
            assert text_of(now) == text_of(cell), cell.source
    answers = [cell.outputs[0].text for cell in found[len(committed.cells) :] if cell.outputs]
    assert [answer.split(":")[0].strip() for answer in answers] == 2 * ["right", "wrong"]


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_where_torch_is_not_installed_a_chapter_says_so_and_prints_the_rest_as_it_is(name):
    committed = read(STUDY / f"{name}.ipynb")
    hidden = nbformat.v4.new_code_cell("import sys\n\nsys.modules['torch'] = None")
    without = nbformat.v4.new_notebook(cells=[hidden, *committed.cells], metadata=committed.metadata)
    compared = 0
    for cell, now in zip(committed.cells, executed(without).cells[1:], strict=True):
        if cell.cell_type == "code":
            for line, here in zip(printed(cell), printed(now), strict=True):
                if "torch" in line:
                    assert here.endswith("torch is not installed"), cell.source
                    compared += 1
                else:
                    assert here == line, cell.source
    assert compared > 3


def printed(cell):
    return "".join(output.text for output in cell.outputs if output.output_type == "stream").splitlines()


@chapters
def test_what_is_committed_of_a_chapter_is_one_run_from_top_to_bottom_without_warnings_times_and_paths(path):
    notebook = read(path)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        assert "execution" not in cell.metadata
        for output in cell.outputs:
            assert output.output_type in ("display_data", "execute_result") or output.name == "stdout", output
    assert list(notebook.metadata.language_info) == ["name"]
    text = path.read_text(encoding="utf-8")
    assert not re.findall(r"/home/|/root/|/tmp/|/Users/|\b0x[0-9a-f]{6,}", text)
    assert len(text) < 400_000


@chapters
def test_a_chapter_ends_with_two_exercises_that_are_not_written_yet(path):
    stubs = list(exercises(read(path)))
    assert len(stubs) == 2
    for stub, solution, _ in stubs:
        assert stub.rstrip().endswith("...")
        assert stub.splitlines()[0] == solution.splitlines()[0]
    headings = re.findall(r"^#+ .*$", "\n".join(c.source for c in read(path).cells if c.cell_type == "markdown"), re.M)
    assert headings[-3] == "## Exercises"


@chapters
def test_the_links_of_a_chapter_lead_to_files(path):
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    for target in re.findall(r"\]\((?!https://)([^)#:]+)[^)]*\)", text):
        assert (STUDY / target).exists(), target
