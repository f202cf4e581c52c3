"""The options of ``npalexnet train``."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from npalexnet.alexnet import VARIANTS
from npalexnet.cli.options import COLORS_HELP, DEVICE_HELP, VARIANT_HELP, add_color, add_threads, as_path, number
from npalexnet.data.pipeline import AUGMENTATIONS, PIXELS
from npalexnet.data.sources import absolute_spec
from npalexnet.layers.algorithm_choice import NAMES
from npalexnet.layers.init import SCHEMES
from npalexnet.training.agreement import UNRECORDED
from npalexnet.training.recipes import RECIPES
from npalexnet.training.schedules import SCHEDULES
from npalexnet.weights import MOST_CLASSES

PRECISIONS = ("float32", "tf32", "bfloat16", "float16")
KEPT = ("all", "weights")
WITH_RESUME = (
    "resume",
    "data",
    "labels",
    "device",
    "workers",
    "epochs",
    "steps",
    "keep",
)  # may be given anew; the rest is the run's
IN_FILES = {"validation_images": "test_images"}  # options that config.json and weights files have under another name
DEFAULTS: dict[str, Any] = {
    "out": None, "resume": None, "keep": "all", "data": None, "labels": None, "strict": False, "recipe": "simple",
    **RECIPES["simple"].options(), "workers": 1, "epochs": 1, "steps": None, "accumulate": 1, "clip_norm": None,
    "patience": None, "dropout": 0.5, "seed": 0, "weights": None, "freeze": [], "num_classes": None,
    "train_images": None, "validation_images": None, "precision": "float32", "convolution": None,
    "checkpoint_every": None, "device": "auto", "variant": None, "mean": None, "std": None,
}  # fmt: skip
SET_BY_RECIPE = RECIPES["simple"].options().keys()


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser; those not given are left out of its result, so that `--resume` knows them."""

    def add(name: str, help: str, group: Any, **settings: Any) -> None:
        key = name.replace("-", "_")
        default = DEFAULTS[key]
        if default not in (None, False, []):
            whose = "the recipe's; simple's is " if key in SET_BY_RECIPE else ""
            help += f" (default: {whose}{default})"
        group.add_argument(f"--{name}", help=help, default=argparse.SUPPRESS, **settings)

    positive, whole, above_zero = number(int, 1), number(int, 0), number(float, 0, above=True)
    where = parser.add_argument_group("the run")
    add("out", "folder of the run, new or empty (default: the first free one of runs/1, runs/2, ...)", where,
        type=as_path, metavar="RUN")  # fmt: skip
    add("resume", "resume a stopped run, bit-identical to one that was never stopped; or from one of its checkpoints; "
        "\"last\" is the newest run in runs/. Other options with it: only epochs or steps, keep, device, threads, "
        "workers, and data and labels if they were moved", where, type=as_path, metavar="RUN")  # fmt: skip
    add("checkpoint-every", "write a checkpoint every N steps, besides after each epoch and every ten minutes", where,
        type=positive, metavar="N")  # fmt: skip

    add("keep", "what stays at the end: all, or the weights without the checkpoints", where, choices=KEPT)

    data = parser.add_argument_group("the data")
    add("data", "folder of train/<class>/*.jpg and val/<class>/*.jpg (or valid, validation, test), or of "
        "<class>/*.jpg; a zip or tar file of one; cifar10:FOLDER, cifar100:FOLDER, mnist:FOLDER, "
        "fashion-mnist[:FOLDER]; or sample, 2,500 images of Fashion-MNIST that are built in (default: sample)", data,
        metavar="SPEC")  # fmt: skip
    add("labels", "CSV or text file of name,label that lists the images; names are relative to the folder or archive "
        "of --data, or to the file's own folder", data, metavar="FILE")  # fmt: skip
    add("strict", "refuse a folder with files that are not images, instead of reporting and skipping them", data,
        action="store_true")  # fmt: skip
    add("augment", "how images are prepared: simple, the central square; crops, random crops and horizontal flips; "
        "paper, colour jitter, too; resized, crops of random size and shape, and flips", data,
        choices=AUGMENTATIONS)  # fmt: skip
    add("pixels", "how large an image's numbers are, when the mean is subtracted: std, divided by their standard "
        "deviation; 255, as they are. A mean and std that are given win", data, choices=PIXELS)  # fmt: skip
    for name, text in COLORS_HELP.items():
        text += " (default: measured on the training images, or what goes with --weights of another program; give "
        add_color(f"--{name}", data, help=f"{text}both or neither)", default=argparse.SUPPRESS)
    add("train-images", "use N only, spread evenly", data, type=positive, metavar="N")
    add("validation-images", "use N only, spread evenly", data, type=positive, metavar="N")
    add("workers", "threads that prepare images ahead of the step", data, type=positive, metavar="N")

    length = parser.add_argument_group("how long and how fast")
    add("recipe", "whose settings to train with: simple, ours for few images; paper, the paper's; released, those in "
        "the source that its first author released; caffe, Caffe's; torchvision, torchvision's; one-weird-trick, "
        "those of the same author's code of 2014. It sets --augment, --pixels, --init, --batch-size, --lr, --schedule, "
        "--warmup, --momentum, --weight-decay and the factors of the biases, each of which can also be given", length,
        choices=tuple(RECIPES))  # fmt: skip
    add("epochs", "epochs over the training images", length, type=positive, metavar="N")
    add("steps", "train for so many steps instead", length, type=positive, metavar="N")
    add("batch-size", "images that are computed together", length, type=positive, metavar="N")
    add("accumulate", "batches that make one step", length, type=positive, metavar="N")
    add("lr", "highest learning rate", length, type=above_zero, metavar="X")
    add("schedule", "how it falls: linear or cosine, to 0; step, by ten at each third; plateau, by ten when the "
        "validation images get no better; released, caffe and one-weird-trick, where it fell there", length,
        choices=tuple(SCHEDULES))  # fmt: skip
    add(
        "warmup",
        "steps over which it rises first (default: the recipe's; simple's is 20, or a third of all if that is fewer)",
        length,
        type=whole,
        metavar="N",
    )
    add("momentum", "of the optimizer", length, type=number(float, 0), metavar="X")
    add("weight-decay", "of the optimizer", length, type=number(float, 0), metavar="X")
    add("bias-lr-factor", "what the learning rate is multiplied by for biases", length, type=number(float, 0),
        metavar="X")  # fmt: skip
    add("bias-decay-factor", "what the weight decay is multiplied by for biases", length, type=number(float, 0),
        metavar="X")  # fmt: skip
    add("clip-norm", "scale gradients down to a norm of X", length, type=above_zero, metavar="X")
    add("patience", "stop after N validations in a row that were no better", length, type=positive, metavar="N")

    network = parser.add_argument_group("the network")
    add("variant", f"{VARIANT_HELP} (default: that of --weights, else seed)", network, choices=tuple(VARIANTS))
    add("weights", "start from a run, or from a file of weights: .safetensors, .pth, .npz, .onnx or .caffemodel, of "
        "this program or another; layers at the end that it lacks, or has for other classes, are new", network,
        type=as_path, metavar="FILE")  # fmt: skip
    add("freeze", "parts that are not trained, as summary names them: layers, classifier.1, ...", network, nargs="+",
        metavar="PART")  # fmt: skip
    add("num-classes", "width of the last layer (default: the number of classes)", network,
        type=number(int, 1, maximum=MOST_CLASSES), metavar="K")  # fmt: skip
    add("dropout", "probability that a number is dropped, before or behind each hidden linear layer", network,
        type=number(float, 0, maximum=1), metavar="P")  # fmt: skip
    add("init", "how the parameters are initialised; paper: as in the source of the variant", network, choices=SCHEMES)
    add("seed", "of weights, dropout, the images' order and augmentation", network, type=whole, metavar="N")
    add("precision", "what to compute in, for a GPU's tensor cores: tf32 is float32 with faster matrix products; with "
        "bfloat16 and float16 the parameters stay float32. A CPU gains nothing", network,
        choices=PRECISIONS)  # fmt: skip
    add("convolution", "how convolutions are computed: im2col, as a matrix product; winograd, by Winograd's algorithm, "
        "with fewer multiplications and more rounding; auto, by whichever was measured to be faster for the shapes at "
        "hand (default: NPALEXNET_CONVOLUTION, else auto)", network, choices=NAMES)  # fmt: skip
    add("device", DEVICE_HELP, parser)
    add_threads(parser)


