"""Trains AlexNet here and in torch, from the same weights, on the same batches, and compares the losses.

``python tests/scripts/same_losses_as_torch.py cifar10:FOLDER`` takes 50 steps of 32 images, without dropout, and fails
if a loss differs by more than a hundredth of itself, or with ``--dtype float64`` by more than a billionth. Rounding
grows from step to step: the first losses are the same to the last digits. The default data are the built-in sample.
"""

import argparse
import sys

import numpy as np
import torch

import npalexnet as na
from benchmarks.rivals.torch_network import torch_alexnet
from npalexnet.data import open_data
from npalexnet.layers.algorithm_choice import NAMES

LARGEST = {"float32": 1e-2, "float64": 1e-9}
SGD = {"momentum": 0.9, "weight_decay": 5e-4}


def main(argv=None):
    """Compare, print a line a step, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("data", metavar="SPEC", nargs="?", help="as for npalexnet train --data")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--warmup", type=int, default=100, help="steps over which the rate rises (%(default)s)")
    parser.add_argument("--dtype", choices=LARGEST, default="float32")
    parser.add_argument("--convolution", choices=NAMES, default="auto")
    options = parser.parse_args(argv)
    na.set_convolution_algorithm(options.convolution)
    data = open_data(options.data)
    loader, _ = data.loaders(options.batch_size)
    model = na.AlexNet(len(data.classes), dropout=0.0, seed=0, init="xavier", dtype=options.dtype)
    twin = torch_alexnet(torch.nn, len(data.classes), 0.0).to(getattr(torch, options.dtype))
    twin.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in model.state_dict().items()})
    criterion, optimizer = na.CrossEntropyLoss(), na.SGD(model.parameters(), options.lr, **SGD)
    their_optimizer = torch.optim.SGD(twin.parameters(), options.lr, **SGD)
    worst = 0.0
    for step, (images, labels) in zip(range(1, options.steps + 1), loader.epoch(0), strict=False):
        images = images.astype(options.dtype)
        for group in (*optimizer.param_groups, *their_optimizer.param_groups):
            group["lr"] = options.lr * min(1, step / options.warmup)
        ours = float(criterion(model(images), labels))
        optimizer.zero_grad()
        model.backward(criterion.backward(), input_gradient=False)
        optimizer.step()
        loss = torch.nn.functional.cross_entropy(
            twin(torch.from_numpy(np.ascontiguousarray(images))), torch.from_numpy(labels)
        )
        their_optimizer.zero_grad()
        loss.backward()
        their_optimizer.step()
        theirs = loss.item()
        difference = abs(ours - theirs) / theirs
        worst = max(worst, difference)
        print(
            f"step {step}: npalexnet {ours:.6f}, torch {theirs:.6f}, relative difference {difference:.1e}",
            flush=True,
        )
    print(f"largest relative difference of {options.steps} losses: {worst:.1e}")
    return 1 if worst > LARGEST[options.dtype] else 0


if __name__ == "__main__":
    sys.exit(main())
