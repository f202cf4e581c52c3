"""Naming what is on image files, with the weights of a training run: ``npalexnet predict``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from npalexnet.data.images import open_picture
from npalexnet.inference.classifier import BATCH_SIZE, Classifier
from npalexnet.terminal import shown

STANDARD_INPUT = "-"


def run(options: argparse.Namespace) -> int:
    """Print the most probable classes of each image file; returns 1 if one couldn't be read, else 0.

    Of the options, `images` holds files, folders (all image files in them and below, in the order of their names), and
    "-" for paths on standard input, one a line. Those are answered as they come.

    Raises
    ------
    OSError, ValueError
        If the weights can't be used.
    """
    classifier = Classifier.load(options.weights, options.device)
    names, failed = classifier.names, 0
    for group in _groups(options.images):
        pictures: list[tuple[str, Any]] = []
        for path in group:
            try:
                pictures.append((shown(path), open_picture(_no_folder(path))))
            except OSError as error:
                print(f"npalexnet predict: error: {shown(str(error))}", file=sys.stderr)
                failed = 1
        if not pictures:
            continue
        inputs = classifier.inputs([picture for _, picture in pictures], ten_crop=options.ten_crop)
        shares_of_all = np.exp(classifier.log_probabilities(inputs))
        for (path, _), shares in zip(pictures, shares_of_all, strict=True):
            best = np.argsort(-shares, kind="stable")[: options.top].tolist()
            print(_as_json(path, best, shares, names) if options.json else path)
            if not options.json:
                for k in best:
                    print(f"  {100 * shares[k]:5.1f} %  {names[k]}")
        sys.stdout.flush()  # who writes paths into our standard input may be waiting for these answers
    return failed


def _as_json(path: str, best: Sequence[int], shares: np.ndarray, names: Sequence[str]) -> str:
    """Return ``{"path": ..., "predictions": [{"class", "index", "probability"}]}``, the most probable class first."""
    found = [{"class": names[k], "index": k, "probability": round(float(shares[k]), 6)} for k in best]
    return json.dumps({"path": path, "predictions": found}, ensure_ascii=False)


def _groups(images: Sequence[str]) -> Iterator[list[str]]:
    """Yield the files' paths, at most `BATCH_SIZE` at a time; those on standard input as soon as they are there."""
    waiting: list[str] = []
    for image in images:
        if image == STANDARD_INPUT:
            if waiting:
                yield waiting
            waiting = []
            for lines in _arriving_lines():
                yield from (lines[start : start + BATCH_SIZE] for start in range(0, len(lines), BATCH_SIZE))
            continue
        for path in _image_files(Path(image)) if os.path.isdir(image) else [image]:
            waiting.append(path)
            if len(waiting) == BATCH_SIZE:
                yield waiting
                waiting = []
    if waiting:
        yield waiting


def _arriving_lines() -> Iterator[list[str]]:
    """Yield the lines of standard input that have come since the last time, without empty ones."""
    stream: Any = sys.stdin.buffer
    unfinished = b""
    while chunk := stream.read1(1 << 16):
        *lines, unfinished = (unfinished + chunk).split(b"\n")
        yield _decoded(lines)
    yield _decoded([unfinished])


def _decoded(lines: Iterable[bytes]) -> list[str]:
    return [os.fsdecode(line) for line in (line.removesuffix(b"\r") for line in lines) if line]


def _image_files(folder: Path) -> list[str]:
    """Return the files in a folder and below whose names end as image files' do; one without any is named as missing.

    What is hidden, by a dot, is left out.
    """
    from PIL import Image

    readable = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    found = [
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in readable
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    ]
    return [str(path) for path in sorted(found)] or [str(folder)]


def _no_folder(path: str) -> str:
    """Return the path; an OSError says so if it is a folder's, which `_image_files` found nothing in."""
    if os.path.isdir(path):
        raise OSError(f"{shown(path)} is a folder without image files")
    return path
