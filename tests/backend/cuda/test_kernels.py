"""The CUDA kernels, run on the CPU: what holds for all of them: the same bits each time, what they refuse."""

import inspect

import numpy as np
import pytest

from npalexnet.backend import input_dtype
from npalexnet.backend.arrays import HALF, PRIMITIVES
from npalexnet.backend.cuda.device import probe
from npalexnet.backend.cuda.kernels import Kernels
from npalexnet.backend.cuda.launcher import SOURCE, CupyLauncher
from npalexnet.backend.cuda.layouts import aligned_length
from npalexnet.windows import Windows
from tests.fakes.launcher import KERNEL, same_bits
from tests.support import assert_close, normal

DTYPES = ("float32", "float64", "float16", "bfloat16")


def everything(kernels, memory, dtype="float32"):
    """What all kernels make of some input, by name; of whole units, and of others."""
    dtype = input_dtype(dtype)
    return results_of(kernels, memory, 5, dtype) | {
        f"{name}, by units": result for name, result in results_of(kernels, memory, 8, dtype).items()
    }


def results_of(kernels, memory, channels, dtype):
    windows, pool = Windows((3, 3), (2, 1), (1, 2), (1, 1), (4, 3)), Windows((3, 3), (2, 2), (1, 1), (1, 1), (4, 3))
    x, labels = memory.copy(normal((2, 7, 5, channels), "float32").astype(dtype)), memory.copy(np.arange(23))
    results = {"columns": kernels.im2col(x, windows, memory.empty((24, 10 * channels + channels % 2), dtype))}
    columns = memory.copy(results["columns"][:23])
    results["images"] = kernels.col2im(results["columns"], memory.copy(x), windows)
    y, argmax = kernels.max_pool_with_indices(x, pool)
    results |= {"y": y, "argmax": argmax}
    results["grad_x"] = kernels.max_pool_gradient(memory.copy(y), argmax, pool, (7, 5))
    results["rows"] = rows = kernels.add_bias_relu(memory.copy(columns), memory.copy(columns[3]), relu=True)
    results["passed"] = passed = kernels.relu_gradient(columns, rows)
    results |= {"sums": kernels.sum_rows(columns), "dropped": kernels.dropout(columns, 0.5, 3, 0)}
    if dtype.name not in HALF:
        results["data"], results["velocity"] = data, velocity = memory.copy(columns), memory.copy(columns)
        kernels.sgd([(data, passed, velocity)], lr=0.1, momentum=0.9, weight_decay=0.1, nesterov=True)
    losses, log_probabilities = kernels.cross_entropy(columns, labels, 0.1)
    results |= {"losses": losses, "log-probabilities": log_probabilities}
    results["grad_logits"] = kernels.cross_entropy_gradient(losses, log_probabilities, labels, 0.1, dtype)
    return results


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_order_of_threads_and_blocks_changes_no_bit(kernels, memory, launcher, dtype):
    forwards = everything(kernels, memory, dtype)
    all_of_them = set(KERNEL.findall(SOURCE.read_text()))
    assert set(launcher.launched) == (all_of_them - {"sgd"} if dtype in HALF else all_of_them)
    launcher.reversed = True
    for name, result in everything(kernels, memory, dtype).items():
        assert result.tobytes() == forwards[name].tobytes(), name


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_gpu_gives_the_bits_of_the_cpu(memory, launcher, dtype):
    if not probe().usable:
        pytest.skip(f"no usable GPU: {probe().reason} (stage: {probe().stage})")
    import cupy

    class GpuMemory:
        empty, empty_like, copy = cupy.empty, cupy.empty_like, staticmethod(lambda array: cupy.array(array, order="K"))

    expected = everything(Kernels(memory, launcher), memory, dtype)
    for name, result in everything(Kernels(GpuMemory, CupyLauncher()), GpuMemory, dtype).items():
        if name.partition(",")[0] in ("losses", "log-probabilities", "grad_logits"):  # exp and log are the GPU's own
            tolerance = 2.0**-7 if expected[name].dtype.name in HALF else None
            assert_close(cupy.asnumpy(result).astype("float64"), expected[name].astype("float64"), tolerance or 2e-5)
        else:
            same_bits(cupy.asnumpy(result), expected[name])


def test_each_primitive_has_a_kernel_with_its_name_and_signature():
    assert {"im2col", "col2im", "add_bias_relu", "sum_rows", "relu_gradient", "dropout", "sgd"} < set(PRIMITIVES)
    for name, plain in PRIMITIVES.items():
        expected = list(inspect.signature(plain).parameters.values())
        given = list(inspect.signature(getattr(Kernels, name)).parameters.values())[1:]  # without self
        assert [(p.name, p.kind) for p in given[: len(expected)]] == [(p.name, p.kind) for p in expected], name
        for here, there in zip(given, expected, strict=False):
            assert here.default == there.default or there.default is inspect.Parameter.empty, name
        assert all(p.default is not inspect.Parameter.empty for p in given[len(expected) :]), name


def test_kernels_need_no_atomics_and_no_warps():
    source = SOURCE.read_text()
    assert not any(word in source for word in ("atomic", "__shfl", "__ballot", "__syncwarp", "#include"))


def test_empty_batches_launch_nothing(memory, launcher):
    kernels, windows = Kernels(memory, launcher), Windows((2, 2), (1, 1), (1, 1), (0, 0), (2, 2))
    x = memory.empty((0, 3, 3, 2), "float32")
    assert kernels.im2col(x, windows, memory.empty((0, 8), "float32")).shape == (0, 8)
    y, argmax = kernels.max_pool_with_indices(x, windows)
    assert y.shape == argmax.shape == (0, 2, 2, 2)
    assert kernels.max_pool_gradient(y, argmax, windows, (3, 3)).shape == x.shape
    assert kernels.relu_gradient(x, x).shape == kernels.dropout(x, 0.5, 1).shape == x.shape
    assert launcher.launched == []


