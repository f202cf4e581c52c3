"""The base class of all layers.

A layer is written as a *stateless core*, two methods that change nothing on the layer:

- ``compute(x, noise)`` returns the output and what the backward pass needs, `saved`;
- ``gradients(grad_y, saved)`` returns the input's gradient and a list of (parameter, gradient) pairs.

`noise` is the randomness of a forward pass, for `Dropout`; elsewhere it is None, or passed on to the layers inside.

The *public interface*, ``layer(x)`` and ``layer.backward(grad_y)``, is written once, here, on top of the core: it
remembers the last call and accumulates into ``.grad``. Because the core is stateless, several threads can run it on
shards of one batch.

Images are (N, C, H, W), stored channels last. With 16-bit inputs, parameters are cast to the input's dtype, and sums
are accumulated in float32: that is what ``astype(..., copy=False)`` and `accumulation_dtype` are for, in all layers.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from npalexnet import backend
from npalexnet.backend import Array
from npalexnet.layers import sharding
from npalexnet.layers.module import Module
from npalexnet.layers.parameter import Gradients, Shape


class Layer(Module):
    """Base class of all layers and models.

    A custom layer needs `compute` and `gradients`; its parameters and the layers inside it are found among its
    attributes. If it has no `output_shape`, input shapes are not checked. 16-bit inputs are accepted with float32
    parameters: cast these to the input's dtype, else the output is float32.

    Attributes
    ----------
    per_image : bool
        Whether each image of a batch is computed independently, so that the batch may be split into shards. False by
        default.
    """

    per_image: bool = False
    _last_call: tuple[Any, ...] | None = None

    # --- the stateless core ----------------------------------------------------------------------------------------

    def compute(self, x: Array, noise: Any = None) -> tuple[Array, Any]:
        """Return the output and what `gradients` needs; modify neither the layer nor `x`.

        `noise` is what `draw_noise` returned, for these images.
        """
        raise NotImplementedError(f"{type(self).__name__} has no compute()")

    def gradients(self, grad_y: Array, saved: Any) -> tuple[Array, Gradients]:
        """Return the gradient of the input, and (parameter, gradient) pairs; modify nothing."""
        raise NotImplementedError(f"{type(self).__name__} has no gradients()")

    def parameter_gradients(self, grad_y: Array, saved: Any) -> Gradients:
        """Return only the (parameter, gradient) pairs of `gradients`; a layer may do this with less work."""
        return self.gradients(grad_y, saved)[1]

    def infer(self, x: Array, noise: Any = None) -> Array:
        """Return only the output of `compute`."""
        return self.compute(x, noise)[0]

    def draw_noise(self) -> Any:
        """Draw the randomness of one forward pass: a `Noise`, a tuple with an entry for each layer inside, or None.

        A container whose layers draw noise must override this, and pass each its entry in `compute` and `infer`.
        """
        for name, child in self.named_children():
            if child.draw_noise() is not None:
                raise NotImplementedError(
                    f"{type(self).__name__} has to override draw_noise(): its layer {name!r} draws noise"
                )
        return None

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the output, or raise a ValueError that says what is wrong with the input's."""
        raise NotImplementedError

    def multiply_adds(self, input_shape: Shape) -> int:
        """Return the number of multiply-adds in the matrix products of a forward pass."""
        return sum(child.multiply_adds(input_shape) for _, child in self.named_children())

    # --- the public interface --------------------------------------------------------------------------------------

    def __call__(self, x: Array) -> Array:
        """Call `forward`."""
        return self.forward(x)

    def forward(self, x: Array) -> Array:
        """Return the output and remember what `backward` needs.

        In eval mode only `x` is remembered, and `backward` computes the rest again: inference costs no memory. Arrays
        are remembered, not copied: `x`, the output and the parameters must not be written to before `backward`.

        Parameters
        ----------
        x : array
            The input, with any strides; it is never written to.

        Raises
        ------
        TypeError, ValueError
            If the layer can't work on `x`.
        """
        x = self._check_input(x)
        self._last_call = None  # frees what the last call saved, before this one needs memory
        with backend.device_of(x).active():
            noise = self.draw_noise()
            if self.training:
                y, saved = sharding.forward(self, x, noise)
            else:
                y, saved = sharding.infer(self, x, noise), None
        self._last_call = (x, y.shape, y.dtype, noise, saved)
        return y

    def backward(self, grad_y: Array, *, input_gradient: bool = True) -> Array | None:
        """Add every parameter's gradient to its `.grad` and return the gradient of the last forward call's input.

        Parameters
        ----------
        grad_y : array
            The gradient of the loss with respect to the output: of the output's shape, dtype and device.
        input_gradient : bool
            False skips the input's gradient, which training does not need.

        Returns
        -------
        array or None
            The gradient of the loss with respect to the input, of the input's shape; None without `input_gradient`.

        Raises
        ------
        RuntimeError
            If there was no forward call since the last backward.
        TypeError, ValueError
            If `grad_y` does not fit the output.
        """
        who = type(self).__name__
        if self._last_call is None:
            raise RuntimeError(f"{who}.backward() needs a forward call before it, one for each backward")
        x, output_shape, output_dtype, noise, saved = self._last_call
        device = backend.device_of(x)
        grad_y = backend.check_array(grad_y, f"{who}'s output gradient", dtype=output_dtype, device=device)
        if grad_y.shape != output_shape:
            raise ValueError(f"{who}'s output gradient must have the output's shape {output_shape}, got {grad_y.shape}")
        self._last_call = None
        with device.active():
            if saved is None:
                _, saved = sharding.forward(self, x, noise)
            grad_x, parameter_gradients = sharding.backward(self, grad_y, saved, input_gradient)
            for parameter, gradient in parameter_gradients:
                parameter.accumulate(gradient)
        return grad_x

    def _check_input(self, x: Array) -> Array:
        """Return the input as a plain array; raise if the layer can't work on it."""
        who = f"{type(self).__name__}'s input"
        for name, parameter in self._all_names(""):
            there, dtype = backend.device_of(parameter.data), parameter.data.dtype
            x = backend.check_array(x, who, dtype=dtype, device=there, half=True, because=f", as its {name} is")
        x = backend.check_array(x, who)
        with suppress(NotImplementedError):  # here, or of a layer inside
            self.output_shape(x.shape)
        if not x.ndim:
            raise ValueError(f"{type(self).__name__} expects a batch, got an input of shape ()")
        return x

    def _forget_last_call(self) -> None:
        self._last_call = None
        super()._forget_last_call()
