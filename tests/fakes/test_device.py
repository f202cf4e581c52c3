"""The fake device refuses what CuPy refuses: a witness that lets a leak through proves nothing."""

import copy
import inspect
import operator
import warnings
from functools import reduce

import numpy as np
import pytest

from tests.fakes import device as fake
from tests.fakes.device import FakeArray, FakeDevice


@pytest.fixture
def home():
    return FakeDevice("home")


@pytest.fixture
def x(home):
    """[[0, 1, 2], [3, 4, 5]]."""
    return home.from_host(np.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize(
    "convert",
    [
        np.asarray,
        np.array,
        np.ascontiguousarray,
        lambda x: np.zeros((2, 3)).__setitem__(..., x),
        lambda x: np.array([x]),
    ],
)
def test_an_array_does_not_turn_into_numpys_unasked(x, convert):
    with pytest.raises(TypeError, match=r"Implicit conversion to a NumPy array|on a device array"):
        convert(x)


@pytest.mark.parametrize("name", [*fake.BINARY, *fake.COMPARISONS, "matmul", "iadd", "imul"])
def test_operators_refuse_a_numpy_operand_on_either_side(x, name):
    apply = getattr(operator, {"and": "and_", "or": "or_"}.get(name, name))
    for operands in [(x, np.ones((2, 3))), (np.ones((2, 3)), x), (x, [1.0, 2.0, 3.0])]:
        with pytest.raises(TypeError):
            apply(*operands)


@pytest.mark.parametrize(
    "call",
    [np.exp, np.sum, np.mean, np.ndim, np.maximum.reduce, lambda x: np.add(x, 1), lambda x: np.concatenate([x, x])],
)
def test_numpys_functions_refuse_an_array(x, call):
    with pytest.raises(TypeError):
        call(x)


def test_functions_of_the_module_refuse_numpy_arrays(home, x):
    xp, host = home.xp, np.ones((2, 3))
    for call in [
        lambda: xp.exp(host),
        lambda: xp.maximum(x, host),
        lambda: xp.where(x > 0, host, 0),
        lambda: xp.where(host > 0, x, 0),
        lambda: xp.matmul(x, host.T),
        lambda: xp.maximum(x, x, out=host),
        lambda: xp.copyto(x, host),
        lambda: xp.copyto(x, 1.0, where=host > 0),
        lambda: xp.zeros_like(host),
        lambda: xp.ascontiguousarray(host),
    ]:
        with pytest.raises(TypeError, match="ndarray"):
            call()


def test_indices_and_assigned_values_must_be_on_the_device(x):
    with pytest.raises(TypeError, match="ndarray"):
        x[np.array([0, 1])]
    with pytest.raises(TypeError, match="list"):
        x[[0, 1]]
    with pytest.raises(TypeError, match="ndarray"):
        x[0] = np.ones(3)


def test_arrays_of_two_devices_do_not_mix(x):
    other = FakeDevice("other")
    with pytest.raises(ValueError, match="an array of 'other' was used with one of 'home'"):
        x + other.from_host(np.ones((2, 3)))
    assert not other.owns(x)


@pytest.mark.parametrize(
    ("name", "keywords"),
    [("exp", {"where": True}), ("maximum", {"order": "C"}), ("empty", {"device": "cpu"}), ("full", {"like": None})],
)
def test_arguments_that_numpy_has_and_cupy_lacks_are_refused(home, x, name, keywords):
    positional = {"exp": (x,), "maximum": (x, x), "empty": (3,), "full": (3, 1.0)}[name]
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        getattr(home.xp, name)(*positional, **keywords)


def test_functions_that_the_package_does_not_use_are_not_there(home, x):
    for name in ("concatenate", "einsum", "pad"):
        assert not hasattr(home.xp, name)
    for name in ("clip", "dot", "__index__", "__array_interface__"):
        assert not hasattr(x, name)


def test_scalars_of_python_and_numpy_are_operands(x):
    for two in (2, 2.0, np.float64(2), np.int64(2)):
        assert (two * x).get().tolist() == [[0, 2, 4], [6, 8, 10]]
        assert (x - two).get().tolist() == [[-2, -1, 0], [1, 2, 3]]
        assert (two - x).get().tolist() == [[2, 1, 0], [-1, -2, -3]]


def test_a_python_scalar_keeps_float32(home):
    x = home.from_host(np.ones(3, "float32"))
    assert (x * 0.5).dtype == home.xp.where(x > 0, x, 0).dtype == home.xp.maximum(x, 0).dtype == np.float32


def test_arithmetic_lays_its_result_out_in_c_order_as_cupy_does(home):
    x = home.from_host(np.arange(24.0).reshape(2, 3, 4)).transpose(0, 2, 1)  # (2, 4, 3)
    assert x.strides == (96, 8, 32)
    for result in (x + 1, -x, x > 1, home.xp.exp(x), home.xp.maximum(x, 0), home.xp.where(x > 1, x, 0), x.copy()):
        assert result.strides == tuple(result.itemsize * step for step in (12, 3, 1))
    assert home.xp.zeros_like(x).strides == home.xp.empty_like(x, shape=(5, 4, 3)).strides == x.strides


def test_slices_and_transposes_are_views_and_other_indices_copies(home, x):
    x[0, 1] += 10  # [[0, 11, 2], ...]
    x.T[2] *= 2  # [[0, 11, 4], [3, 4, 10]]
    row, picked = x[1], x[home.from_host(np.array([0]))]
    x[...] = 7
    assert row.get().tolist() == [7, 7, 7]
    assert picked.get().tolist() == [[0, 11, 4]]


def test_a_single_number_is_an_array_until_it_is_asked_for(x):
    for number in (x[1, 2], x.max()):
        assert isinstance(number, FakeArray)
        assert number.shape == ()
        assert float(number) == 5.0


def test_results_written_into_an_array_are_that_array(home, x):
    out = home.xp.empty((2, 3))
    assert home.xp.maximum(x, 2, out=out) is out
    assert out.get().tolist() == [[2, 2, 2], [3, 4, 5]]
    home.xp.matmul(x[:, :2], x[:, 1:].T, out=out[:, 1:])
    assert out.get().tolist() == [[2, 2, 5], [3, 11, 32]]
    assert home.xp.ascontiguousarray(x) is x


def test_every_transfer_and_every_wait_is_counted(home, x):
    home.counts.reset()
    home.from_host(np.ones((4, 5), "float32"))
    home.xp.asarray(np.arange(3))
    home.xp.asarray(x)
    home.to_host(x)
    assert (float(x[0, 0]), int(x[0, 1]), bool(x[0, 2]), x[1, 0].item()) == (0.0, 1, True, 3.0)
    assert home.counts.uploads == [((4, 5), "float32"), ((3,), "int64")]
    assert home.counts.downloads == [((2, 3), "float64")]
    assert home.counts.nbytes(home.counts.uploads) == 4 * 5 * 4 + 3 * 8
    assert home.counts.synchronizations == 4


def test_memory_that_was_not_written_is_not_zero_by_chance(home):
    assert np.isnan(home.xp.empty(3, "float32").get()).all()
    assert home.xp.empty(3, "uint8").get().tolist() == [99, 99, 99]


def test_moving_keeps_the_axes_order_in_memory_and_copies(home):
    host = np.arange(24.0).reshape(2, 3, 4).transpose(0, 2, 1)
    moved = home.from_host(host)
    host[...] = 0
    assert moved.strides == host.strides
    assert moved.get().sum() == sum(range(24))
    assert moved.get().flags.c_contiguous
    assert home.to_host(moved).strides == host.strides


def test_a_deep_copy_stays_on_its_device(home, x):
    twin = copy.deepcopy(x)
    twin += 1
    assert home.owns(twin)
    assert x.get().tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.fixture(scope="module")
def cupy():
    """CuPy, which needs no GPU to be asked what it has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("cupy", exc_type=ImportError)


def test_cupys_functions_take_the_same_arguments(home, cupy):
    for path in (*fake.FUNCTIONS, "asarray"):
        ours, theirs = (
            inspect.signature(reduce(getattr, path.split("."), xp)).parameters.values() for xp in (home.xp, cupy)
        )
        assert [(path, p.name, p.kind) for p in ours] == [(path, p.name, p.kind) for p in theirs]
        for mine, cupys in zip(ours, theirs, strict=True):
            assert mine.default in (mine.empty, cupys.default)


def test_cupys_ufuncs_are_there(cupy):
    for name, ours in fake.UFUNCS.items():
        theirs, parameters = getattr(cupy, name), inspect.signature(ours).parameters.values()
        if name == "matmul":
            keywords = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
            assert keywords <= set(inspect.signature(theirs).parameters)
        else:
            assert isinstance(theirs, cupy.ufunc)
            assert theirs.nin == sum(p.kind is p.POSITIONAL_ONLY for p in parameters)


def test_cupys_arrays_have_the_same_attributes_and_methods(cupy):
    for name in (*fake.ATTRIBUTES, "T", "get", "item", "__deepcopy__"):
        assert hasattr(cupy.ndarray, name), name
    for name, ours in fake.METHODS.items():
        described = getattr(cupy.ndarray, name).__doc__.splitlines()[0]  # Cython writes the signature there
        assert all(parameter in described for parameter in inspect.signature(ours).parameters), described


def test_cupys_arrays_have_the_same_operators(cupy):
    names = (*fake.BINARY, *fake.COMPARISONS, *fake.UNARY, "matmul")
    ours = {f"__{kind}{name}__" for kind in ("", "r", "i") for name in names} & set(vars(FakeArray))
    assert len(ours) == 3 * len(fake.BINARY) + len(fake.COMPARISONS) + len(fake.UNARY) + 2
    assert {name for name in ours if not hasattr(cupy.ndarray, name)} == set()
