"""``npalexnet train``: one training run, from its options to its folder."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from npalexnet import backend
from npalexnet.alexnet import AlexNet
from npalexnet.cli.training_options import as_config, complete
from npalexnet.data import Data, DataLoader, Subset, open_data
from npalexnet.terminal import shown
from npalexnet.training.finetune import load_fitting, read_weights
from npalexnet.training.interrupt import STOPPING, Stop, stop_on_ctrl_c
from npalexnet.training.progress import Progress
from npalexnet.training.run import CONFIG, Run, names_of_outputs, new_run_folder, saved_split
from npalexnet.training.trainer import Trainer

FILES = 8  # times the parameters' size is what a run writes: 3 checkpoints with velocities, 2 files of weights
LAST_LAYER = "classifier.6"


def train(given: dict[str, Any]) -> bool:
    """Train as the command line says; returns whether it went to its end, not stopped by Ctrl-C.

    Parameters
    ----------
    given : dict
        The options that were given: see `npalexnet.cli.training_options`.

    Raises
    ------
    ValueError, OSError
        If an option, the data or the folder can't be used, or at the end what was learnt can't be written.
    DivergedError
        If the loss is no longer finite. The folder keeps the last good checkpoint.
    """
    with stop_on_ctrl_c() as stop:
        resumed = given.get("resume")
        config = None if resumed is None else _config(resumed)
        options = complete(given, config)
        run = None
        try:
            backend.get_device(options.device), backend.input_dtype(_dtype(options))  # before anything is written
            data = _open(options)
            prepared = _prepare(options, data)
            if stop.requested:
                print("Stopped before the first step.")
                return False
            stop.message = STOPPING
            run = _run(options, prepared)
            with run.locked():
                return _train(options, prepared, run, stop)
        finally:
            if run is not None and run.discard_if_empty():
                print(f"Nothing was learnt, so {run.folder}/ was not kept.")


@dataclass(frozen=True)
class _Prepared:
    """The data, and what a weights file has to say of it."""

    data: Data
    classes: list[str]
    train: DataLoader
    val: DataLoader
    about: dict[str, Any]


def _train(options: argparse.Namespace, prepared: _Prepared, run: Run, stop: Stop) -> bool:
    begins = options.resume is None or not (options.resume.is_file() or run.has_checkpoint())
    if begins and run.has_weights():
        raise ValueError(
            f"{run.folder} can't be resumed: it holds weights, but no checkpoint; begin another run with them by "
            f"--weights {run.folder}, with its --data"
        )
    model = _model(options, prepared.classes, begins)
    trainer = _trainer(options, prepared, run, model)
    if begins:
        parameter_bytes = sum(parameter.data.nbytes for parameter in model.parameters())
        run.check_space(FILES * parameter_bytes)
    if options.resume is None:
        run.save_config(as_config(options), prepared.data.split() if prepared.data.randomly_split else None)
    else:
        if not begins:
            trainer.resume(options.resume if options.resume.is_file() else None)
        run.save_config(as_config(options))  # with another length, if one was given
    _announce(options, prepared.data, trainer, run)
    started, was_finished = time.monotonic(), trainer.finished
    with Progress() as progress:
        complete = trainer.fit(progress, stop)
    if not (was_finished and complete):
        _conclude(trainer, run, complete, time.monotonic() - started)
    return complete


def _config(path: Path) -> dict[str, Any]:
    """Return the options with which a run began."""
    folder = _folder_of(path)
    if not (folder / CONFIG).is_file():
        raise ValueError(f"{path} can't be resumed: {folder} is not the folder of a run, it holds no {CONFIG}")
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        return {str(name): value for name, value in config.items()}
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError) as error:
        raise ValueError(f"{folder / CONFIG} is damaged: {error}") from None


def _folder_of(path: Path) -> Path:
    """Return the folder of a run that is named by it, or by a checkpoint in it."""
    return path.parent if path.is_file() else path


def _dtype(options: argparse.Namespace) -> str:
    return "float32" if options.precision == "tf32" else options.precision


def _open(options: argparse.Namespace) -> Data:
    before = None if options.resume is None else saved_split(_folder_of(options.resume))
    data = open_data(options.data, seed=options.seed, strict=options.strict, split=before)
    train, val = (
        dataset if count is None or count >= len(dataset) else Subset(dataset, _spread(len(dataset), count))
        for dataset, count in ((data.train, options.train_images), (data.validation, options.test_images))
    )
    return Data(data.name, train, val, data.grey, data.notes, data.randomly_split)


def _spread(total: int, count: int) -> np.ndarray:
    """Return so many indices, evenly spread: a folder's pictures come class by class."""
    return np.arange(count) * total // count


