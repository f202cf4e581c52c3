"""The parser of a command line: an error names what was probably meant."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from itertools import pairwise
from typing import Any, NoReturn

from npalexnet.terminal import shown

_CALLED = {  # what options and choices are called elsewhere
    "learning-rate": "--lr", "bs": "--batch-size", "wd": "--weight-decay", "decay": "--weight-decay",
    "gpu": "--device", "cpu": "--device", "cuda": "--device", "num-workers": "--workers", "jobs": "--workers",
    "dataset": "--data", "pretrained": "--weights", "fp16": "float16", "half": "float16", "fp32": "float32",
    "test": "evaluate", "eval": "evaluate", "validate": "evaluate", "infer": "predict", "inference": "predict",
    "classify": "predict", "visualize": "look", "show": "look",
}  # fmt: skip


class Parser(argparse.ArgumentParser):
    """Takes options by their whole names only, and suggests one for a name that doesn't exist."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **{"allow_abbrev": False, **settings})
        self.color = False  # Python 3.14 would colour the help with escape sequences
        self._arguments: list[str] = []

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse; other than in the base class, an unknown argument is an error of this parser, not of its parent."""
        self._arguments = list(sys.argv[1:] if args is None else args)
        self._has_negative_number_optionals.clear()  # -1 is a number, though predict has an option -0
        if unknown := self._unknown_options():  # before a required argument is missed in their stead
            self._refuse(unknown)
        namespace, unknown = super().parse_known_args(self._arguments, namespace)
        if unknown:
            self._refuse(unknown)
        return namespace, unknown

    def error(self, message: str) -> NoReturn:
        """Print the usage, the message and a hint, and exit with status 2."""
        argument, _, expected = message.partition(": expected ")
        for option, value in pairwise(self._arguments):
            action = self._option_string_actions.get(option)
            single = action is not None and action.nargs is None
            if expected and single and option in argument and value.startswith("-"):
                message += f"; a value that begins with - is given as {option}={value}"
        paths = [text for text in self._arguments if text.startswith("-") and text not in self._option_string_actions]
        if paths := [path for path in paths if path not in ("-", "--") and os.path.lexists(path)]:
            message += f"; a path that begins with - is given as .{os.sep}{paths[0]}"
        super().error(shown(message))

    def _unknown_options(self) -> list[str]:
        unknown = []
        for text in self._arguments:
            name = text.partition("=")[0]
            if text == "--" or (self._subparsers is not None and not text.startswith("-")):
                break  # paths, or the arguments of a command
            if name.startswith("--") and " " not in name and name not in self._option_string_actions:
                unknown.append(text)
        return unknown

    def _refuse(self, unknown: list[str]) -> None:
        known = self._option_string_actions
        hints = [hint for text in unknown if (hint := suggestion(text.partition("=")[0], known))]
        late = [action.metavar for action in self._get_positional_actions() if action.nargs in ("?", "*")]
        if not hints and late and any(os.path.exists(text) for text in unknown):  # argparse looks for it but once
            hints = [f"{late[0]} comes before the options"]
        if not hints and "--data" in self._option_string_actions:
            hints = [f"data are given as --data {text}" for text in unknown if os.path.exists(text)]
        if not hints and self._subparsers is not None:
            hints = ["the options of a command come after it"]
        self.error("; ".join([f"unrecognized arguments: {' '.join(unknown)}", *dict.fromkeys(hints)]))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse a wrong choice in one line."""
        if action.choices is None or value in action.choices:
            return
        choices = [str(choice) for choice in action.choices]
        wrong = f"invalid choice: {value!r} (choose from {', '.join(map(repr, choices))})"
        message = "; ".join(filter(None, [wrong, suggestion(str(value), choices)]))
        self.exit(2, f"{self.prog}: error: {shown(str(argparse.ArgumentError(action, message)))}\n")


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return "did you mean ...?" with the known words that a misspelt one resembles or begins, "" if there is none."""
    names = {_bare(name): name for name in known}
    bare = _bare(word)
    if (called := _CALLED.get(bare, "")) in names.values():
        return f"did you mean {called}?"
    begun = [name for name in names if name.startswith(bare)] if bare else []
    found = begun or get_close_matches(bare, names, n=1)
    return f"did you mean {' or '.join(names[name] for name in found)}?" if found else ""


def _bare(name: str) -> str:
    """Return an option's name without what is misspelt most often: capitals, underscores, the dashes (or –) before."""
    return name.lower().replace("_", "-").strip("-–—")
