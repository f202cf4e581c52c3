"""How parameters are drawn. All is drawn on the CPU with NumPy, so that one seed gives the same start on every device.

References
----------
- "torch": torch's default for convolutions and linear layers, U(-1/sqrt(fan_in), 1/sqrt(fan_in)) for weight and bias.
- "paper": A. Krizhevsky, I. Sutskever and G. Hinton, "ImageNet Classification with Deep Convolutional Neural Networks",
  2012, section 5: weights from N(0, 0.01^2); biases 0, but 1 in AlexNet's 2nd, 4th and 5th convolutions and in its
  hidden linear layers. Of other variants of AlexNet it is what their own source does, see `npalexnet.alexnet.VARIANTS`.
- "he": K. He et al., "Delving Deep into Rectifiers", 2015, equation 10: N(0, 2/fan_in), biases 0.
- "xavier": X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010,
  equation 16: U(-sqrt(6/(fan_in + fan_out)), sqrt(6/(fan_in + fan_out))), biases 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod, sqrt

import numpy as np

from npalexnet import backend
from npalexnet.layers.layer import Layer
from npalexnet.layers.parameter import Parameter

SCHEMES = ("torch", "paper", "he", "xavier")
Seed = int | np.random.Generator | None


def generator(seed: Seed) -> np.random.Generator:
    """Return a generator: a new one for an int (or, for None, an unpredictable one), or the given one itself."""
    if isinstance(seed, np.random.Generator):
        return seed
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer | None):
        raise TypeError(f"seed must be an int, a numpy.random.Generator or None, got {seed!r}")
    if seed is not None and seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
    return np.random.default_rng(seed)


def weight_and_bias(
    shape: tuple[int, ...], *, bias: bool, dtype: str | np.dtype, device: str, seed: Seed
) -> tuple[Parameter, Parameter | None]:
    """Make the parameters of a new layer by torch's default scheme: the bias has ``shape[0]`` elements.

    A convolution's weight, (O, C, kH, kW), lies in memory as (kH, kW, C, O): as the matrix that columns are multiplied
    with. A linear layer's, (out, in), lies as it is.
    """
    home, float_type, rng = backend.get_device(device), backend.float_dtype(dtype), generator(seed)
    bound = 1 / sqrt(max(1, prod(shape[1:])))
    values = _uniform(rng, bound, np.empty(shape, float_type))
    if len(shape) == 4:
        values = np.ascontiguousarray(values.transpose(2, 3, 1, 0)).transpose(3, 2, 0, 1)
    weight = Parameter(home.from_host(values))
    if not bias:
        return weight, None
    return weight, Parameter(home.from_host(_uniform(rng, bound, np.empty(shape[:1], float_type))))


def initialize(layer: Layer, scheme: str, seed: Seed = None) -> None:
    """Draw all parameters of a layer or model again, in place.

    Parameters
    ----------
    layer : Layer
        Parameters called ``weight`` are (fan_out, fan_in) or (out_channels, in_channels / groups, kH, kW); those called
        ``bias`` belong to the weight before them.
    scheme : {"torch", "paper", "he", "xavier"}
        See this module's references.
    seed : int, numpy.random.Generator or None
        Where the values come from.

    Raises
    ------
    ValueError
        For an unknown scheme; nothing is changed.
    """
    if scheme not in SCHEMES:
        raise ValueError(f"init must be one of {', '.join(map(repr, SCHEMES))}, got {scheme!r}")
    rng = generator(seed)
    fan_in = fan_out = 1
    for name, parameter in layer.named_parameters():
        if name.endswith("weight"):
            receptive_field = prod(parameter.shape[2:])
            fan_in, fan_out = parameter.shape[1] * receptive_field, parameter.shape[0] * receptive_field
            if scheme == "torch":
                _assign(parameter, _uniform(rng, 1 / sqrt(max(1, fan_in)), parameter))
            elif scheme == "xavier":
                _assign(parameter, _uniform(rng, sqrt(6 / (fan_in + fan_out)), parameter))
            else:
                _assign(parameter, _normal(rng, 0.01 if scheme == "paper" else sqrt(2 / fan_in), parameter))
        elif scheme == "torch":
            _assign(parameter, _uniform(rng, 1 / sqrt(max(1, fan_in)), parameter))
        else:
            _assign(parameter, np.zeros(parameter.shape, parameter.dtype))


def initialize_as(layer: Layer, initial: Sequence[tuple[float, float]], seed: Seed = None) -> None:
    """Draw all parameters again, in place: those of each layer that has any from its own (deviation, bias).

    Weights are from N(0, deviation^2), every bias is `bias`. Unless there are as many layers as pairs, that is a
    ValueError, and nothing is changed.
    """
    rng = generator(seed)
    layers = [leaf for _, leaf in layer.named_leaves() if next(leaf.parameters(), None) is not None]
    if len(layers) != len(initial):
        must = f"initial must have a pair for each of {len(layers)} layers with parameters"
        raise ValueError(f"{must}, got {len(initial)}")
    for leaf, (deviation, bias) in zip(layers, initial, strict=True):
        for name, parameter in leaf.named_parameters():
            is_weight = name.endswith("weight")
            values = (
                _normal(rng, deviation, parameter) if is_weight else np.full(parameter.shape, bias, parameter.dtype)
            )
            _assign(parameter, values)


def _uniform(rng: np.random.Generator, bound: float, like: Parameter | np.ndarray) -> np.ndarray:
    """Draw from U(-bound, bound), in shape and dtype of `like`."""
    values = rng.random(like.shape, dtype=like.dtype)
    values *= 2 * bound
    values -= bound
    return values


def _normal(rng: np.random.Generator, deviation: float, like: Parameter) -> np.ndarray:
    """Draw from N(0, deviation^2), in shape and dtype of `like`."""
    values = rng.standard_normal(like.shape, dtype=like.dtype)
    values *= deviation
    return values


def _assign(parameter: Parameter, values: np.ndarray) -> None:
    device = backend.device_of(parameter.data)
    with device.active():
        parameter.data[...] = device.from_host(values)
