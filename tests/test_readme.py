import re
from pathlib import Path

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_library_example_runs_as_written_and_learns(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
    losses = [float(line.rpartition(" ")[2]) for line in capsys.readouterr().out.splitlines()]
    assert len(losses) == 3
    assert losses[2] < losses[0]


def test_every_file_that_the_readme_names_is_there():
    root = Path(__file__).parent.parent
    for name in re.findall(r"\]\(([\w./-]+)\)|`((?:npalexnet|docs|tests|benchmarks)/[\w./-]*)`", README):
        assert (root / "".join(name)).exists(), name
