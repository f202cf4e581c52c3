"""Training by the command line: ``npalexnet train``, from its options to the folder of the run."""

from __future__ import annotations

import argparse
import time
import warnings
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from npalexnet import backend
from npalexnet.alexnet import VARIANTS, AlexNet
from npalexnet.cli.config_file import read_config
from npalexnet.cli.options import PACKAGES, chosen_device
from npalexnet.cli.train_report import announce, conclude
from npalexnet.cli.training_options import add_options, as_config, complete
from npalexnet.data import Data, DataLoader, open_data
from npalexnet.data.datasets import evenly_spread
from npalexnet.layers.algorithm_choice import get_convolution_algorithm
from npalexnet.pretrained.opening import Weights, open_weights
from npalexnet.pretrained.preparation import colors, has_usual_colors, own_colors
from npalexnet.tensors import read_header
from npalexnet.terminal import say, shown
from npalexnet.training.checkpoint import LAST, PREVIOUS
from npalexnet.training.finetune import load_fitting
from npalexnet.training.interrupt import Interrupted, Stop, stop_on_signals
from npalexnet.training.progress import Progress
from npalexnet.training.run import CONFIG, Run, names_of_outputs, newest_run, saved_split
from npalexnet.training.schedules import default_warmup
from npalexnet.training.trainer import Trainer

__all__ = ["add_options", "run"]

FILES = 8  # times the parameters' size is what a run writes: 3 checkpoints with velocities, 2 files of weights
LAST_LAYER = "classifier.6"
LAST_RUN = Path("last")  # of --resume: the newest run


def run(options: argparse.Namespace) -> int:
    """Train as the options say; returns 0, or 128 + the number of the signal that stopped it (Ctrl-C: 130)."""
    for needed in (package for package, extra in PACKAGES.items() if extra == "train"):
        import_module(needed)  # a missing one is to be known before training, not when its result is to be written
    with warnings.catch_warnings(), stop_on_signals() as stop:
        # NumPy's, of training that diverges, which has a message of its own.
        warnings.filterwarnings("ignore", "(overflow|invalid value) encountered", RuntimeWarning)
        try:
            return 0 if _train(vars(options), stop) else stop.status
        except Interrupted:
            say("\nnpalexnet train: interrupted", error=True)
            return stop.status


