"""Plants faults in a copy of the package, each alone, and sees whether the tests notice: a test of the tests.

``python tests/scripts/planted_faults.py [NAME ...]`` plants all faults, or the named ones, prints a line for each with
a test that caught it, and fails if one went unnoticed. ``--check`` plants nothing: it only looks whether each piece of
code to break stands exactly once in its file. Before any test runs, all that do not are listed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).parents[2]
AT_ONCE = 2


@dataclass
class Fault:
    """What is planted.

    Attributes
    ----------
    file : str
        Below ``npalexnet/``.
    code : dict
        Each piece of it to break, and what it becomes; each stands once in the file.
    caught_in : str
        The tests to run, below ``tests/``; by default the file's mirror image.
    """

    file: str
    code: dict[str, str]
    caught_in: str = ""

    @property
    def path(self) -> str:
        return f"npalexnet/{self.file}"

    @property
    def tests(self) -> str:
        folder, _, name = self.file.rpartition("/")
        return "tests/" + (self.caught_in or f"{folder}/test_{name}".lstrip("/"))

    def problems(self) -> Iterator[str]:
        """What of the code or of the tests is not where it should be."""
        path, (tests, _, test) = ROOT / self.path, self.tests.partition("::")
        source = path.read_text(encoding="utf-8") if path.exists() else None
        for code in self.code if source is not None else ():
            if (count := source.count(code)) != 1:
                yield f"{self.path} has this code {count} times, expected it once: {code!r}"
        if source is None:
            yield f"{self.path} does not exist"
        if not (ROOT / tests).exists():
            yield f"{tests} does not exist"
        elif f"def {test}" not in (ROOT / tests).read_text(encoding="utf-8"):
            yield f"{tests} has no {test}"


FAULTS = {
    "rotated kernel": Fault(
        "layers/conv.py", {"(self.weight.data.transpose": "(self.weight.data[:, :, ::-1, ::-1].transpose"}
    ),
    "missing bias gradient of Conv2d": Fault(
        "layers/conv.py",
        {"pairs.append((self.bias, sum_rows(grad)))  # (O,)\n        return grad_x": "pass\n        return grad_x"},
    ),
    "missing bias gradient of Linear": Fault(
        "layers/linear.py", {"pairs.append((self.bias, sum_rows(grad_rows)))": "pass"}
    ),
    "pool gradient to all ties": Fault(
        "layers/max_pool.py",
        {
            "column=column,": "column=[(largest == y).copy() for largest in _column_views(column_max, windows)],",
            "column == j, untouched": "column[j], untouched",
        },
        "layers/test_pooling.py::test_the_first_of_equal_numbers_gets_the_whole_gradient",
    ),
    "= for += in col2im": Fault(
        "layers/im2col.py", {"[:, :, :, 0] += part": "[:, :, :, 0] = part"}, "layers/test_conv.py"
    ),
    "= for += in pooling": Fault(
        "layers/max_pool.py", {"pixels += device.masked": "pixels[...] = device.masked"}, "layers/test_pooling.py"
    ),
    "last tile of windows forgotten": Fault(
        "layers/im2col_gemm.py",
        {"* (i + 1) // count) for i in range(count)]": "* (i + 1) // count) for i in range(max(1, count - 1))]"},
    ),
    "a sign of Winograd's B": Fault("layers/winograd.py", {"np.poly(others)[::-1]": "np.poly(-others)[::-1]"}),
    "infinity's row of Winograd's A and G": Fault("layers/winograd.py", {"np.eye(k)[-1]]": "np.eye(k)[0]]"}),
    "Winograd's G taken by the wrong rows": Fault(
        "layers/winograd.py", {"device.products(G, Gw, out=": "device.products(G, Gw[[-1, *range(n - 1)]], out="}
    ),
    "a tile of Winograd's a pixel too far": Fault(
        "layers/winograd.py", {"start + tile * m + j": "start + tile * (m + 1) + j"}
    ),
    "padding forgotten in Winograd's tiles": Fault(
        "layers/winograd.py", {"-(-outputs // m), -padding, inputs)": "-(-outputs // m), 0, inputs)"}
    ),
    "Winograd's dw with one G where two belong": Fault(
        "layers/winograd.py",
        {"device.products(maps.G.T, dU.reshape(n, -1), out=dUG[a])": "dUG[a] = dU.reshape(n, -1)[: maps.G.shape[1]]"},
    ),
    "Winograd's dV by another point's weights": Fault(
        "layers/winograd.py", {"U[a, ..., o].swapaxes(1, 2)": "U[a - 1, ..., o].swapaxes(1, 2)"}
    ),
    "transformed weights of the pass before": Fault("layers/winograd.py", {"return type(self)()": "return self"}),
    "transformed weights in every shard anew": Fault("layers/winograd.py", {"if self._U is None:": "if True:"}),
    "an algorithm set for a block that stays": Fault(
        "layers/algorithm_choice.py", {"_in_context.reset(token)": "pass"}
    ),
    "convolution windows that do not hang over": Fault("layers/conv.py", {"sides, self.ceil_mode)": "sides)"}),
    "padding counted in all averages": Fault(
        "layers/average_pooling.py", {"counted if self.count_include_pad else inside[1] - inside[0]": "counted"}
    ),
    "alpha divided where the paper does not": Fault(
        "layers/normalization.py", {"self.size if self.divide_alpha else 1": "self.size"}
    ),
    "neighbours across the border of a group": Fault(
        "layers/normalization.py", {"width = x.shape[1] // self.groups": "width = x.shape[1]"}
    ),
    "neighbours for those whose neighbour it is": Fault(
        "layers/normalization.py", {"(size - 1) // 2 if transposed else size // 2": "size // 2"}
    ),
    "another k in the released network": Fault(
        "variants/released.py", {"alpha=1e-3, beta=0.75, k=1": "alpha=1e-3, beta=0.75, k=2"}, "test_variants.py"
    ),
    "dropout not scaled": Fault("layers/dropout.py", {"1 / (1 - p)": "1.0"}),
    "loss not divided by N": Fault("losses.py", {"losses.mean() if": "losses.sum() if"}),
    "gradient of the loss not divided by N": Fault("losses.py", {"1 / len(labels) if": "1.0 if"}),
    "col2im that adds to what was there": Fault(
        "backend/cuda/kernels.cu",
        {"result = add ? *target": "result = true ? *target"},
        "backend/cuda/test_window_kernels.py",
    ),
    "a product's leading dimension not looked at": Fault(
        "backend/cuda/products.py", {"leading >= rows and": "True and"}
    ),
    "a CUDA graph that does not wait for its last replay": Fault(
        "backend/cuda/graphs.py", {"stream.wait_event(self._done)": "pass"}
    ),
    "a batch computed with before it is there": Fault(
        "backend/cuda/prefetch.py", {"uploader.await_on_compute_stream(batch)": "pass"}
    ),
    "a checkpoint without dropout's generators": Fault(
        "training/state.py",
        {"rng.bit_generator.state = states[name]": "pass"},
        "training/test_resume.py::test_a_run_that_is_stopped_after_each_step_ends_as_one_that_never_was",
    ),
    "files renamed before they are on the disk": Fault("files.py", {"sync(file.fileno())": "pass"}),
    "validation pictures drawn anew": Fault(
        "inference/validation.py", {"split = saved_split(classifier.path.parent)": "split = None"}
    ),
    "ten crops averaged as logarithms": Fault(
        "training/evaluation.py",
        {"np.log(np.exp(found - highest).mean(axis=1)) + highest[:, 0]": "found.mean(axis=1)"},
    ),
    "a step taken with infinite gradients": Fault("optim/grad_scaler.py", {"if self._taken:": "if True:"}),
    "biases that decay": Fault("optim/groups.py", {"weight_decay * bias_decay_factor": "weight_decay"}),
    "biases as slow as weights": Fault("optim/groups.py", {"lr * bias_lr_factor": "lr"}),
    "a recipe that wins over what is given": Fault(
        "cli/training_options.py", {"**recipe, **config, **given": "**config, **given, **recipe"}
    ),
    "an older run resumed without its crops": Fault(
        "cli/training_options.py", {'config.setdefault("augment", config["recipe"])': "pass"}
    ),
    "a rate that falls a step late": Fault(
        "training/milestones.py",
        {"step * self.total >= milestone": "step * self.total > milestone"},
        "training/test_schedules.py",
    ),
    "biases that slow down with the weights": Fault(
        "training/state.py", {"factors[biases]": "factors[False]"}, "training/test_recipes.py"
    ),
    "crops of one shape": Fault("data/resized_crop.py", {"round(sqrt(area / shape))": "round(sqrt(area * shape))"}),
    "parameters that change their group on resume": Fault(
        "training/state.py", {"self._names_in_groups(),": "[],"}, "training/test_recipes.py"
    ),
    "weight decay forgotten": Fault("optim/sgd.py", {"if weight_decay:": "if False:"}),
    "exported windows end a row early": Fault(
        "formats/onnx_layers.py", {"1 - size - start))": "1 - size - start - 1))"}, "formats/test_onnx_writer.py"
    ),
    "exported averages count what hangs over": Fault(
        "formats/onnx_layers.py", {"if (share != 1).any()": "if (share > 1).any()"}, "formats/test_onnx_writer.py"
    ),
    "exported normalisation forgets the divisor of alpha": Fault(
        "formats/onnx_layers.py",
        {"layer.alpha * layer.size / layer.divisor": "layer.alpha"},
        "formats/test_onnx_writer.py",
    ),
    "strides of torch's tensors the wrong way round": Fault(
        "formats/torch_file_writer.py", {"prod(array.shape[axis + 1 :])": "prod(array.shape[:axis])"}
    ),
    "torch's tensors where they can't be mapped": Fault(
        "formats/torch_file_writer.py", {"+ 20 * large + 4": "+ 20 * large"}
    ),
    "names in a pickle looked up": Fault(
        "formats/torch_pickle.py",
        {"        return _known(module, name)": "        return super().find_class(module, name)"},
        "formats/test_torch_file.py",
    ),
    "a tensor's claims believed": Fault(
        "formats/torch_pickle.py",
        {"if count > storage.size or last >= max(storage.size, 1):": "if False:"},
        "formats/test_torch_file.py",
    ),
    "packed numbers read from the highest bits": Fault(
        "dtypes.py", {'np.unpackbits(content, bitorder="little")': "np.unpackbits(content)"}
    ),
    "small floats without numbers below the smallest normal one": Fault(
        "dtypes.py", {"(exponent > 0) * 2**mantissa_bits": "2**mantissa_bits"}
    ),
    "a run evaluated on more images than it took": Fault(
        "inference/validation.py", {"0 < count < len(data.validation)": "False"}, "cli/test_evaluate.py"
    ),
    "views of a storage begin with it": Fault("formats/torch_file.py", {"numbers[tensor.offset :]": "numbers[0:]"}),
    "a negative length left to NumPy, which takes -1 for the rest": Fault(
        "formats/tensor_file.py", {" or any(length < 0 for length in shape)": ""}, "formats/test_npz.py"
    ),
    "Caffe's colours left as they are": Fault(
        "pretrained/identify.py", {"state[name] = state[name][:, ::-1]": "state[name] = state[name]"}
    ),
    "half a network filled": Fault(
        "pretrained/identify.py", {"if there != list(range(len(there))):": "if False:"}, "training/test_finetune.py"
    ),
    "the order of layers overlooked": Fault(
        "pretrained/identify.py", {"if variant is None:\n        fitting": "if False:\n        fitting"}
    ),
    "a reader's wrong numbers pass": Fault(
        "exercises/judge.py",
        {"if first is None and not all(map(same, got, expected)):": "if False:"},
        "exercises/test_mistakes.py",
    ),
    "the package's own function passes for the reader's": Fault(
        "exercises/calls.py", {"if owner in (": "if owner in () and owner in ("}, "cli/test_exercise.py"
    ),
    "a stub written over a reader's file": Fault(
        "exercises/folder.py", {'"x", enc': '"w", enc'}, "cli/test_exercise.py"
    ),
    "explain's page counts the shown channels twice": Fault(
        "explain/convolution.py", {"parts[others].sum(": "parts.sum("}, "explain/test_content.py"
    ),
    "a class's name ends the script of explain's page": Fault(
        "explain/page.py", {'.replace("<", ': '.replace("?", '}, "explain/test_page.py"
    ),
    "exporting replaces a file unasked": Fault(
        "inference/export.py", {"if not overwrite and os.path.lexists(path)": "if False"}
    ),
}


def caught_by(fault: Fault, copies: SimpleQueue[Path]) -> str | None:
    """Return a test that fails on a copy with this fault, or None; another fault may be tried on another copy."""
    copy = copies.get()
    path = copy / fault.path
    original = text = path.read_text(encoding="utf-8")
    for code, broken in fault.code.items():
        text = text.replace(code, broken)
    path.write_text(text, encoding="utf-8")
    options = ["-q", "-x", "-k", "not fake", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *options, fault.tests]
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    path.write_text(original, encoding="utf-8")
    copies.put(copy)
    failed = (line for line in done.stdout.splitlines() if line.startswith("FAILED "))
    return next((line.removeprefix("FAILED ").partition(" - ")[0] for line in failed), None)


def main() -> int:
    """Plant the faults; returns how many went unnoticed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="of a fault in the table (by default, all)")
    parser.add_argument("--check", action="store_true", help="only look whether the code to break is there")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in FAULTS]:
        parser.error(f"no fault is called {unknown}; there are: {'; '.join(FAULTS)}")
    faults = {name: FAULTS[name] for name in options.names or FAULTS}
    if problems := [f"{name}: {problem}" for name, fault in faults.items() for problem in fault.problems()]:
        sys.exit("\n".join(problems))
    if options.check:
        print(f"{len(faults)} faults can be planted")
        return 0
    unnoticed = 0
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(AT_ONCE) as pool:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(AT_ONCE):
            copy = Path(folder) / str(number) / "npalexnet"
            shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "runs", "*.egg-info", "__pycache__"))
            copies.put(copy)
        for name, test in zip(faults, pool.map(lambda fault: caught_by(fault, copies), faults.values()), strict=True):
            unnoticed += test is None
            print(f"{name}: {f'caught by {test}' if test else 'NOT NOTICED'}", flush=True)
    return unnoticed


if __name__ == "__main__":
    sys.exit(main())
