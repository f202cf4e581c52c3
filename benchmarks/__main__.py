"""The command line: `python -m benchmarks [question] [options]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import harness, network

QUESTIONS = {"network": network}  # each module has run(arguments, say) -> dict and show(dict) -> str
QUICK = {"batch_size": 1, "rounds": 1, "warmup": 0}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one benchmark; returns the exit status.

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
    question = QUESTIONS[arguments.question]
    try:
        if arguments.output:
            harness.check_writable(arguments.output)
        result = question.run(arguments, say=lambda line: print(line, file=sys.stderr, flush=True))
        print(question.show(result), flush=True)
        if arguments.output:
            harness.write_json(arguments.output, result)
    except (OSError, RuntimeError, MemoryError) as error:
        print(f"benchmarks: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("benchmarks: interrupted", file=sys.stderr)
        return 130
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    questions = "\n".join(f"  {name:10} {(module.__doc__ or '').splitlines()[0]}" for name, module in QUESTIONS.items())
    parser = argparse.ArgumentParser(
        "python -m benchmarks",
        description="Time npalexnet beside torch on this machine. See benchmarks/README.md for how to read it.",
        epilog=f"questions:\n{questions}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("question", nargs="?", choices=QUESTIONS, default="network", help="default: network")
    parser.add_argument("--batch-size", type=_positive, default=32, metavar="N", help="images in a batch (default: 32)")
    parser.add_argument(
        "--rounds", type=_positive, default=7, metavar="N", help="timed runs of each rival (default: 7)"
    )
    parser.add_argument(
        "--warmup", type=_not_negative, default=2, metavar="N", help="runs before them that don't count (default: 2)"
    )
    parser.add_argument("--threads", type=_positive, metavar="N", help="for every rival (default: the cores there are)")
    parser.add_argument("--classes", type=_positive, default=1000, metavar="N", help="width of the last layer (1000)")
    parser.add_argument(
        "--dropout", type=_probability, default=0.5, metavar="P", help="in the training step (default: 0.5)"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the result as JSON, too")
    parser.add_argument(
        "--quick", action="store_true", help="one image, one round, no warm-up: does it work? The times mean nothing"
    )
    arguments = parser.parse_args(argv)
    if arguments.quick:
        vars(arguments).update(QUICK)
    return arguments


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


if __name__ == "__main__":
    sys.exit(main())