def _train(given: dict[str, Any], stop: Stop) -> bool:
    """Prepare and train; returns whether training went to its end."""
    if given.get("resume") == LAST_RUN and not LAST_RUN.exists():
        given = {**given, "resume": newest_run()}
    options = complete(given, _config(given.get("resume")))
    options.convolution = options.convolution or get_convolution_algorithm()
    options.device = chosen_device(options.device)  # "auto" is recorded as what it was
    backend.input_dtype(_dtype(options))  # a wrong one is refused before anything is written
    weights = _weights(options)
    data = _open(options)
    classes = _classes(options, data)
    loaders = data.loaders(
        options.batch_size, augment=options.augment, pixels=options.pixels, seed=options.seed, workers=options.workers,
        image_size=VARIANTS[options.variant].image_size,
        mean_and_std=colors(options.variant, options.mean, options.std) if options.mean or options.std else None,
    )  # fmt: skip
    if options.warmup is None:
        options.warmup = default_warmup(options.steps or options.epochs * -(-len(loaders[0]) // options.accumulate))
    if stop.requested:
        print("Stopped before the first step.")
        return False
    stop.began = True
    known = {name: value for name, value in as_config(options).items() if value is not None}
    metadata = {"classes": classes, "variant": options.variant, "options": known}
    if options.resume is None:
        output = Run(options.out, metadata, grey=data.grey) if options.out else Run.numbered(metadata, grey=data.grey)
    else:
        output = Run.reopen(_folder_of(options.resume), metadata, grey=data.grey)
    try:
        with output.locked():
            trainer = _trainer(options, classes, loaders, output, weights)
            output.save_json(CONFIG, as_config(options))  # of a resumed run, too: with another length, if one was given
            announce(options, data, trainer, output)
            started, was_finished = time.monotonic(), trainer.state.finished
            with Progress() as progress:
                finished = trainer.fit(progress, stop)
            if finished and options.keep == "weights" and output.has_weights():
                output.remove_checkpoints()
            if trainer.state.step and not (was_finished and finished):
                conclude(trainer, output, time.monotonic() - started)
            return finished
    finally:
        if output.discard_if_empty():
            print(f"Nothing was learned, so {shown(str(output.folder))}/ was not kept.")


# --- what the options stand for ---------------------------------------------------------------------------------------


def _config(path: Path | None) -> dict[str, Any] | None:
    """Return the options with which the run that is resumed began, if one is."""
    return None if path is None else read_config(_folder_of(path), path)


def _folder_of(path: Path) -> Path:
    """Return a run's folder, which is named by itself or by a checkpoint in it."""
    return path.parent if path.is_file() else path


def _dtype(options: argparse.Namespace) -> str:
    return "float32" if options.precision == "tf32" else options.precision


def _open(options: argparse.Namespace) -> Data:
    split = None if options.resume is None else saved_split(_folder_of(options.resume))
    data = open_data(options.data, seed=options.seed, strict=options.strict, split=split, labels=options.labels)
    train = evenly_spread(data.train, options.train_images)
    return replace(data, train=train, validation=evenly_spread(data.validation, options.validation_images))


def _classes(options: argparse.Namespace, data: Data) -> list[str]:
    """Return a name for each output of the last layer."""
    known, width = list(data.classes), options.num_classes or len(data.classes)
    if width < len(known):
        raise ValueError(f"--num-classes must be at least {len(known)}, as many as the data has classes, got {width}")
    return names_of_outputs(known, width)


def _goes_on(resume: Path | None) -> bool:
    """Whether a run goes on from a checkpoint, for which the weights that it began with are not needed."""
    return resume is not None and (resume.is_file() or any((resume / name).exists() for name in (LAST, PREVIOUS)))


def _weights(options: argparse.Namespace) -> Weights | None:
    """Return the weights to begin with, if any, and complete the options that they decide."""
    weights = None
    if options.weights is not None and not _goes_on(options.resume):
        weights = open_weights(options.weights, options.variant)
        options.variant = weights.variant
        if not weights.metadata and has_usual_colors(weights.variant):
            options.mean, options.std = map(list, colors(weights.variant, options.mean, options.std))
        elif (found := own_colors(weights.metadata)) and options.mean is options.std is None:
            options.mean, options.std = map(list, found)
    if (options.mean is None) != (options.std is None):
        raise ValueError("--mean and --std go together: give both, or neither")
    options.variant = options.variant or "seed"
    return weights


def _model(options: argparse.Namespace, classes: list[str], weights: Weights | None) -> AlexNet:
    model = AlexNet(len(classes), options.dropout, seed=options.seed, init=options.init, variant=options.variant)
    if weights is not None:
        what = f"{shown(str(options.weights))} ({weights.kind}, variant {weights.variant})"
        print(f"Started from {what}: {load_fitting(model, weights, classes)}")
        for note in weights.found.notes:
            print(f"  {shown(note)}")
    if options.freeze:
        model.freeze(*options.freeze)
    return model.to(backend.get_device(options.device).name)


def _check_width(num_classes: int | None, resume: Path, output: Run) -> None:
    """Compare the width in a run's ``config.json`` with its checkpoint's, before a network of that width is made."""
    shape = None
    with suppress(OSError, ValueError, KeyError):  # which resuming explains
        path = resume if resume.is_file() else output.folder / LAST
        shape = read_header(path).tensors[f"model.{LAST_LAYER}.weight"].shape
    if shape and num_classes is not None and num_classes != shape[0]:
        raise ValueError(
            f"{output.folder / CONFIG} says num_classes {num_classes:,}, but the checkpoint's {LAST_LAYER}.weight has "
            f"shape {shape}"
        )


def _trainer(
    options: argparse.Namespace,
    classes: list[str],
    loaders: tuple[DataLoader, DataLoader],
    output: Run,
    weights: Weights | None,
) -> Trainer:
    """Return the trainer of a run at its beginning, or where its checkpoint was written."""
    resumes = options.resume is not None and (options.resume.is_file() or output.has_checkpoint())
    if not resumes and output.has_weights():
        raise ValueError(
            f"{output.folder} can't be resumed: it holds weights, but no checkpoint; begin another run with them by "
            f"--weights {output.folder}, with its --data"
        )
    if resumes:
        _check_width(options.num_classes, options.resume, output)
    model = _model(options, classes, None if resumes else weights)
    backend.set_float32_matmul_precision("high" if options.precision == "tf32" else "highest")
    trainer = Trainer(
        model, *loaders, epochs=options.epochs, steps=options.steps, lr=options.lr, schedule=options.schedule,
        warmup=options.warmup, momentum=options.momentum, weight_decay=options.weight_decay,
        bias_lr_factor=options.bias_lr_factor, bias_decay_factor=options.bias_decay_factor,
        accumulate=options.accumulate, clip_norm=options.clip_norm, patience=options.patience, dtype=_dtype(options),
        convolution=options.convolution, run=output, checkpoint_every=options.checkpoint_every,
    )  # fmt: skip
    if resumes:
        trainer.resume(options.resume if options.resume.is_file() else None)
    else:
        output.check_space(FILES * sum(parameter.data.nbytes for parameter in model.parameters()))
    return trainer
