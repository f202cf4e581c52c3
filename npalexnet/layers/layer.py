"""Layer: what every layer has in common.

A layer is written as a *pure core*, two methods that keep nothing on the layer:

- ``compute(x, noise)`` returns the output and what the backward pass needs;
- ``gradients(grad_y, saved)`` returns the input's gradient and a list of (parameter, gradient) pairs.

The *face*, ``layer(x)`` and ``layer.backward(grad_y)``, which remembers the last call and accumulates into ``.grad``,
is written once, here, on top of the core. So several threads can run the same core on shards of one batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Self

import numpy as np

from npalexnet import backend
from npalexnet.backend import Array
from npalexnet.layers import sharding
from npalexnet.layers.parameter import IncompatibleKeys, Parameter, Shape, copy_into


class Layer:
    """Base class of all layers and models.

    A layer of your own needs `compute` and `gradients`; its parameters and the layers inside it are found among its
    attributes. Where it has no `output_shape`, inputs are not checked before they are computed with.

    Attributes
    ----------
    training : bool
        Whether `Dropout` drops; set by `train` and `eval`.
    per_image : bool
        Whether each image of a batch is computed without regard to the others, so that the batch may be cut into
        shards. False unless a layer says otherwise.
    """

    training: bool = True
    per_image: bool = False
    _last_call: tuple[Any, ...] | None = None

    # --- the pure core ---------------------------------------------------------------------------------------------

    def compute(self, x: Array, noise: Any = None) -> tuple[Array, Any]:
        """Return the output and what `gradients` needs; changes nothing on the layer and nothing in `x`.

        `noise` is what `draw_noise` returned, or a part of it.
        """
        raise NotImplementedError(f"{type(self).__name__} has no compute()")

    def gradients(self, grad_y: Array, saved: Any) -> tuple[Array, list[tuple[Parameter, Array]]]:
        """Return the gradient of the input, and (parameter, gradient) pairs; changes nothing."""
        raise NotImplementedError(f"{type(self).__name__} has no gradients()")

    def parameter_gradients(self, grad_y: Array, saved: Any) -> list[tuple[Parameter, Array]]:
        """Return the (parameter, gradient) pairs of `gradients` alone; a layer may do this with less work."""
        return self.gradients(grad_y, saved)[1]

    def infer(self, x: Array, noise: Any = None) -> Array:
        """Return the output of `compute` alone."""
        return self.compute(x, noise)[0]

    def draw_noise(self) -> Any:
        """Draw the randomness of one forward pass: a `Noise`, a tuple of such, or None where there is none.

        A layer with layers inside that draw some overrides this, and hands each its part in `compute` and `infer`.
        """
        for name, child in self.named_children():
            if child.draw_noise() is not None:
                raise NotImplementedError(
                    f"{self._name()} has to override draw_noise(): its layer {name!r} draws noise"
                )
        return None

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the output; a ValueError says what is wrong with the input's."""
        raise NotImplementedError

    def multiply_adds(self, input_shape: Shape) -> int:
        """Return how many multiplications, each with an addition, a forward pass takes in its matrix products."""
        return sum(child.multiply_adds(input_shape) for _, child in self.named_children())

    # --- the face --------------------------------------------------------------------------------------------------

    def __call__(self, x: Array) -> Array:
        """Do the same as `forward`."""
        return self.forward(x)

    def forward(self, x: Array) -> Array:
        """Return the output and remember what `backward` needs.

        In eval mode only `x` is remembered, and `backward` computes the rest again: inference costs no memory. Arrays
        are remembered, not copied: `x`, the output and the parameters must not be written to before `backward`.

        Parameters
        ----------
        x : array
            The input, of any strides; it is never written to.

        Raises
        ------
        TypeError, ValueError
            If the layer can't work on `x`.
        """
        self._check_input(x)
        self._last_call = None  # frees what the last call kept, before this one needs its own
        with backend.device_of(x).active():
            noise = self.draw_noise()
            if self.training:
                y, saved = sharding.forward(self, x, noise)
            else:
                y, saved = sharding.infer(self, x, noise), None
        self._last_call = (x, y.shape, noise, saved)
        return y

    def backward(self, grad_y: Array, *, input_gradient: bool = True) -> Array | None:
        """Add every parameter's gradient to its `.grad` and return the gradient of the last forward call's input.

        Parameters
        ----------
        grad_y : array
            The gradient of the loss with respect to the output: of the output's shape, dtype and device.
        input_gradient : bool
            False saves the work for the input's gradient. Training needs none: the images are not learnt.

        Returns
        -------
        array or None
            The gradient of the loss with respect to the input, of the input's shape; None without `input_gradient`.

        Raises
        ------
        RuntimeError
            Without a forward call since the last backward.
        TypeError, ValueError
            If `grad_y` does not fit the output.
        """
        if self._last_call is None:
            raise RuntimeError(f"{self._name()}.backward() needs a forward call before it, one for each backward")
        x, output_shape, noise, saved = self._last_call
        device = backend.device_of(x)
        backend.check_array(grad_y, f"{self._name()}'s output gradient", dtype=x.dtype, device=device)
        if grad_y.shape != output_shape:
            raise ValueError(
                f"{self._name()}'s output gradient must have the output's shape {output_shape}, got {grad_y.shape}"
            )
        self._last_call = None
        with device.active():
            if saved is None:
                _, saved = sharding.forward(self, x, noise)
            grad_x, parameter_gradients = sharding.backward(self, grad_y, saved, input_gradient)
            for parameter, gradient in parameter_gradients:
                parameter.accumulate(gradient)
        return grad_x

    def _name(self) -> str:
        return type(self).__name__

    def _check_input(self, x: Array) -> None:
        backend.check_array(x, f"{self._name()}'s input")
        for name, parameter in self.named_parameters():
            here, there = backend.device_of(x), backend.device_of(parameter.data)
            if x.dtype != parameter.dtype:
                raise TypeError(
                    f"{self._name()}'s input is of dtype {x.dtype}, expected {parameter.dtype}, as its {name} is"
                )
            if here is not there:
                raise ValueError(
                    f"{self._name()}'s input is on {here.name!r}, expected it on {there.name!r}, as its {name} is"
                )
        with suppress(NotImplementedError):  # by a layer that does not tell, here or inside
            self.output_shape(x.shape)
        if not x.ndim:
            raise ValueError(f"{self._name()} expects a batch, got an input of shape ()")

    # --- what is inside --------------------------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Layer]]:
        """Yield the layers directly inside this one, with their names."""
        for name, value in vars(self).items():
            if isinstance(value, Layer):
                yield name, value

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield all parameters, those of the layers inside included, with names as torch gives them, each once."""
        seen = set()
        for name, parameter in self._all_names(""):
            if parameter not in seen:
                seen.add(parameter)
                yield name, parameter

    def parameters(self) -> Iterator[Parameter]:
        """Yield all parameters, each once."""
        return (parameter for _, parameter in self.named_parameters())

    def _all_names(self, prefix: str) -> Iterator[tuple[str, Parameter]]:
        """Yield every name of every parameter: one that two layers share has two."""
        for name, value in vars(self).items():
            if isinstance(value, Parameter):
                yield prefix + name, value
        for name, child in self.named_children():
            yield from child._all_names(f"{prefix}{name}.")

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.grad = None

    def train(self, mode: bool = True) -> Self:
        """Switch training mode on (or off), here and in all layers inside; returns the layer."""
        self.training = bool(mode)
        for _, child in self.named_children():
            child.train(mode)
        return self

    def eval(self) -> Self:
        """Switch training mode off, here and in all layers inside; returns the layer."""
        return self.train(False)

    # --- where it lives --------------------------------------------------------------------------------------------

    @property
    def device(self) -> str | None:
        """Name of the parameters' device; None without parameters, where any device will do."""
        first = next(self.parameters(), None)
        return None if first is None else backend.device_of(first.data).name

    @property
    def dtype(self) -> np.dtype | None:
        """The parameters' dtype; None without parameters, where float32 and float64 will do."""
        first = next(self.parameters(), None)
        return None if first is None else first.dtype

    def to(self, device: str) -> Self:
        """Move all parameters and their gradients to `device` (see `AlexNet`); returns the layer.

        What `backward` needs of an earlier forward call is forgotten.
        """
        target = backend.get_device(device)

        def moved(array: Array | None) -> Array | None:
            if array is None or target.owns(array):
                return array
            return target.from_host(backend.device_of(array).to_host(array))

        everything = [(p, moved(p.data), moved(p.grad)) for p in self.parameters()]  # all or, if one fails, none
        for parameter, data, grad in everything:
            parameter.data, parameter.grad = data, grad
        self._forget_last_call()
        return self

    def _forget_last_call(self) -> None:
        self._last_call = None
        for _, child in self.named_children():
            child._forget_last_call()

    # --- saving and loading ----------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return copies of all parameters' values, on the CPU, under torch's names and in torch's shapes."""
        return {
            name: np.array(backend.device_of(parameter.data).to_host(parameter.data), order="C")
            for name, parameter in self._all_names("")
        }

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Copy values into the parameters; all of `state` is checked before any of it is taken.

        Parameters
        ----------
        state : mapping
            From names to arrays: what `state_dict` returned here, or torch's for the same network.
        strict : bool
            Whether `state` must have exactly the names of this layer's parameters.

        Returns
        -------
        IncompatibleKeys
            The missing and the unexpected names; both are empty where `strict` is True.

        Raises
        ------
        TypeError
            If `state` is no mapping, or holds what is not a numeric array.
        ValueError
            If the names (with `strict`) or shapes don't fit; the message lists all that don't.
        """
        return copy_into(dict(self._all_names("")), state, strict, who=self._name())

    def __repr__(self) -> str:
        return f"{self._name()}()"