def complete(given: dict[str, Any], config: dict[str, Any] | None = None) -> argparse.Namespace:
    """Return all options: each as given, else as in the resumed run, else as the recipe has it, else its default.

    A ValueError if two don't go together.
    """
    given = {name: value for name, value in given.items() if name in DEFAULTS and value is not None}
    if "epochs" in given and "steps" in given:
        raise ValueError("--epochs and --steps don't go together: give one of them")
    wrong = sorted(name for name in given if name not in WITH_RESUME)
    if config is not None and wrong:
        named = ", ".join("--" + name.replace("_", "-") for name in wrong)
        raise ValueError(f"a run is resumed as it began: {named} can't be changed")
    recipe = RECIPES[given.get("recipe", DEFAULTS["recipe"])].options() if config is None else {}
    config = {} if config is None else {**UNRECORDED, **config}
    if "recipe" in config:  # which said no more than this in older runs
        config.setdefault("augment", config["recipe"])
    names = {kept: name for name, kept in IN_FILES.items()}
    config = {names.get(name, name): value for name, value in config.items()}
    options = {**DEFAULTS, **recipe, **config, **given}
    if "steps" in given or (config.get("steps") and "epochs" not in given):
        options["epochs"] = None
    elif "epochs" in given:
        options["steps"] = None
    for name in ("out", "resume", "weights"):
        options[name] = None if options[name] is None else Path(options[name])
    return argparse.Namespace(**options)


def as_config(options: argparse.Namespace) -> dict[str, Any]:
    """Return the content of ``config.json``: the options that the run depends on."""
    values = {IN_FILES.get(name, name): getattr(options, name) for name in DEFAULTS if name not in ("out", "resume")}
    values["data"] = absolute_spec(options.data)
    if options.labels is not None:
        values["labels"] = os.path.abspath(options.labels)
    return {name: str(value.absolute()) if isinstance(value, Path) else value for name, value in values.items()}
