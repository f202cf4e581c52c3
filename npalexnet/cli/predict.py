"""``npalexnet predict``: the most probable classes of image files."""

from __future__ import annotations

import argparse
import os
import sys
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from npalexnet import backend
from npalexnet.cli.options import add_device, add_ten_crop, add_weights, chosen_device, load_classifier, number
from npalexnet.data.images import find_images, open_picture
from npalexnet.inference.classifier import BATCH_SIZE
from npalexnet.terminal import as_json, output_works, shown, valid

STANDARD_INPUT = "-"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    add_weights(parser)
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE",
        help="image file, folder (all images in it and below), or - for paths on standard input, one a line",
    )  # fmt: skip
    parser.add_argument(
        "-0", "--null", action="store_true",
        help="paths on standard input end with a NUL byte, as find -print0 writes them, not with the line",
    )  # fmt: skip
    parser.add_argument("--top", type=number(int, 1), default=3, metavar="K", help="print the K most probable classes")
    add_ten_crop(parser)
    parser.add_argument(
        "--json", action="store_true",
        help="print a JSON object a line, with path and predictions; and with path_bytes, the path in base64, where it "
        "is not valid Unicode and path has escapes",
    )  # fmt: skip
    add_device(parser)


def run(options: argparse.Namespace) -> int:
    """Print the most probable classes of each image file, as their paths arrive; returns 1 if one couldn't be read."""
    if options.null and STANDARD_INPUT not in options.images:
        raise ValueError("--null is for paths on standard input: name - among the images")
    device = chosen_device(options.device)
    if options.device == "auto" and device != backend.CPU.name:
        print(f"npalexnet predict: computing on {device}", file=sys.stderr)
    classifier = load_classifier(options, device)
    failed = 0
    for group in _groups(options.images, b"\0" if options.null else b"\n"):
        paths: list[str] = []
        prepared: list[np.ndarray] = []  # so that never more than one picture is in memory
        for path in group:
            try:
                if os.path.isdir(path):  # which no image file was found in
                    raise OSError(f"{path} is a folder without image files")
                if "\0" in path:
                    raise OSError(f"{path} can't be a path; paths that end with a NUL byte are read with --null")
                prepared.append(classifier.inputs([open_picture(path)], ten_crop=options.ten_crop)[0])
                paths.append(path)
            except (OSError, MemoryError) as error:
                reason = f"not enough memory: {error}" if isinstance(error, MemoryError) else str(error)
                print(f"npalexnet predict: error: {shown(reason)}", file=sys.stderr)
                failed = 1
        if not paths:
            continue
        shares = np.exp(classifier.log_probabilities(np.stack(prepared)))
        for path, probabilities in zip(paths, shares, strict=True):
            top = np.argsort(-probabilities, kind="stable")[: options.top].tolist()
            if options.json:
                print(as_json(_answer(path, top, probabilities, classifier.classes)))
            else:
                found = (f"  {100 * probabilities[k]:5.1f} %  {shown(classifier.classes[k])}" for k in top)
                print(shown(path), *found, sep="\n")
        if not output_works():  # flushed for whoever waits for these answers with the next paths for standard input
            return failed
    return failed


def _answer(path: str, top: Sequence[int], probabilities: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """Return ``{"path": ..., "predictions": [{"class", "index", "probability"}]}``, the most probable class first.

    Names are as they are, where they are valid Unicode. Else they have escapes, and ``path_bytes`` is the path's bytes
    in base64.
    """
    found = [{"class": valid(classes[k]), "index": k, "probability": round(float(probabilities[k]), 6)} for k in top]
    in_bytes = {} if valid(path) == path else {"path_bytes": b64encode(os.fsencode(path)).decode("ascii")}
    return {"path": valid(path), **in_bytes, "predictions": found}


def _groups(images: Sequence[str], end: bytes = b"\n") -> Iterator[list[str]]:
    """Yield the files' paths, at most `BATCH_SIZE` at a time; from standard input as soon as they arrive."""
    waiting: list[str] = []
    for image in images:
        if image == STANDARD_INPUT:
            if waiting:
                yield waiting
            waiting = []
            for lines in _arriving_lines(end):
                yield from (lines[start : start + BATCH_SIZE] for start in range(0, len(lines), BATCH_SIZE))
            continue
        for path in _in_folder(image) if os.path.isdir(image) else [image]:
            waiting.append(path)
            if len(waiting) == BATCH_SIZE:
                yield waiting
                waiting = []
    if waiting:
        yield waiting


def _in_folder(folder: str) -> list[str]:
    """Return the image files in a folder and below, or the folder if there are none, and name what else is there."""
    paths, faults = find_images(folder)
    for fault in faults:
        print(f"npalexnet predict: left out: {shown(fault)}", file=sys.stderr)
    return paths or [folder]


def _arriving_lines(end: bytes) -> Iterator[list[str]]:
    """Yield the lines of standard input that have arrived since the last time, without empty ones."""
    if sys.stdin is None:
        raise ValueError("no paths can be read: standard input is closed")
    stream: Any = sys.stdin.buffer
    unfinished = b""
    while chunk := stream.read1(1 << 16):
        *lines, unfinished = (unfinished + chunk).split(end)
        yield _decoded(lines, end)
    yield _decoded([unfinished], end)


def _decoded(lines: Iterable[bytes], end: bytes) -> list[str]:
    ends_of_lines = (line.removesuffix(b"\r") if end == b"\n" else line for line in lines)
    return [os.fsdecode(line) for line in ends_of_lines if line]
