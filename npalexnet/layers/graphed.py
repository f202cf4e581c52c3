"""A layer's forward pass in eval mode, recorded once and replayed."""

from __future__ import annotations

from npalexnet import backend
from npalexnet.backend import Array
from npalexnet.layers import sharding
from npalexnet.layers.layer import Layer


def make_graphed_callable(layer: Layer, sample_input: Array) -> GraphedCallable:
    """Return what computes ``layer.eval()(x)`` with fewer launches, after ``torch.cuda.make_graphed_callables``.

    On a GPU the forward pass is captured as a CUDA graph: with few images, launching its kernels one by one takes
    longer than running them. On the CPU, and where it can't be captured (the log says why), it is computed as usual.

    The layer's mode stays as it is, and so does what its `backward` needs. Parameters are read where they lie: what an
    optimizer's step or `load_state_dict` writes is seen by the next call. The memory of the pass stays reserved as long
    as what is returned lives.

    Parameters
    ----------
    layer : Layer
        A layer or a model.
    sample_input : array
        An input of the shape, dtype and device that all inputs will have.

    Returns
    -------
    GraphedCallable
        To be called with inputs like `sample_input`.

    Raises
    ------
    TypeError, ValueError
        If `layer` is no layer, or can't work on `sample_input`.
    """
    if not isinstance(layer, Layer):
        raise TypeError(f"layer must be a Layer, got {layer!r}")
    return GraphedCallable(layer, sample_input)


class GraphedCallable:
    """What `make_graphed_callable` returns.

    Several threads may call it, also on streams of their own: they take turns. Not safe is what is not safe with the
    layer itself either: writing to the parameters on one stream while a call runs on another.
    """

    def __init__(self, layer: Layer, sample_input: Array) -> None:
        sample_input = layer._check_input(sample_input)
        self._name, self._shape, self._dtype = type(layer).__name__, sample_input.shape, sample_input.dtype
        self._device = backend.device_of(sample_input)
        self._precision = backend.get_float32_matmul_precision()
        self._parameters = [(name, p, p.data) for name, p in layer.named_parameters()]
        with self._device.active():
            self._compute = self._device.graphed(lambda x: sharding.infer(layer, x, None), sample_input)

    def __call__(self, x: Array) -> Array:
        """Return the layer's output for `x`.

        Raises
        ------
        TypeError, ValueError
            If `x` is not of the sample's shape, dtype and device.
        RuntimeError
            If parameters have been moved (by ``layer.to``) or replaced, or another float32 precision was chosen.
        """
        who = f"the input of the graphed {self._name}"
        x = backend.check_array(x, who, dtype=self._dtype, device=self._device)
        if x.shape != self._shape:
            raise ValueError(f"{who} is of shape {x.shape}, expected the sample's shape {self._shape}")
        moved = next((name for name, parameter, data in self._parameters if parameter.data is not data), None)
        if moved is not None:
            raise RuntimeError(f"{self._name}'s {moved} is not where it was: call make_graphed_callable again")
        if (precision := backend.get_float32_matmul_precision()) != self._precision:
            raise RuntimeError(
                f"the float32 precision was {self._precision!r} and is {precision!r}: call make_graphed_callable again"
            )
        with self._device.active():
            return self._compute(x)

    @property
    def captured(self) -> bool:
        """Whether there is a CUDA graph; False on the CPU, and where the log says why there is none."""
        return self._device.is_captured(self._compute)

    def __repr__(self) -> str:
        return f"GraphedCallable({self._name}, shape={self._shape}, dtype={self._dtype}, device={self._device.name!r})"
