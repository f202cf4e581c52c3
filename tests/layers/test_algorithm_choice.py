"""Which algorithm a convolution is computed with: what a user sets, and what "auto" makes of it."""

import copy
import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest

import npalexnet as na
from npalexnet import backend
from npalexnet.layers import algorithm_choice, sharding
from npalexnet.layers.im2col_gemm import ConvolutionAlgorithm, Im2colGemm
from npalexnet.layers.winograd import Winograd
from tests.support import get, normal, put


@pytest.fixture(autouse=True)
def setting(monkeypatch):
    """Let tests set it; afterwards it is what it was. Before, it is "auto"."""
    monkeypatch.setattr(algorithm_choice, "_setting", "auto")


def algorithm_of(layer, x):
    """What the layer computes with."""
    _, (*_, algorithm) = layer.compute(x)
    return type(algorithm)


# --- the setting ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["im2col", "winograd", "auto"])
def test_what_was_set_is_what_is_computed_with(name):
    na.set_convolution_algorithm(name)
    assert na.get_convolution_algorithm() == name
    found = algorithm_of(na.Conv2d(2, 3, 3), normal((1, 2, 5, 5), "float32"))
    assert found == {"im2col": Im2colGemm, "winograd": Winograd, "auto": Im2colGemm}[name]


def test_a_block_has_its_own_and_the_one_inside_counts():
    na.set_convolution_algorithm("im2col")
    with na.convolution_algorithm("winograd"):
        assert na.get_convolution_algorithm() == "winograd"
        with na.convolution_algorithm("auto"):
            assert na.get_convolution_algorithm() == "auto"
        na.set_convolution_algorithm("auto")
        assert na.get_convolution_algorithm() == "winograd"
    assert na.get_convolution_algorithm() == "auto"


def test_after_an_error_in_a_block_it_is_what_it_was():
    with pytest.raises(KeyError), na.convolution_algorithm("winograd"), na.convolution_algorithm("im2col"):
        raise KeyError
    assert na.get_convolution_algorithm() == "auto"


def in_a_thread(function):
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


def test_a_block_is_for_its_thread_and_the_setting_for_all():
    with na.convolution_algorithm("winograd"):
        assert in_a_thread(na.get_convolution_algorithm) == "auto"
    na.set_convolution_algorithm("im2col")
    assert in_a_thread(na.get_convolution_algorithm) == "im2col"
    in_a_thread(lambda: na.set_convolution_algorithm("winograd"))
    assert na.get_convolution_algorithm() == "winograd"


def test_a_block_holds_for_the_worker_threads_that_compute_in_it():
    seen, meeting = set(), threading.Barrier(2)

    class Seeing(na.ReLU):
        def compute(self, x, noise=None):
            meeting.wait(20)  # so that both threads compute
            seen.add((threading.get_ident() != main, na.get_convolution_algorithm()))
            return super().compute(x, noise)

    main, before = threading.get_ident(), na.get_num_threads()
    na.set_num_threads(2)
    try:
        with na.convolution_algorithm("winograd"):
            Seeing()(normal((32, 2), "float32"))
    finally:
        na.set_num_threads(before)
    assert seen == {(True, "winograd"), (False, "winograd")}


def test_backward_goes_on_with_what_forward_was_computed_with():
    layer, x = na.Conv2d(2, 3, 3, dtype="float64", seed=0), normal((2, 2, 6, 6))
    results = []
    for inside in ("winograd", "im2col"):
        with na.convolution_algorithm("winograd"):
            y = layer(x)
        with na.convolution_algorithm(inside):
            results.append(layer.backward(y))
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("name", ["Winograd", "", "fft", " im2col", None, 1, True, ["auto"], ("im2col",), b"auto"])
def test_another_name_is_refused_and_nothing_is_changed(name):
    na.set_convolution_algorithm("winograd")
    with pytest.raises((TypeError, ValueError), match="'auto', 'im2col' or 'winograd'"):
        na.set_convolution_algorithm(name)
    with (
        pytest.raises((TypeError, ValueError), match="'auto', 'im2col' or 'winograd'"),
        na.convolution_algorithm(name),
    ):
        raise AssertionError
    assert na.get_convolution_algorithm() == "winograd"


