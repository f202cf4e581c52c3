"""Execute the notebooks of docs/study and write their output into them: after changing one, before committing it.

In the root of a clone, after ``pip install -e '.[test]'``: ``python -m tests.scripts.write_notebooks [FILE ...]``.
"""

import sys
from pathlib import Path

import nbformat

from tests.notebooks import NOTEBOOKS, executed, read


def main(paths):
    for path in [Path(name) for name in paths] or NOTEBOOKS:
        nbformat.write(executed(read(path)), path)
        print(path)


if __name__ == "__main__":
    main(sys.argv[1:])
