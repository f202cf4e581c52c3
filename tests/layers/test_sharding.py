import numpy as np
import pytest

import npalexnet as na
from npalexnet.layers.layer import Layer
from tests.support import blas_threads, normal


class BlasProbe(Layer):
    """Notes how many threads BLAS may use while it computes."""

    per_image = True

    def __init__(self):
        self.seen = set()

    def compute(self, x, noise=None):
        self.seen |= blas_threads()
        return x * 1, None

    def gradients(self, grad_y, saved):
        self.compute(grad_y)
        return grad_y * 1, []


@pytest.mark.parametrize("N", [1, 2, 33])
def test_each_shard_has_a_single_threaded_blas_even_if_there_is_only_one(N):
    probe = BlasProbe()
    probe.backward(probe(normal((N, 3))))
    probe.eval()(normal((N, 3)))
    assert probe.seen == {1}


@pytest.mark.parametrize("N", [1, 33])
def test_gradients_lie_in_memory_as_their_parameters_do(N):
    layer = na.Conv2d(4, 6, 3)
    layer.backward(layer(normal((N, 4, 5, 5), "float32")))
    assert layer.weight.grad.strides == layer.weight.data.strides


class Forgetful(Layer):
    """A composite that does not hand on the noise of the layers inside."""

    def __init__(self):
        self.body = na.Sequential(na.Dropout(0.5))

    def compute(self, x, noise=None):
        return self.body.compute(x, noise)

    def gradients(self, grad_y, saved):
        return self.body.gradients(grad_y, saved)


def test_a_composite_that_would_silently_disable_dropout_is_refused():
    layer = Forgetful()
    with pytest.raises(NotImplementedError, match=r"Forgetful has to override draw_noise\(\): its layer 'body'"):
        layer(normal((2, 3)))


@pytest.mark.filterwarnings("error")
def test_the_callers_errstate_holds_in_the_worker_threads():
    class Overflow(BlasProbe):
        def compute(self, x, noise=None):
            return np.exp(x), None

    with np.errstate(over="ignore"):
        assert np.isinf(Overflow()(np.full((33, 3), 1000.0))).all()
