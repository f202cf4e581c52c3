"""Layers in a row, and which of them are computed together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any, cast

from npalexnet.backend import Array
from npalexnet.layers import sharding
from npalexnet.layers.activation import ReLU
from npalexnet.layers.conv import Conv2d
from npalexnet.layers.fused import WithReLU
from npalexnet.layers.layer import Layer
from npalexnet.layers.linear import Linear
from npalexnet.layers.parameter import Gradients, Shape
from npalexnet.layers.pooling import MaxPool2d


class Sequential(Layer):
    """Feeds each layer's output to the next, as ``torch.nn.Sequential``.

    Neighbouring layers that work image by image are computed together, shard by shard of the batch: a shard goes
    through all of them while it is in the cache. A `ReLU` directly before an unpadded `MaxPool2d` is computed after it:
    ``max(relu(a), relu(b)) = relu(max(a, b))``, gradients included, and there are fewer values left. Any other ReLU
    directly after a `Conv2d` or a `Linear` is fused with it, see `WithReLU`. So AlexNet's first, second and fifth
    convolutions run as convolution, pooling, ReLU; the others and the hidden linear layers are fused.

    Parameters
    ----------
    *layers : Layer
        In the order of the forward pass; named ``"0"``, ``"1"``, ...
    **named_layers : Layer
        After those; ``Sequential(layers=..., classifier=...)`` has them as attributes.
    """

    def __init__(self, *layers: Layer, **named_layers: Layer) -> None:
        children = {**{str(i): layer for i, layer in enumerate(layers)}, **named_layers}
        for name, layer in children.items():
            if not isinstance(layer, Layer):
                raise TypeError(f"Sequential expects layers, got {layer!r} as {_place(name)}")
            if hasattr(type(self), name):
                raise ValueError(f"Sequential can't name a layer {name!r}: that is an attribute")
        vars(self).update(children)
        self._arrange(list(self))

    def _arrange(self, layers: Sequence[Layer]) -> None:
        """Decide which layers are computed together, as stages."""
        stages = _fuse_relu(_swap_relu_and_pool(layers))
        self.per_image = all(layer.per_image for layer in layers)
        self._stages = stages if self.per_image else _group_per_image(stages)

    def compute(self, x: Array, noise: Any = None) -> tuple[Array, list[Any]]:
        """Forward through all layers; backward needs what each stage saved."""
        noise = noise or (None,) * len(self._stages)
        saved = []
        for stage, stage_noise in zip(self._stages, noise, strict=True):
            # Of a per-image Sequential, whoever calls it has divided the batch already.
            x, kept = stage.compute(x, stage_noise) if self.per_image else sharding.forward(stage, x, stage_noise)
            saved.append(kept)
        return x, saved

    def gradients(self, grad_y: Array, saved: list[Any]) -> tuple[Array, Gradients]:
        """Backward through all layers, last to first."""
        return self._gradients(grad_y, saved, input_gradient=True)

    def parameter_gradients(self, grad_y: Array, saved: list[Any]) -> Gradients:
        """Backward down to the lowest trainable layer, but not to its input."""
        return self._gradients(grad_y, saved, input_gradient=False)[1]

    def _gradients(self, grad_y: Array, saved: list[Any], input_gradient: bool) -> tuple[Array, Gradients]:
        gradients: Gradients = []
        trainable = [number for number, stage in enumerate(self._stages) if stage.trainable]
        lowest = 0 if input_gradient else min(trainable, default=len(self._stages))
        for number in reversed(range(lowest, len(self._stages))):
            stage, kept, needed = self._stages[number], saved[number], input_gradient or number > lowest
            if not self.per_image:
                grad_y, pairs = sharding.backward(stage, grad_y, kept, needed)
            elif needed:
                grad_y, pairs = stage.gradients(grad_y, kept)
            else:
                pairs = stage.parameter_gradients(grad_y, kept)
            gradients += pairs
        return grad_y, gradients

    def infer(self, x: Array, noise: Any = None) -> Array:
        """Forward through all layers, keeping nothing."""
        noise = noise or (None,) * len(self._stages)
        for stage, stage_noise in zip(self._stages, noise, strict=True):
            x = stage.infer(x, stage_noise) if self.per_image else sharding.infer(stage, x, stage_noise)
        return x

    def draw_noise(self) -> tuple[Any, ...]:
        """Draw the noise of each stage."""
        return tuple(stage.draw_noise() for stage in self._stages)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Pass the shape through all layers."""
        for layer in self:
            input_shape = layer.output_shape(input_shape)
        return input_shape

    def multiply_adds(self, input_shape: Shape) -> int:
        """Sum over the layers."""
        total = 0
        for layer in self:
            total += layer.multiply_adds(input_shape)
            input_shape = layer.output_shape(input_shape)
        return total

    def named_leaves(self, prefix: str = "") -> Iterator[tuple[str, Any]]:
        """Yield the layers that hold no others; an empty Sequential is not one of them."""
        return super().named_leaves(prefix) if len(self) else iter(())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[Layer]:
        return (layer for _, layer in self.named_children())

    def __getitem__(self, index: int | slice) -> Layer:
        """Return a layer or, for a slice, a Sequential of the same layers."""
        layers = list(self)
        return Sequential(*layers[index]) if isinstance(index, slice) else layers[index]

    def __setitem__(self, index: int, layer: Layer) -> None:
        """Replace a layer: ``model.classifier[6] = Linear(4096, 2)``.

        Make the optimizer afterwards: it knows the parameters that it was made with. What was saved for `backward` is
        discarded.

        Raises
        ------
        TypeError, IndexError
            If `layer` is not a layer, or `index` is not the number of one.
        ValueError
            If all layers are computed image by image and `layer` is not, or the other way round, because the enclosing
            model relies on it. Make a new Sequential of the layers.
        """
        if not isinstance(layer, Layer):
            raise TypeError(f"Sequential expects layers, got {layer!r}")
        if not isinstance(index, int):
            raise TypeError(f"Sequential takes one layer at a number's place, got the index {index!r}")
        children = dict(self.named_children())
        try:
            name = list(children)[index]
        except IndexError:
            raise IndexError(f"Sequential has layers 0 to {len(children) - 1}, got the index {index}") from None
        self._replace(name, layer)

    def __setattr__(self, name: str, value: Any) -> None:
        """Replace a named layer, as `__setitem__` does, or set an ordinary attribute."""
        if isinstance(value, Layer):
            self._replace(name, value)
        else:
            super().__setattr__(name, value)

    def _replace(self, name: str, layer: Layer) -> None:
        children = {**dict(self.named_children()), name: layer}
        if all(child.per_image for child in children.values()) != self.per_image:
            raise ValueError(
                f"Sequential is computed {'image by image' if self.per_image else 'on whole batches'}; with {layer!r} "
                f"as {_place(name)} it would not be: make a new Sequential of the layers instead"
            )
        vars(self)[name] = layer
        self._arrange(list(children.values()))
        self._forget_last_call()

    def __repr__(self) -> str:
        kind = type(self).__name__
        lines = [f"  ({name}): {layer!r}".replace("\n", "\n  ") for name, layer in self.named_children()]
        return "\n".join([f"{kind}(", *lines, ")"]) if lines else f"{kind}()"


