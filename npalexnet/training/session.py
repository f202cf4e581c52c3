"""``npalexnet train``: one training run, from its options to its folder."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from npalexnet import backend
from npalexnet.alexnet import AlexNet
from npalexnet.data.images import Preprocessing
from npalexnet.data.sample import CLASSES, load_sample
from npalexnet.training.run import Run, new_run_folder
from npalexnet.training.trainer import Step, Trainer

WEIGHTS_BYTES = 250_000_000  # AlexNet's 62 million parameters, in float32


def train(options: argparse.Namespace) -> bool:
    """Train as the command line's options say; returns whether it went to its end, not stopped by Ctrl-C.

    Raises
    ------
    ValueError, OSError
        If the device, the precision or the folder can't be used.
    DivergedError
        If the loss is no longer finite. The folder keeps what was saved after the last whole pass.
    """
    device = backend.get_device(options.device)
    dtype = "float32" if options.precision == "tf32" else options.precision
    backend.input_dtype(dtype)  # refused before anything is written
    run = Run(options.out or new_run_folder())
    run.check_space(2 * WEIGHTS_BYTES)  # the old file stays until the next one is complete
    images, labels = (array[: options.train_images] for array in load_sample("train"))
    test_images, test_labels = (array[: options.test_images] for array in load_sample("test"))
    preprocess = Preprocessing.fit(images)
    model = AlexNet(len(CLASSES), options.dropout, device=device.name, seed=options.seed, init=options.init)
    trainer = Trainer(
        model, preprocess, images, labels, epochs=options.epochs, batch_size=options.batch_size, lr=options.lr,
        momentum=options.momentum, weight_decay=options.weight_decay, seed=options.seed,
        dtype=dtype,
    )  # fmt: skip
    backend.set_float32_matmul_precision("high" if options.precision == "tf32" else "highest")
    about = {
        "classes": CLASSES,
        "mean": preprocess.mean,
        "std": preprocess.std,
        "options": {name: value for name, value in vars(options).items() if isinstance(value, str | int | float)},
    }
    print(f"Fashion-MNIST: {len(images):,} training and {len(test_images):,} held-out images of {len(CLASSES)} classes")
    where = f"on {_place(device)} in {options.precision}"
    print(f"{trainer.steps} steps, {trainer.steps_per_epoch} a pass, {where}; the run is {run.folder}/")

    started, seen = time.monotonic(), 0

    def save(steps: int) -> None:
        run.save(model.state_dict(), {**about, "steps": steps}, grey=images.ndim == 3)

    with (
        _stop_on_ctrl_c() as stop,
        _Progress(options.epochs * len(images)) as progress,
        _saving_on_a_failed_write(lambda: save(seen)),
    ):
        for epoch in range(1, options.epochs + 1):
            for step in trainer.epoch():
                seen = step.number
                run.record(
                    step=step.number, images=step.images, loss=step.loss, accuracy=step.accuracy, lr=step.lr,
                    seconds=round(step.seconds, 4),
                )  # fmt: skip
                progress.show(step)
                if stop.requested:
                    break
            progress.test()
            tested = None if stop.requested else trainer.evaluate(test_images, test_labels, lambda: stop.requested)
            if tested is not None:
                loss, accuracy = tested
                run.record(step=step.number, images=step.images, epoch=epoch, test_loss=loss, test_accuracy=accuracy)
                progress.write(
                    f"pass {epoch} of {options.epochs}: held-out loss {loss:.3f}, {100 * accuracy:.1f} % of "
                    f"{len(test_images)} right, {time.monotonic() - started:.0f} s since the start"
                )
            save(step.number)
            if stop.requested:
                break
    if stop.requested:
        print(f"Stopped after step {seen} of {trainer.steps}; what was learnt is kept.")
    print(f"Wrote weights.safetensors, metrics.jsonl, curves.png and filters.png to {run.folder}/")
    print(f"Use it: npalexnet predict {run.folder} IMAGE...")
    return not stop.requested


@contextmanager
def _saving_on_a_failed_write(save: Callable[[], None]) -> Iterator[None]:
    """Context in which an error of the file system does not lose what was learnt, if that can still be written."""
    try:
        yield
    except OSError:
        with suppress(OSError):
            save()
        raise


def _place(device: backend.Device) -> str:
    return f"{backend.get_num_threads()} CPU threads" if device is backend.CPU else device.name


class _Stop:
    requested = False


@contextmanager
def _stop_on_ctrl_c() -> Iterator[_Stop]:
    """Context in which the first Ctrl-C asks for a stop at the next step's end, and the second one interrupts."""
    stop = _Stop()

    def request(signal_number: int, frame: Any) -> None:
        stop.requested = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        print(
            "\nStopping after this step; Ctrl-C again stops at once and loses what was learnt since the last pass.",
            file=sys.stderr,
        )

    before = signal.signal(signal.SIGINT, request)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


class _Progress:
    """A progress bar on a terminal; elsewhere a line every `QUIET_SECONDS`."""

    QUIET_SECONDS = 20

    def __init__(self, images: int) -> None:
        from tqdm import tqdm

        self.on_terminal = sys.stderr.isatty()
        self.bar = tqdm(total=images, unit="image", disable=not self.on_terminal, dynamic_ncols=True, smoothing=0.1)
        self.loss, self.accuracy = 0.0, 0.0
        self.last_line = self.started = time.monotonic()

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()

    def show(self, step: Step) -> None:
        """Show a step: loss and accuracy are running means, so that a single batch's luck doesn't jump about."""
        keep = min(0.9, 1 - 1 / step.number)
        self.loss = keep * self.loss + (1 - keep) * step.loss
        self.accuracy = keep * self.accuracy + (1 - keep) * step.accuracy
        if self.on_terminal:
            self.bar.set_postfix_str(f"loss {self.loss:.3f}, {100 * self.accuracy:.0f} % right", refresh=False)
            self.bar.update(step.images - self.bar.n)
            return
        elapsed = time.monotonic() - self.started
        if time.monotonic() - self.last_line >= self.QUIET_SECONDS:
            self.last_line = time.monotonic()
            rate = step.images / elapsed
            left = elapsed / step.number * (step.steps - step.number)
            self.write(
                f"step {step.number} of {step.steps}: loss {self.loss:.3f}, {100 * self.accuracy:.0f} % right, "
                f"{rate:.1f} images/s, {left:.0f} s left"
            )

    def test(self) -> None:
        """Show that the held-out images are being classified."""
        self.bar.set_postfix_str("testing")

    def write(self, line: str) -> None:
        """Print a line without tearing the bar."""
        self.bar.write(line)