def _prepare(options: argparse.Namespace, data: Data) -> _Prepared:
    classes = _classes(options, data)
    train, val = data.loaders(options.batch_size, recipe=options.recipe, seed=options.seed, workers=options.workers)
    about = {
        "classes": classes,
        "options": {name: value for name, value in as_config(options).items() if value is not None},
    }
    return _Prepared(data, classes, train, val, about)


def _run(options: argparse.Namespace, prepared: _Prepared) -> Run:
    if options.resume is None:
        return Run(options.out or new_run_folder(), prepared.about, grey=prepared.data.grey)
    return Run.reopen(_folder_of(options.resume), prepared.about, grey=prepared.data.grey)


def _classes(options: argparse.Namespace, data: Data) -> list[str]:
    """The names of what the last layer tells apart."""
    known, width = list(data.classes), options.num_classes or len(data.classes)
    if width < len(known):
        raise ValueError(f"--num-classes must be at least {len(known)}, as many as the data has classes, got {width}")
    return names_of_outputs(known, width)


def _model(options: argparse.Namespace, classes: list[str], begins: bool) -> AlexNet:
    model = AlexNet(len(classes), options.dropout, seed=options.seed, init=options.init)
    if options.weights is not None and begins:
        tensors, theirs = read_weights(options.weights)
        own_last = [name for name, _ in model.named_parameters() if name.startswith(LAST_LAYER)]
        replaced = own_last if theirs is not None and theirs != classes else []
        lines = load_fitting(model, tensors, leave_out=replaced)
        print(f"Started from {options.weights}" + ("; the last layer is new, for other classes" if replaced else ""))
        for line in lines:
            print(f"  {line}")
    if options.freeze:
        model.freeze(*options.freeze)
    return model.to(backend.get_device(options.device).name)


def _trainer(options: argparse.Namespace, prepared: _Prepared, run: Run, model: AlexNet) -> Trainer:
    backend.set_float32_matmul_precision("high" if options.precision == "tf32" else "highest")
    return Trainer(
        model, prepared.train, prepared.val,
        epochs=options.epochs, steps=options.steps, lr=options.lr, schedule=options.schedule, warmup=options.warmup,
        momentum=options.momentum, weight_decay=options.weight_decay, accumulate=options.accumulate,
        clip_norm=options.clip_norm, patience=options.patience, dtype=_dtype(options), run=run,
        checkpoint_every=options.checkpoint_every,
    )  # fmt: skip


def _announce(options: argparse.Namespace, data: Data, trainer: Trainer, run: Run) -> None:
    for note in data.notes:
        print(shown(note))
    counts = f"{len(data.train):,} training and {len(data.validation):,} held-out images"
    print(f"{data.name}: {counts} of {len(data.classes)} classes")
    device = backend.get_device(options.device)
    threads = backend.get_num_threads()
    place = f"{threads} CPU thread{'s' * (threads > 1)}" if device is backend.CPU else device.name
    print(
        f"{trainer.steps} steps, {trainer.steps_per_epoch} a pass, on {place} in {options.precision}; "
        f"the run is {run.folder}/"
    )
    if trainer.finished and trainer.step < trainer.steps:
        print(f"It is complete: its patience ended after step {trainer.step}.")
    elif trainer.finished:
        print(f"It is complete: all of its {trainer.step} steps were taken.")
    elif trainer.step:
        print(f"It goes on after step {trainer.step}.")
    elif options.resume is not None:
        print("It begins again: it was stopped before its first checkpoint.")


def _conclude(trainer: Trainer, run: Run, complete: bool, seconds: float) -> None:
    if not complete and trainer.step:
        print(f"Stopped after step {trainer.step} of {trainer.steps}; what was learnt is kept.")
        print(f"Go on: npalexnet train --resume {run.folder}")
    if not trainer.step:
        return
    waited = trainer.train.waited
    print(f"The steps waited {waited:.1f} s for images, {100 * waited / max(seconds, 1e-9):.1f} % of the time.")
    written = ("weights.safetensors", "last.safetensors", "metrics.jsonl", "curves.png", "filters.png", "confusion.png")
    print(f"Wrote {', '.join(name for name in written if (run.folder / name).exists())} to {run.folder}/")
    print(f"Use it: npalexnet predict {run.folder} IMAGE...")
