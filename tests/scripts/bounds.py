"""Run the tests with the oldest versions that pyproject.toml allows, and with the newest.

Two virtual environments are made in a temporary folder, one after the other, by pip. Ends with an error if one can't be
made, or tests fail in one. Arguments are handed on to pytest: ``python tests/scripts/bounds.py tests/data -x``.
"""

import os
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXTRAS = ("train", "test")


def requirements(oldest: bool) -> list[str]:
    """Return the package's requirements and its extras', each at its lower bound or without one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = [*project["dependencies"], *(line for name in EXTRAS for line in project["optional-dependencies"][name])]
    listed = [line for line in dict.fromkeys(listed) if not line.startswith(f"{project['name']}[")]
    return [line.replace(">=", "==") for line in listed] if oldest else listed


def tests_pass(folder: Path, oldest: bool, arguments: list[str]) -> bool:
    """Make an environment in a folder and run the tests there."""
    venv.create(folder, with_pip=True)
    python = str(folder / ("Scripts" if os.name == "nt" else "bin") / "python")
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--upgrade", "--upgrade-strategy", "eager", *requirements(oldest)],
        check=True,
    )
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", str(ROOT)], check=True)  # for its version
    subprocess.run([python, "-m", "pip", "list"], check=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([python, "-m", "pytest", "-q", *arguments], cwd=ROOT, env=environment).returncode == 0


def main(arguments: list[str]) -> int:
    """Return 0 if the tests pass with both."""
    passed = {}
    for name in ("oldest", "newest"):
        print(f"--- the {name} versions: {', '.join(requirements(name == 'oldest'))}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            passed[name] = tests_pass(Path(folder), name == "oldest", arguments)
    for name, good in passed.items():
        print(f"With the {name} versions the tests {'pass' if good else 'FAIL'}.")
    return 0 if all(passed.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
