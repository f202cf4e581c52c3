"""``npalexnet predict``: the most probable classes of image files."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from npalexnet.cli.options import add_device, add_ten_crop, add_weights, number
from npalexnet.data.images import find_images, open_picture
from npalexnet.inference.classifier import BATCH_SIZE, Classifier
from npalexnet.terminal import shown

STANDARD_INPUT = "-"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    add_weights(parser)
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE",
        help="image file, folder (all images in it and below), or - for paths on standard input, one a line",
    )  # fmt: skip
    parser.add_argument("--top", type=number(int, 1), default=3, metavar="K", help="print the K most probable classes")
    add_ten_crop(parser)
    parser.add_argument("--json", action="store_true", help="print a JSON object a line")
    add_device(parser)


def run(options: argparse.Namespace) -> int:
    """Print the most probable classes of each image file, as their paths arrive; returns 1 if one couldn't be read."""
    classifier = Classifier.load(options.weights, options.device)
    names, failed = classifier.names, 0
    for group in _groups(options.images):
        paths: list[str] = []
        prepared: list[np.ndarray] = []  # so that never more than one picture is in memory
        for path in group:
            try:
                if os.path.isdir(path):  # which no image file was found in
                    raise OSError(f"{path} is a folder without image files")
                prepared.append(classifier.inputs([open_picture(path)], ten_crop=options.ten_crop)[0])
                paths.append(shown(path))
            except OSError as error:
                print(f"npalexnet predict: error: {shown(str(error))}", file=sys.stderr)
                failed = 1
        if not paths:
            continue
        shares = np.exp(classifier.log_probabilities(np.stack(prepared)))
        for path, probabilities in zip(paths, shares, strict=True):
            top = np.argsort(-probabilities, kind="stable")[: options.top].tolist()
            if options.json:
                print(_as_json(path, top, probabilities, names))
            else:
                print(path, *(f"  {100 * probabilities[k]:5.1f} %  {names[k]}" for k in top), sep="\n")
        sys.stdout.flush()  # whoever writes paths to our standard input may be waiting for these answers
    return failed


def _as_json(path: str, top: Sequence[int], probabilities: np.ndarray, names: Sequence[str]) -> str:
    """Return ``{"path": ..., "predictions": [{"class", "index", "probability"}]}``, the most probable class first."""
    found = [{"class": names[k], "index": k, "probability": round(float(probabilities[k]), 6)} for k in top]
    return json.dumps({"path": path, "predictions": found}, ensure_ascii=False)


def _groups(images: Sequence[str]) -> Iterator[list[str]]:
    """Yield the files' paths, at most `BATCH_SIZE` at a time; from standard input as soon as they arrive."""
    waiting: list[str] = []
    for image in images:
        if image == STANDARD_INPUT:
            if waiting:
                yield waiting
            waiting = []
            for lines in _arriving_lines():
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


def _arriving_lines() -> Iterator[list[str]]:
    """Yield the lines of standard input that have arrived since the last time, without empty ones."""
    stream: Any = sys.stdin.buffer
    unfinished = b""
    while chunk := stream.read1(1 << 16):
        *lines, unfinished = (unfinished + chunk).split(b"\n")
        yield _decoded(lines)
    yield _decoded([unfinished])


def _decoded(lines: Iterable[bytes]) -> list[str]:
    return [os.fsdecode(line) for line in (line.removesuffix(b"\r") for line in lines) if line]