def _place(name: str) -> str:
    """Return how error messages name a layer."""
    return f"number {name}" if name.isdecimal() else repr(name)


def _swap_relu_and_pool(layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers in the order in which they are computed.

    With padding the two can't be swapped: a window that is outside the image gives minus infinity, the ReLU makes it 0.
    """
    order = list(layers)
    for i, (first, second) in enumerate(pairwise(layers)):
        if type(first) is ReLU and type(second) is MaxPool2d and second.padding == (0, 0):
            order[i : i + 2] = second, first
    return order


def _fuse_relu(layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers, with each pair of a `Conv2d` or `Linear` and a `ReLU` after it fused."""
    stages: list[Layer] = []
    for layer in layers:
        last = stages[-1] if stages else None
        if type(layer) is ReLU and type(last) in (Conv2d, Linear):
            stages[-1] = WithReLU(cast("Conv2d | Linear", last))
        else:
            stages.append(layer)
    return stages


def _group_per_image(stages: Sequence[Layer]) -> list[Layer]:
    """Return the layers, with each run of per-image layers as one Sequential."""
    runs = [(per_image, list(run)) for per_image, run in groupby(stages, lambda layer: layer.per_image)]
    return [stage for alike, run in runs for stage in ([Sequential(*run)] if alike and len(run) > 1 else run)]