def test_what_kernels_do_not_do_is_left_to_the_plain_lines(memory, launcher):
    kernels, one = Kernels(memory, launcher), Windows((1, 1), (1, 1), (1, 1), (0, 0), (4, 4))
    x = memory.copy(normal((2, 4, 4, 6), "float32"))
    columns = memory.empty((32, 6), "float32")
    assert kernels.im2col(x[:, ::-1], one, columns) is None
    assert kernels.im2col(x[..., ::2], one, columns[:, :3]) is None
    assert kernels.im2col(x.transpose(0, 2, 1, 3), one, columns) is None
    assert kernels.im2col(np.broadcast_to(x[:, :1, :1], x.shape), one, columns) is None
    assert kernels.im2col(x[..., :3], one, columns[:, :3]) is None  # columns with gaps
    assert kernels.col2im(columns, x[:, :, ::-1], one) is None
    assert kernels.max_pool_with_indices(x[..., :3], one) is None
    assert (
        kernels.max_pool_with_indices(x, Windows((16, 16), (1, 1), (1, 1), (8, 8), (5, 5))) is None
    )  # 256 don't fit a byte
    assert kernels.add_bias_relu(columns[:, ::2], None, relu=True) is None
    assert kernels.relu_gradient(x, x.transpose(0, 2, 1, 3)) is None
    assert kernels.relu_gradient(x[::2], x[::2]) is not None  # one image: no gap
    assert kernels.relu_gradient(x[:, ::2], x[:, ::2]) is None
    assert kernels.dropout(x.astype("int32"), 0.5, 1) is None
    assert kernels.sgd([(x, x, None), (x, x.transpose(0, 2, 1, 3), None)], lr=0.1) is None
    assert kernels.sgd([(x, x, None), (x.astype("float64"), x.astype("float64"), None)], lr=0.1) is None
    assert kernels.sgd([(x.astype("float16"), x.astype("float16"), None)], lr=0.1) is None
    assert kernels.sum_rows(columns[:0]) is None
    assert kernels.sum_rows(columns[:, ::2]) is None
    assert kernels.cross_entropy(columns.T, np.zeros(6, int)) is None
    assert launcher.launched == ["relu_gradient_by_units"]


def test_what_does_not_fit_is_refused_at_the_door(memory, launcher):
    kernels, one = Kernels(memory, launcher), Windows((2, 2), (1, 1), (1, 1), (0, 0), (3, 3))
    x, columns = memory.empty((2, 4, 4, 6), "float32"), memory.empty((18, 24), "float32")
    with pytest.raises(ValueError, match=r"patches must be of shape \(18, at least 24\), got \(17, 24\)"):
        kernels.im2col(x, one, columns[:17])
    with pytest.raises(ValueError, match=r"patches must be of shape \(18, at least 24\), got \(18, 23\)"):
        kernels.col2im(columns[:, :23], x, one)
    with pytest.raises(ValueError, match="patches' dtype must be float32, got float64"):
        kernels.im2col(x, one, columns.astype("float64"))
    with pytest.raises(ValueError, match=r"x must have 4 axes, got shape \(2, 4\)"):
        kernels.max_pool_with_indices(x[..., 0, 0], one)
    with pytest.raises(ValueError, match=r"windows.output_size must be \(4, 4\), got \(3, 3\)"):
        kernels.max_pool_gradient(x, memory.empty(x.shape, "uint8"), one, (5, 5))
    with pytest.raises(ValueError, match="bias's shape and dtype must be"):
        kernels.add_bias_relu(columns, columns[0, :5])
    with pytest.raises(ValueError, match="y's shape and dtype must be"):
        kernels.relu_gradient(columns, columns[:, :5])
    with pytest.raises(ValueError, match=r"labels must be \(18,\), got \(3,\)"):
        kernels.cross_entropy(columns, np.zeros(3, int))
    with pytest.raises(ValueError, match="grad_losses must be"):
        kernels.cross_entropy_gradient(columns[0], columns, np.zeros(18, int))
    with pytest.raises(ValueError, match="data, grad and velocity must be"):
        kernels.sgd([(columns, columns[0], None)], lr=0.1)
    with pytest.raises(ValueError, match="block must be a power of two from 1 to 256, got 48"):
        Kernels(memory, launcher, 48)
    assert launcher.launched == []


def test_the_fake_launcher_refuses_arguments_that_are_not_the_kernels(launcher):
    with pytest.raises(AssertionError, match="relu_gradient takes"):
        launcher("relu_gradient", np.dtype("float32"), (1,), (1,), (*[np.zeros(1, "float32")] * 3, np.int32(1)))
    with pytest.raises(AssertionError, match="relu_gradient takes"):
        launcher("relu_gradient", np.dtype("float64"), (1,), (1,), (*[np.zeros(1, "float32")] * 3, np.int64(1)))


@pytest.mark.parametrize(
    ("length", "dtype", "expected"),
    [(363, "float32", 364), (363, "float64", 364), (363, "float16", 368), (2400, "float16", 2400), (1, "float32", 4)],
)
def test_rows_of_columns_are_whole_16_bytes_on_a_gpu(length, dtype, expected):
    assert aligned_length(length, np.dtype(dtype)) == expected