PROGRAM = """
import npalexnet as na
try:
    print(na.get_convolution_algorithm())
    na.set_convolution_algorithm("im2col")
    print(na.get_convolution_algorithm())
except ValueError as error:
    print(error)
    with na.convolution_algorithm("winograd"):
        pass
"""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "auto\nim2col\n"),
        ("", "auto\nim2col\n"),
        (" winograd ", "winograd\nim2col\n"),
        ("im2col", "im2col\nim2col\n"),
        (
            "mkl",
            "the environment variable NPALEXNET_CONVOLUTION must be 'auto', 'im2col' or 'winograd', got 'mkl'\n",
        ),
    ],
)
def test_the_environment_says_what_it_is_until_it_is_set(value, expected):
    environment = {name: given for name, given in os.environ.items() if name != "NPALEXNET_CONVOLUTION"}
    environment |= {} if value is None else {"NPALEXNET_CONVOLUTION": value}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == expected
    assert done.stderr == ""


# --- the rule of "auto" -----------------------------------------------------------------------------------------------

FAR_ENOUGH = {"in_channels": 256, "out_channels": 384, "kernel_size": 3, "padding": 1}  # AlexNet's third, 13 x 13


@pytest.mark.parametrize(
    ("change", "shape", "expected"),
    [
        ({}, (16, 256, 13, 13), Winograd),
        ({"in_channels": 96, "kernel_size": 5, "padding": 2}, (16, 96, 27, 27), Winograd),
        ({"groups": 2}, (16, 256, 13, 13), Winograd),
        ({"in_channels": 3}, (16, 3, 13, 13), Im2colGemm),
        ({"out_channels": 2}, (16, 256, 13, 13), Im2colGemm),
        ({"groups": 64}, (16, 256, 13, 13), Im2colGemm),
        ({}, (1, 256, 13, 13), Im2colGemm),  # 169 windows
        ({}, (0, 256, 13, 13), Im2colGemm),
        ({"in_channels": 64, "out_channels": 64}, (1, 64, 160, 160), Im2colGemm),
        ({"in_channels": 64, "out_channels": 64}, (40, 64, 4, 20), Im2colGemm),
        ({"in_channels": 64, "out_channels": 64}, (40, 64, 20, 4), Im2colGemm),
        ({"stride": 2}, (16, 256, 27, 27), Im2colGemm),
        ({"dilation": 2}, (16, 256, 15, 15), Im2colGemm),
        ({"kernel_size": 1}, (16, 256, 13, 13), Im2colGemm),
        ({"kernel_size": 2}, (16, 256, 13, 13), Im2colGemm),
        ({"kernel_size": (3, 1)}, (16, 256, 13, 13), Im2colGemm),
        ({"dtype": "float64"}, (16, 256, 13, 13), Im2colGemm),
    ],
    ids=str,
)
def test_auto_is_winograd_where_there_is_enough_to_multiply(change, shape, expected):
    layer = na.Conv2d(**FAR_ENOUGH | change)
    assert algorithm_of(layer, np.zeros(shape, layer.dtype)) == expected


def test_auto_is_im2col_where_few_multiplications_do_not_pay():
    layer = na.Conv2d(**FAR_ENOUGH, device="fake")
    assert algorithm_of(layer, put(np.zeros((16, 256, 13, 13), "float32"), "fake")) == Im2colGemm
    na.set_convolution_algorithm("winograd")
    assert algorithm_of(layer, put(np.zeros((16, 256, 13, 13), "float32"), "fake")) == Winograd


