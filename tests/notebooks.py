"""Executing the notebooks of docs/study, and what must be the same in their output each time."""

import re
from copy import deepcopy
from pathlib import Path

import nbformat
from nbclient import NotebookClient

STUDY = Path(__file__).parent.parent / "docs" / "study"
NOTEBOOKS = sorted(STUDY.glob("*.ipynb"))


def read(path):
    return nbformat.read(path, as_version=4)


def executed(notebook):
    """Return a copy with the output that it has here and now; an error in a cell raises.

    The copy holds no times and no versions, so that it is the same file whenever and wherever it is made, but for
    figures that show measured times.
    """
    found = deepcopy(notebook)
    NotebookClient(found, timeout=120, record_timing=False, resources={"metadata": {"path": str(STUDY)}}).execute()
    found.metadata.language_info = {"name": "python"}
    for cell in found.cells:
        if cell.cell_type == "code":
            cell.outputs = _joined(cell.outputs)
    return found


def _joined(outputs):
    """Join what was printed in several parts: where one ends depends on the time that a kernel takes."""
    joined = []
    for output in outputs:
        if joined and output.output_type == joined[-1].output_type == "stream" and output.name == joined[-1].name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def text_of(cell):
    """Return what a cell prints; of a figure only that there is one, for its pixels depend on fonts and versions."""
    found = []
    for output in cell.outputs:
        if output.output_type == "stream":
            found.append((output.name, output.text))
        else:
            found.append((output.output_type, sorted(output.data), output.data.get("text/plain")))
    return found


def exercises(notebook):
    """Yield an exercise's stub, the solution below it, and the cell that judges: three cells in a row, as code."""
    for stub, solution, judge in zip(notebook.cells, notebook.cells[1:], notebook.cells[2:], strict=False):
        if "exercise" in stub.metadata.get("tags", ()):
            (code,) = re.findall(r"```python\n(.*?)```", solution.source, re.DOTALL)
            yield stub.source, code, judge.source
