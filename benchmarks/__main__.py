"""The command line: `python -m benchmarks [question] [options]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine, output, rounds
from benchmarks.cpu import ablation, accuracy, algorithms, forward, layers, memory, peers, profile, scaling, step
from benchmarks.gpu import layers as gpu_layers
from benchmarks.gpu import network as gpu_network
from benchmarks.precisions import PRECISIONS
from benchmarks.workload import settings
from npalexnet.backend import get_num_threads
from npalexnet.cli.options import number
from npalexnet.cli.parser import Parser

# Each module has run(arguments, say) -> dict, show(dict) -> str, chart(dict) -> Figure, and its default settings.
QUESTIONS: dict[str, Any] = {
    "step": step,
    "forward": forward,
    "layers": layers,
    "memory": memory,
    "accuracy": accuracy,
    "scaling": scaling,
    "profile": profile,
    "ablation": ablation,
    "algorithms": algorithms,
    "peers": peers,
    "gpu": gpu_network,
    "gpu-layers": gpu_layers,
}
DEFAULT = ("step", "forward")


def main(argv: Sequence[str] | None = None) -> int:
    """Answer one question, or the default ones one after the other.

    Returns the exit status: 0; 1 if something went wrong; 130 after Ctrl-C. (A wrong command line exits with 2.)
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
    module, found = QUESTIONS[question], machine.environment()
    arguments = _with_defaults(arguments, module)
    result = {"question": question, **found, "settings": settings(arguments), **module.run(arguments, say=_say)}
    print(machine.preamble(module.TITLE, result), module.show(result), sep="\n", end="\n\n", flush=True)
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
    given = {
        "batch_sizes": arguments.batch_sizes or module.BATCH_SIZES,
        "rounds": arguments.rounds or module.ROUNDS,
        "precisions": list(dict.fromkeys(arguments.precisions or PRECISIONS)),
        "pause": rounds.PAUSE,
    }
    if arguments.quick:
        given |= {"batch_sizes": [1], "rounds": 1, "warmup": 0, "pause": 0.0}
    return rounds.replaced(arguments, **given)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    questions = "\n".join(f"  {name:10} {(module.__doc__ or '').splitlines()[0]}" for name, module in QUESTIONS.items())
    parser = Parser(
        "python -m benchmarks",
        description="Measure npalexnet beside torch on this machine. benchmarks/README.md explains the results.",
        epilog=f"questions:\n{questions}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add, count = parser.add_argument, number(int, 1)
    add("question", nargs="?", choices=QUESTIONS, help=f"one of those below (default: {' and '.join(DEFAULT)})")
    sizes = "images in a batch; for algorithms, in a shard (default: the question's own)"
    add("--batch-sizes", type=count, nargs="+", metavar="N", help=sizes)
    add("--rounds", type=count, metavar="N", help="measurements of each rival (default: the question's own)")
    add("--warmup", type=number(int, 0), default=2, metavar="N", help="warm-up rounds, which don't count (default: 2)")
    add("--precisions", nargs="+", choices=PRECISIONS, help="precisions to measure on a GPU (default: all)")
    add("--threads", type=count, metavar="N", help="threads of each rival (default: all cores)")
    add("--classes", type=count, default=1000, metavar="N", help="classes of the network (default: 1000)")
    fraction = number(float, 0, maximum=1)
    add("--dropout", type=fraction, default=0.5, metavar="P", help="dropout in the training step (default: 0.5)")
    add("--output", type=_name, metavar="NAME", help="also write the results to NAME.json and a chart to NAME.png")
    add("--quick", action="store_true", help="one image, one round: checks that it runs; the times mean nothing")
    return parser.parse_args(argv)


def _name(text: str) -> Path:
    path = Path(text)
    if not path.name or path.suffix in output.SUFFIXES:
        raise argparse.ArgumentTypeError(f"must be a name without {' or '.join(output.SUFFIXES)}, got {text}")
    return path


if __name__ == "__main__":
    sys.exit(main())