@pytest.mark.parametrize("name", ["auto", "winograd"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_im2cols(name, dtype):
    x = np.zeros((2, 64, 13, 13), backend.input_dtype(dtype))
    with na.convolution_algorithm(name):
        assert algorithm_of(na.Conv2d(64, 64, 3), x) == Im2colGemm


@pytest.mark.parametrize(
    "arguments",
    [{"stride": 2}, {"dilation": 2}, {"kernel_size": 1}, {"kernel_size": 6}, {"kernel_size": (3, 2)}],
    ids=str,
)
def test_what_winograd_does_not_support_is_im2cols_whoever_asks(arguments):
    x = normal((2, 4, 9, 9), "float32")
    layer = na.Conv2d(**{"in_channels": 4, "out_channels": 4, "kernel_size": 3} | arguments)
    na.set_convolution_algorithm("winograd")
    assert algorithm_of(layer, x) == Im2colGemm
    layer.algorithm = Winograd()
    assert algorithm_of(layer, x) == Im2colGemm


@pytest.mark.parametrize("name", ["auto", "im2col", "winograd"])
@pytest.mark.parametrize("kind", [Im2colGemm, Winograd])
def test_a_layers_own_algorithm_comes_before_the_setting(monkeypatch, name, kind):
    layer, x = na.Conv2d(4, 4, 3), normal((2, 4, 9, 9), "float32")
    na.set_convolution_algorithm(name)
    layer.algorithm = kind()
    assert algorithm_of(layer, x) == kind
    layer.algorithm = None
    monkeypatch.setattr(na.Conv2d, "algorithm", kind())
    assert algorithm_of(na.Conv2d(4, 4, 3), x) == kind


def test_gradcheck_is_exact_enough_in_float64_with_either():
    layer = na.Conv2d(2, 2, 3, padding=1, dtype="float64", seed=0)
    for name in ("auto", "im2col", "winograd"):
        with na.convolution_algorithm(name):
            report = na.gradcheck(layer, normal((2, 2, 6, 5)))
        assert report.ok


# --- once per pass ----------------------------------------------------------------------------------------------------


class Making(na.ReLU):
    """Makes something in each shard."""

    def __init__(self, keys=("key",)):
        self.keys, self.made, self.seen = keys, [], []

    def make(self):
        self.made.append(object())
        return self.made[-1]

    def compute(self, x, noise=None):
        self.seen.append([sharding.once_per_pass(key, self.make) for key in self.keys])
        return super().compute(x, noise)


@pytest.mark.parametrize("threads", [1, 3])
def test_shards_share_what_the_first_of_them_made_and_the_next_pass_makes_anew(threads):
    layer, before = Making(), na.get_num_threads()
    na.set_num_threads(threads)
    try:
        for passes in (1, 2, 3):
            layer.train(passes != 2)(normal((33, 2), "float32"))
            assert len(layer.made) == passes
    finally:
        na.set_num_threads(before)
    shards = len(backend.CPU.shards(33))
    assert shards > 1
    assert [made for (made,) in layer.seen] == [made for made in layer.made for _ in range(shards)]


def test_what_is_asked_for_by_another_key_is_another_thing():
    layer = Making(keys=("one", "other", "one"))
    layer(normal((9, 2), "float32"))
    assert len(layer.made) == 2
    for one, other, again in layer.seen:
        assert one is again is layer.made[0]
        assert other is layer.made[1]


def test_without_a_pass_it_is_made_each_time():
    layer = Making()
    for count in (1, 2):
        layer.compute(normal((9, 2), "float32"))
        assert len(layer.made) == count


def test_passes_of_two_threads_share_nothing():
    layer, barrier = Making(), threading.Barrier(2)

    def run():
        barrier.wait()
        layer(normal((9, 2), "float32"))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(layer.made) == 2


def test_if_it_can_not_be_made_the_error_comes_out_and_the_next_pass_can_make_it():
    class Failing(Making):
        fails = True

        def make(self):
            if self.fails:
                raise ZeroDivisionError
            return super().make()

    layer = Failing()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            layer(normal((9, 2), "float32"))
    layer.fails = False
    layer(normal((9, 2), "float32"))
    assert len(layer.made) == 1


def test_each_pass_has_an_algorithm_of_its_own_and_all_its_shards_the_same():
    seen = []

    class Recording(ConvolutionAlgorithm):
        def for_pass(self):
            return type(self)()

        def output(self, x, weight, bias, windows, groups, *, relu=False):
            seen.append(self)
            return Im2colGemm().output(x, weight, bias, windows, groups, relu=relu)

        def gradients(self, *arguments):
            seen.append(self)
            return Im2colGemm().gradients(*arguments)

    layer = na.Conv2d(2, 3, 3, seed=0)
    layer.algorithm = Recording()
    x = normal((33, 2, 5, 5), "float32")
    for passes in (1, 2):
        layer.backward(layer(x))
        assert len(set(map(id, seen))) == passes
    assert layer.algorithm not in seen
    assert len(seen) == 4 * len(backend.CPU.shards(33))
    assert get(layer.eval()(x)).shape == (33, 3, 3, 3)


@pytest.mark.parametrize("wrong", ["winograd", Winograd, 5])
def test_a_layers_own_algorithm_is_an_instance(wrong):
    layer = na.Conv2d(2, 3, 3)
    layer.algorithm = wrong
    with pytest.raises(TypeError, match=r"Conv2d\.algorithm must be a ConvolutionAlgorithm such as Winograd\(\)"):
        layer(np.ones((1, 2, 5, 5), "float32"))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_a_network_can_be_copied_between_forward_and_backward(copied):
    layer = na.Conv2d(2, 3, 3, seed=0)
    layer.algorithm = Winograd()
    y = layer(np.ones((1, 2, 5, 5), "float32"))
    np.testing.assert_array_equal(copied(layer).backward(y), layer.backward(y))
