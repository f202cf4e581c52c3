"""The command line: `python -m benchmarks [question] [options]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import forward, gpu, gpu_layers, ladder, layers, memory, output, profile, scaling, step, turns
from benchmarks.precisions import PRECISIONS
from npalexnet.backend import get_num_threads

# Each module has run(arguments, say) -> dict, show(dict) -> str, chart(dict) -> Figure, and its default settings.
QUESTIONS: dict[str, Any] = {
    "step": step,
    "forward": forward,
    "layers": layers,
    "memory": memory,
    "scaling": scaling,
    "profile": profile,
    "ladder": ladder,
    "gpu": gpu,
    "gpu-layers": gpu_layers,
}
DEFAULT = ("step", "forward")


def main(argv: Sequence[str] | None = None) -> int:
    """Answer one question, or the default ones one after the other; returns the exit status.

    Parameters
    ----------
    argv : sequence of str, optional
        The command line; by default the process's own.

    Returns
    -------
    int
        0; 1 if something went wrong; 130 after Ctrl-C. (A wrong command line exits with 2.)
    """
    arguments = _parse(argv)
    wanted = [arguments.question] if arguments.question else DEFAULT
    try:
        arguments.threads = arguments.threads or get_num_threads()
        names = {question: _output_name(arguments, question) for question in wanted}
        for name in names.values():
            if name:
                output.check_writable(name)
        for question, name in names.items():
            _answer(question, arguments, name)
    except (OSError, RuntimeError, MemoryError, ValueError) as error:
        print(f"benchmarks: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("benchmarks: interrupted", file=sys.stderr)
        return 130
    return 0


def _answer(question: str, arguments: argparse.Namespace, name: Path | None) -> None:
    """Measure, print the table, write the files."""
    module = QUESTIONS[question]
    result = module.run(_with_defaults(arguments, module), say=_say)
    print(module.show(result), end="\n\n", flush=True)
    if name is None:
        return
    numbers, picture = output.files(name)
    output.write_json(numbers, result)
    try:
        figure = module.chart(result)
    except ImportError:
        _say(f"matplotlib is not installed: {picture} is missing (pip install 'npalexnet[bench]')")
    else:
        output.write_chart(picture, figure)


def _output_name(arguments: argparse.Namespace, question: str) -> Path | None:
    """Several questions can't write into the same files: each adds its name."""
    name = arguments.output
    return name if name is None or arguments.question else name.with_name(f"{name.name}-{question}")


def _with_defaults(arguments: argparse.Namespace, module: Any) -> argparse.Namespace:
    """Return the arguments with the question's own settings where none were given."""
    settings = dict(vars(arguments))
    settings["batch_sizes"] = arguments.batch_sizes or module.BATCH_SIZES
    settings["rounds"] = arguments.rounds or module.ROUNDS
    settings["precisions"] = list(dict.fromkeys(arguments.precisions or PRECISIONS))
    settings["pause"] = turns.PAUSE
    if arguments.quick:
        settings |= {"batch_sizes": [1], "rounds": 1, "warmup": 0, "pause": 0.0}
    return argparse.Namespace(**settings)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    questions = "\n".join(f"  {name:10} {(module.__doc__ or '').splitlines()[0]}" for name, module in QUESTIONS.items())
    parser = argparse.ArgumentParser(
        "python -m benchmarks",
        description="Measure npalexnet beside torch on this machine. See benchmarks/README.md for how to read it.",
        epilog=f"questions:\n{questions}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("question", nargs="?", choices=QUESTIONS, help=f"default: {' and '.join(DEFAULT)}, one after the other")
    add("--batch-sizes", type=_positive, nargs="+", metavar="N", help="images in a batch (default: the question's own)")
    add("--rounds", type=_positive, metavar="N", help="turns of each rival that count (default: the question's own)")
    add("--warmup", type=_not_negative, default=2, metavar="N", help="turns before them that don't count (2)")
    add("--precisions", nargs="+", choices=PRECISIONS, help="in which a GPU computes (all)")
    add("--threads", type=_positive, metavar="N", help="for every rival (all cores)")
    add("--classes", type=_positive, default=1000, metavar="N", help="width of the last layer (1000)")
    add("--dropout", type=_probability, default=0.5, metavar="P", help="in training (0.5)")
    add("--output", type=_name, metavar="NAME", help="write NAME.json and the chart NAME.png, too")
    add("--quick", action="store_true", help="one image, one round: does it work? The numbers mean nothing")
    return parser.parse_args(argv)


def _positive(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return int(text)


def _not_negative(text: str) -> int:
    if int(text) < 0:
        raise argparse.ArgumentTypeError(f"must not be negative, got {text}")
    return int(text)


def _probability(text: str) -> float:
    if not 0 <= float(text) <= 1:
        raise argparse.ArgumentTypeError(f"must be from 0 to 1, got {text}")
    return float(text)


def _name(text: str) -> Path:
    path = Path(text)
    if not path.name or path.suffix in output.SUFFIXES:
        raise argparse.ArgumentTypeError(f"must be a name without {' or '.join(output.SUFFIXES)}, got {text}")
    return path


if __name__ == "__main__":
    sys.exit(main())
