"""Modules: parameters, children, device placement, saving and loading."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np

from npalexnet import backend
from npalexnet.backend import Array
from npalexnet.layers.parameter import IncompatibleKeys, Parameter, copy_into


class Module:
    """The parameters and layers among an object's attributes, as ``torch.nn.Module``; `Layer` adds computation.

    Attributes
    ----------
    training : bool
        Training mode, in which `Dropout` drops; set by `train` and `eval`.
    """

    training: bool = True

    # --- what is inside --------------------------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Any]]:
        """Yield the layers directly inside this one, with their names."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield all parameters, the children's included, each once, under the names that torch gives them."""
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

    def named_leaves(self, prefix: str = "") -> Iterator[tuple[str, Any]]:
        """Yield the layers that hold no others, in the order of the forward pass, with their full names."""
        children = list(self.named_children())
        if not children:
            yield prefix.rstrip("."), self
        for name, child in children:
            yield from child.named_leaves(f"{prefix}{name}.")

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.grad = None

    @property
    def trainable(self) -> bool:
        """Whether any parameter, here or in the layers inside, is trainable."""
        return any(parameter.requires_grad for parameter in self.parameters())

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Make all parameters trainable, or not, as ``torch.nn.Module.requires_grad_``; return the layer."""
        for parameter in self.parameters():
            parameter.requires_grad = bool(requires_grad)
        return self

    def freeze(self, *names: str) -> Self:
        """Freeze parts: their parameters are not trained from here on; return the layer.

        A backward pass does not compute their gradients, and with ``input_gradient=False`` it ends at the lowest
        trainable layer. Their gradients so far are discarded, so that an optimizer leaves them alone, weight decay
        included. Dropout in them still drops in training. ``requires_grad_()`` makes all of it trainable again.

        Parameters
        ----------
        *names : str
            Of layers or parameters, as `named_parameters` gives them: ``"layers"``, ``"classifier.1"``,
            ``"layers.0.bias"``. Without any, everything is frozen.

        Raises
        ------
        ValueError
            If a name matches no parameter; nothing is changed.
        """
        chosen: list[Parameter] = []
        everything = list(self._all_names(""))
        for name in names or ("",):
            found = [p for full, p in everything if not name or full == name or full.startswith(f"{name}.")]
            if not found:
                known = ", ".join(dict.fromkeys(full.rpartition(".")[0] or full for full, _ in everything))
                parts = [child for child, layer in self.named_children() if next(layer.parameters(), None) is not None]
                who = type(self).__name__
                raise ValueError(
                    f"freeze expects names of parts with parameters of {who}: {', '.join(parts)}; or of their layers: "
                    f"{known}; got {name!r}"
                )
            chosen += found
        for parameter in chosen:
            parameter.requires_grad, parameter.grad = False, None
        return self

    def named_generators(self) -> Iterator[tuple[str, np.random.Generator]]:
        """Yield the generators of random numbers here and in the layers inside: `Dropout` has one."""
        for name, value in vars(self).items():
            if isinstance(value, np.random.Generator):
                yield name, value
        for name, child in self.named_children():
            for inner, value in child.named_generators():
                yield f"{name}.{inner}", value

    def train(self, mode: bool = True) -> Self:
        """Switch training mode on (or off), here and in all layers inside; return the layer."""
        self.training = bool(mode)
        for _, child in self.named_children():
            child.train(mode)
        return self

    def eval(self) -> Self:
        """Switch training mode off, here and in all layers inside; return the layer."""
        return self.train(False)

    # --- where it lives --------------------------------------------------------------------------------------------

    @property
    def device(self) -> str | None:
        """Name of the parameters' device; None without parameters, where any device will do."""
        first = next(self.parameters(), None)
        return None if first is None else backend.device_of(first.data).name

    @property
    def dtype(self) -> np.dtype | None:
        """The parameters' dtype; None without parameters, where any will do."""
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
        for _, child in self.named_children():
            child._forget_last_call()

    # --- saving and loading ----------------------------------------------------------------------------------------

    def state_dict(self, *, copy: bool = True) -> dict[str, np.ndarray]:
        """Return copies of all parameters' values, on the CPU, under torch's names and in torch's shapes.

        Without `copy`, the values themselves where that is possible: to be written to a file, say.
        """
        return {
            name: np.array(
                backend.device_of(parameter.data).to_host(parameter.data), order="C", copy=True if copy else None
            )
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
        return copy_into(dict(self._all_names("")), state, strict, who=type(self).__name__)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
