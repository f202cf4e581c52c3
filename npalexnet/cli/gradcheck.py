"""``npalexnet gradcheck``: every layer of the package against finite differences, in several configurations."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np

from npalexnet import backend
from npalexnet.cli.options import add_device, chosen_device, number
from npalexnet.gradcheck import GradcheckReport, gradcheck
from npalexnet.layers.activation import Flatten, ReLU
from npalexnet.layers.average_pooling import AdaptiveAvgPool2d, AvgPool2d
from npalexnet.layers.conv import Conv2d
from npalexnet.layers.dropout import Dropout
from npalexnet.layers.layer import Layer
from npalexnet.layers.linear import Linear
from npalexnet.layers.normalization import LocalResponseNorm, SpatialResponseNorm
from npalexnet.layers.parameter import Shape
from npalexnet.layers.pooling import MaxPool2d
from npalexnet.layers.sequential import Sequential
from npalexnet.layers.winograd import Winograd
from npalexnet.losses import CrossEntropyLoss


def check_all_layers(device: str = "cpu", *, seed: int = 0, **settings: Any) -> Iterator[tuple[str, GradcheckReport]]:
    """Check every layer of this package, and the loss, in several small configurations.

    Yields each configuration with its report; a wrong gradient does not raise. `seed` is the seed of parameters, inputs
    and directions; `settings` are further arguments for `gradcheck`.
    """
    rng = np.random.default_rng(seed)
    home = backend.get_device(device)
    new: dict[str, Any] = {"dtype": "float64", "device": device, "seed": rng}
    images, vectors = (2, 4, 7, 6), (3, 5)
    network = Sequential(
        *(Conv2d(2, 4, 3, padding=1, **new), ReLU(), LocalResponseNorm(3, alpha=0.5), MaxPool2d(3, 2), Flatten()),
        *(Linear(4 * 3 * 3, 6, **new), ReLU(), Dropout(0.5, seed=rng), Linear(6, 3, **new)),
    )
    winograd = Conv2d(4, 6, 3, padding=1, groups=2, **new)
    winograd.algorithm = Winograd()
    layers: list[tuple[str, Layer, Shape]] = [
        ("Conv2d, overlapping windows", Conv2d(4, 3, 3, stride=2, padding=1, **new), images),
        ("Conv2d, dilation", Conv2d(4, 2, (3, 2), stride=(1, 2), dilation=(2, 3), **new), images),
        ("Conv2d, groups", Conv2d(4, 6, 3, groups=2, bias=False, **new), images),
        ("Conv2d, windows that hang over", Conv2d(4, 3, 3, stride=3, ceil_mode=True, **new), (2, 4, 8, 7)),
        ("Conv2d, same size", Conv2d(4, 2, (2, 3), padding="same", **new), images),
        ("Conv2d, Winograd's algorithm", winograd, images),
        ("MaxPool2d, overlapping windows", MaxPool2d(3, 2), images),
        ("MaxPool2d, padding and ceil_mode", MaxPool2d(3, 2, padding=1, ceil_mode=True), images),
        ("MaxPool2d, dilation", MaxPool2d(2, 1, dilation=(2, 3)), images),
        ("AvgPool2d, overlapping windows", AvgPool2d(3, 2), images),
        ("AvgPool2d, padding and ceil_mode", AvgPool2d(3, 2, padding=1, ceil_mode=True), images),
        ("AvgPool2d, without the padding", AvgPool2d(3, 2, padding=1, count_include_pad=False), images),
        ("AdaptiveAvgPool2d", AdaptiveAvgPool2d((3, 4)), images),
        ("Linear", Linear(5, 4, **new), vectors),
        ("Linear, no bias, three axes", Linear(5, 4, bias=False, **new), (2, *vectors)),
        ("ReLU", ReLU(), images),
        ("LocalResponseNorm", LocalResponseNorm(5), images),
        ("LocalResponseNorm, even size", LocalResponseNorm(2, alpha=0.5, beta=1.5, k=2.0), images),
        ("LocalResponseNorm, groups, alpha undivided", LocalResponseNorm(3, 0.5, divide_alpha=False, groups=2), images),
        ("SpatialResponseNorm", SpatialResponseNorm(3, alpha=0.5), images),
        ("Dropout, training", Dropout(0.3, seed=rng), vectors),
        ("Dropout, eval", Dropout(0.3, seed=rng).eval(), vectors),
        ("Flatten", Flatten(), images),
        ("Sequential, a small network", network, (3, 2, 7, 7)),
    ]
    settings = {"seed": seed, **settings, "raise_exception": False}
    for name, layer, shape in layers:
        x = home.from_host(rng.standard_normal(shape))
        yield name, gradcheck(layer, x, **settings)

    logits, labels = home.from_host(rng.standard_normal((4, 5))), home.from_host(rng.integers(5, size=4))
    for reduction, smoothing in (("mean", 0.0), ("sum", 0.1), ("none", 0.1)):
        loss = CrossEntropyLoss(reduction=reduction, label_smoothing=smoothing)
        yield repr(loss), gradcheck(loss, logits, labels, **settings)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    parser.add_argument("--seed", type=number(int, 0), default=0, metavar="N", help="of inputs, parameters, directions")
    add_device(parser, default="cpu")


def run(options: argparse.Namespace) -> int:
    """Check every layer, and print a table; returns 1 if a gradient is wrong."""
    verdicts = []
    device = chosen_device(options.device)
    print(f"Gradients from backward against central differences, float64, on {device}\n")
    print(f"{'layer':<56}{'derivatives':>12}{'worst error':>13}  verdict")
    for name, report in check_all_layers(device, seed=options.seed):
        compared = sum(row.elements + row.directions for row in report.rows)
        verdicts.append("WRONG" if not report.ok else "not differentiable" if report.not_differentiable else "ok")
        print(f"{name:<56}{compared:>12}{report.worst.error:>13.1e}  {verdicts[-1]}", flush=True)
        if not report.ok:
            print(report)
    print(
        f"\n{verdicts.count('ok')} of {len(verdicts)} ok; errors are relative to the derivative, the tolerance is 1e-6"
    )
    return 1 if "WRONG" in verdicts else 0
