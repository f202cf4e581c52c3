"""Plants faults in a copy of the package, one at a time, and sees whether the tests notice: a test of the tests.

``python tests/scripts/planted_faults.py`` prints a line a fault, with a test that caught it, and fails if
one went unnoticed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]

# what is planted: file of the package, code, what it becomes, tests to run
FAULTS = {
    "rotated kernel": (
        "layers/conv.py", "(self.weight.data.transpose", "(self.weight.data[:, :, ::-1, ::-1].transpose",
        "layers/test_conv.py",
    ),
    "missing bias gradient of Conv2d": (
        "layers/conv.py", "pairs.append((self.bias, sum_rows(grad_y)))", "pass",
        "layers/test_conv.py",
    ),
    "missing bias gradient of Linear": (
        "layers/linear.py", "pairs.append((self.bias, sum_rows(grad_rows)))", "pass", "layers/test_linear.py",
    ),
    "pool gradient to all ties": (
        "layers/pooling.py", "column == j, first", "self._ties[j], first",
        "layers/test_pooling.py::test_the_first_of_equal_numbers_gets_the_whole_gradient",
    ),
    "= for += in col2im": (
        "layers/im2col.py", "[:, :, :, 0] += part", "[:, :, :, 0] = part", "layers/test_conv.py",
    ),
    "= for += in pooling": (
        "layers/pooling.py", "pixels += device.masked", "pixels[...] = device.masked", "layers/test_pooling.py",
    ),
    "last tile of windows forgotten": (
        "layers/im2col_gemm.py", "range(number):", "range(max(1, number - 1)):", "layers/test_im2col_gemm.py",
    ),
    "dropout not scaled": (
        "layers/dropout.py", "1 / (1 - self.p)", "1.0", "layers/test_dropout.py",
    ),
    "loss not divided by N": ("losses.py", "losses.mean() if", "losses.sum() if", "test_losses.py"),
    "gradient of the loss not divided by N": ("losses.py", "1 / len(labels) if", "1.0 if", "test_losses.py"),
    "col2im that adds to what was there": (
        "backend/cuda/kernels.cu", "result = add ? *target", "result = true ? *target",
        "backend/cuda/test_window_kernels.py",
    ),
    "a product's leading dimension not looked at": (
        "backend/cuda/products.py", "leading >= rows and", "True and", "backend/cuda/test_products.py",
    ),
    "a CUDA graph that does not wait for its last replay": (
        "backend/cuda/graphs.py", "stream.wait_event(self._done)", "pass", "backend/cuda/test_graphs.py",
    ),
    "a batch computed with before it is there": (
        "backend/cuda/prefetch.py", "uploader.await_on_compute_stream(batch)", "pass", "backend/cuda/test_prefetch.py",
    ),
    "a checkpoint without dropout's generators": (
        "training/state.py", "rng.bit_generator.state = states[name]", "pass",
        "training/test_resume.py::test_a_run_that_is_stopped_after_each_step_ends_as_one_that_never_was",
    ),
    "files renamed before they are on the disk": (
        "files.py", "os.fsync(file.fileno())", "pass", "test_files.py",
    ),
    "held-out pictures drawn anew": (
        "inference/validation.py", "split = saved_split(classifier.path.parent)", "split = None",
        "inference/test_validation.py",
    ),
    "ten crops averaged as logarithms": (
        "training/evaluation.py", "np.log(np.exp(found - highest).mean(axis=1)) + highest[:, 0]",
        "found.mean(axis=1)", "training/test_evaluation.py",
    ),
    "a step taken with infinite gradients": (
        "optim/grad_scaler.py", "if self._taken:", "if True:", "optim/test_grad_scaler.py",
    ),
    "weight decay forgotten": ("optim/sgd.py", "if weight_decay:", "if False:", "optim/test_sgd.py"),
}  # fmt: skip
ALSO = {
    "pool gradient to all ties": (
        "tallest, y = self._largest(images, x.shape)\n",
        "tallest, y = self._largest(images, x.shape); "
        "self._ties = [(column == y).copy() for column in self._columns(tallest, y.shape[2])]\n",
    )
}


def caught_by(name: str, copy: Path) -> str | None:
    """Return a test that fails on the copy with this fault, or None."""
    file, code, fault, tests = FAULTS[name]
    path = copy / "npalexnet" / file
    original = path.read_text(encoding="utf-8")
    text = original
    for before, after in [(code, fault), *([ALSO[name]] if name in ALSO else [])]:
        if before not in text:
            sys.exit(f"{name}: {file} no longer has the code to break: {before}")
        text = text.replace(before, after)
    path.write_text(text, encoding="utf-8")
    options = ["-q", "-x", "-k", "not fake", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *options, f"tests/{tests}"]
    done = subprocess.run(
        command, cwd=copy, env={**os.environ, "PYTHONPATH": str(copy)}, capture_output=True, text=True, check=False
    )
    path.write_text(original, encoding="utf-8")
    return next(
        (
            line.removeprefix("FAILED ").partition(" - ")[0]
            for line in done.stdout.splitlines()
            if line.startswith("FAILED")
        ),
        None,
    )


def main() -> int:
    """Plant all faults; returns how many went unnoticed."""
    unnoticed = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "npalexnet"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "runs", "*.egg-info", "__pycache__"))
        for name in FAULTS:
            test = caught_by(name, copy)
            unnoticed += test is None
            print(f"{name}: {f'caught by {test}' if test else 'NOT NOTICED'}", flush=True)
    return unnoticed


if __name__ == "__main__":
    sys.exit(main())
