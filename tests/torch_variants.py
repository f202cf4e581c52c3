"""The variants of AlexNet in torch, written from their sources and not from npalexnet: what its own are held against.

Each is a list of steps. Sources: the paper of 2012, sections 3 and 4.2; computerhistory/AlexNet-Source-Code,
layers/layers-145.cfg and layer-params-145.cfg; BVLC/caffe, models/bvlc_*/train_val.prototxt; pytorch/vision,
models/alexnet.py; akrizhevsky/cuda-convnet2, layers/layers-imagenet-1gpu.cfg and its parameters.
"""

from math import ceil

import torch
from torch import nn
from torch.nn import functional as F


class Across(nn.Module):
    """``x / (k + factor * sum of x[j]**2)**0.75`` over 5 channels around each, in each of some columns by itself."""

    def __init__(self, k, factor, columns=1):
        super().__init__()
        self.k, self.factor, self.columns = k, factor, columns

    def forward(self, x):
        parts = []
        for part in x.chunk(self.columns, dim=1):
            squares = F.pad(part**2, (0, 0, 0, 0, 2, 2)).unfold(1, 5, 1).sum(-1)
            parts.append(part * (self.k + self.factor * squares) ** -0.75)
        return torch.cat(parts, dim=1)


class Within(nn.Module):
    """``x / (1 + 0.001/25 * sum of x**2)**0.75`` over 5 x 5 pixels around each."""

    def forward(self, x):
        squares = F.pad(x**2, (2, 2, 2, 2)).unfold(2, 5, 1).unfold(3, 5, 1).sum((-2, -1))
        return x * (1 + 0.001 / 25 * squares) ** -0.75


class Overhang(nn.Module):
    """Zeros at the bottom and at the right, so that all windows of 11 with stride 4 fit: their number is rounded up."""

    def forward(self, x):
        missing = ceil((x.shape[3] - 11) / 4) * 4 + 11 - x.shape[3]
        return F.pad(x, (0, missing, 0, missing))


def two_columns(first, after1, after2, pool3_first=False):
    """The convolutions of the paper's two GPUs, with what is between them."""
    last = [nn.MaxPool2d(3, 2), nn.ReLU()] if pool3_first else [nn.ReLU(), nn.MaxPool2d(3, 2)]
    return nn.Sequential(
        *first, *after1, nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(), *after2,
        nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(), nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1, groups=2), *last, nn.Flatten(),
    )  # fmt: skip


def one_column(first, after1, after2, last):
    """The convolutions of the paper of 2014, with what is between them."""
    return nn.Sequential(
        *first, *after1, nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), *after2,
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(), nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), *last, nn.Flatten(),
    )  # fmt: skip


def convolutions(variant):
    """Images -> (N, 9216)."""
    pool, relu = nn.MaxPool2d(3, 2), nn.ReLU()
    if variant == "seed":
        return nn.Sequential(
            nn.Conv2d(3, 96, 11, 4), relu, pool, nn.Conv2d(96, 256, 5, 1, 2), relu, pool,
            nn.Conv2d(256, 384, 3, 1, 1), relu, nn.Conv2d(384, 384, 3, 1, 1), relu,
            nn.Conv2d(384, 256, 3, 1, 1), relu, pool, nn.Flatten(),
        )  # fmt: skip
    if variant == "paper":
        norm = Across(2, 1e-4)
        return two_columns([nn.Conv2d(3, 96, 11, 4, 2)], [relu, norm, pool], [norm, pool])
    if variant == "released":
        norm = Across(2, 1e-4 / 5, columns=2)
        first = [Overhang(), nn.Conv2d(3, 96, 11, 4)]
        return two_columns(first, [norm, pool, relu], [norm, Within(), pool], pool3_first=True)
    if variant == "caffe":
        norm = Across(1, 1e-4 / 5)
        return two_columns([nn.Conv2d(3, 96, 11, 4)], [relu, norm, pool], [norm, pool])
    if variant == "caffenet":
        norm = Across(1, 1e-4 / 5)
        return two_columns([nn.Conv2d(3, 96, 11, 4)], [relu, pool, norm], [pool, norm])
    if variant == "torchvision":
        last = [relu, pool, nn.AdaptiveAvgPool2d(6)]
        return one_column([nn.Conv2d(3, 64, 11, 4, 2)], [relu, pool], [pool], last)
    if variant == "one-weird-trick":
        norm = Across(2, 1e-4 / 5)
        return one_column([Overhang(), nn.Conv2d(3, 64, 11, 4)], [norm, pool, relu], [norm, pool], [pool, relu])
    raise ValueError(variant)


def torch_variant(variant, classes, hidden=4096):
    """Images -> logits, without dropout; its parameters are in the order of npalexnet's, under other names."""
    return nn.Sequential(
        convolutions(variant), nn.Linear(9216, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(),
        nn.Linear(hidden, classes),
    )  # fmt: skip
