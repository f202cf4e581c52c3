"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any

import numpy as np

from npalexnet import backend, checks
from npalexnet.backend import Array, primitive
from npalexnet.layers.parameter import Parameter, check_parameters, host_array


class SGD:
    """Gradient descent with momentum, Nesterov's momentum and weight decay, by torch's rule.

    For each parameter with a gradient g::

        g = g + weight_decay * parameter
        v = momentum * v + g                    # v is 0 before the first step
        g = g + momentum * v  if nesterov else  v
        parameter = parameter - lr * g

    Parameters
    ----------
    parameters : iterable of Parameter, or of dict
        What to train. Dicts are groups: ``{"params": [...], "lr": 0.01, ...}`` with their own settings; what a group
        does not set is taken from the arguments below.
    lr : float
        The learning rate.
    momentum : float
        Fraction of the last step that is kept.
    weight_decay : float
        Factor of the L2 penalty's gradient.
    nesterov : bool
        Whether to look ahead along the momentum.

    Attributes
    ----------
    param_groups : list of dict
        The groups; their settings may be changed between steps: ``optimizer.param_groups[0]["lr"] = 0.001``.

    References
    ----------
    I. Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013; the learning rate
    multiplies the velocity when it is applied, not when it is built, as in torch.
    """

    def __init__(
        self,
        parameters: Iterable[Parameter] | Iterable[dict[str, Any]],
        lr: float,
        momentum: float = 0.0,
        *,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        if isinstance(parameters, Parameter | dict) or not isinstance(parameters, Iterable):
            raise TypeError(f"parameters must be an iterable of parameters or of groups, got {parameters!r}")
        given: list[Any] = list(parameters)
        if not given:
            raise ValueError("parameters must not be empty: there is nothing to train")
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "nesterov": nesterov}
        groups = given if all(isinstance(group, dict) for group in given) else [{"params": given}]
        self.param_groups = [_checked_group(group, defaults) for group in groups]
        everything = self._all_parameters()
        if len(set(everything)) != len(everything):
            raise ValueError("parameters must not hold a parameter twice")
        self._velocity: dict[Parameter, Array] = {}

    def step(self) -> None:
        """Change every parameter that has a gradient.

        Raises
        ------
        ValueError
            If a setting of a group is out of range, or a gradient doesn't fit its parameter; nothing is changed.
        """
        for group in self.param_groups:
            _check_settings(group)
            for parameter in group["params"]:
                self._check_gradient(parameter)
        for group in self.param_groups:
            on: dict[backend.Device, list[Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    on.setdefault(backend.device_of(parameter.data), []).append(parameter)
            settings = {name: value for name, value in group.items() if name != "params"}
            for device, parameters in on.items():
                with device.active():
                    velocities = [self._velocity_of(p) if group["momentum"] else None for p in parameters]
                    sgd([(p.data, p.grad, v) for p, v in zip(parameters, velocities, strict=True)], **settings)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self._all_parameters():
            parameter.grad = None

    def state_dict(self, *, copy: bool = True) -> dict[str, Any]:
        """Return settings and velocities, in torch's form.

        Returns
        -------
        dict
            ``"param_groups"``: the groups, with numbers in the place of their parameters, counted through all groups;
            ``"state"``: maps such a number to ``{"momentum_buffer": ndarray}``, a copy on the CPU of that parameter's
            velocity, in the shape of the parameter; one that was never stepped with momentum has none. Without `copy`,
            the velocity itself where that is possible.
        """
        numbers = {parameter: number for number, parameter in enumerate(self._all_parameters())}
        groups = [{**group, "params": [numbers[p] for p in group["params"]]} for group in self.param_groups]
        velocities = {
            numbers[parameter]: {
                "momentum_buffer": np.array(
                    backend.device_of(array).to_host(array), order="C", copy=True if copy else None
                )
            }
            for parameter, array in self._velocity.items()
        }
        return {"state": dict(sorted(velocities.items())), "param_groups": groups}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state that `state_dict` returned for the same parameters in the same order, here or in torch.

        Raises
        ------
        ValueError
            If groups, parameters or shapes don't fit; nothing is changed.
        """
        if missing := {"state", "param_groups"} - set(state):
            raise ValueError(f"the state of an SGD needs 'state' and 'param_groups', got no {sorted(missing)}")
        sizes = [len(group["params"]) for group in self.param_groups]
        given = [len(group["params"]) for group in state["param_groups"]]
        if given != sizes:
            raise ValueError(f"the state must have groups of {sizes} parameters, got {given}")
        settings = [_settings_in(group) for group in state["param_groups"]]
        order = [number for group in state["param_groups"] for number in group["params"]]
        velocities: dict[Parameter, np.ndarray] = {}
        for parameter, number in zip(self._all_parameters(), order, strict=True):
            velocity = state["state"].get(number, {}).get("momentum_buffer")
            if velocity is None:
                continue
            velocity = host_array(f"the velocity of parameter {number}", velocity)
            if velocity.shape != parameter.shape:
                raise ValueError(
                    f"the velocity of parameter {number} must be of shape {parameter.shape}, got {velocity.shape}"
                )
            velocities[parameter] = velocity
        for group, values in zip(self.param_groups, settings, strict=True):
            group.update(values)
        self._velocity = {}
        for parameter, velocity in velocities.items():
            device = backend.device_of(parameter.data)
            with device.active():
                host = velocity.astype(parameter.dtype, copy=False)
                self._velocity_of(parameter)[...] = device.from_host(host)

    def _all_parameters(self) -> list[Parameter]:
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def _velocity_of(self, parameter: Parameter) -> Array:
        if parameter not in self._velocity:
            self._velocity[parameter] = backend.array_module(parameter.data).zeros_like(parameter.data)
        return self._velocity[parameter]

    def _check_gradient(self, parameter: Parameter) -> None:
        if parameter.grad is None:
            return
        parameter.check_gradient()
        device, velocity = backend.device_of(parameter.data), self._velocity.get(parameter)
        if isinstance(parameter.data, np.ndarray) and not parameter.data.flags.writeable:
            raise ValueError(
                f"a parameter of shape {parameter.shape} is read-only: give it a copy, parameter.data = "
                "parameter.data.copy()"
            )
        if velocity is not None and not device.owns(velocity):
            raise ValueError(
                f"a parameter was moved to {device.name!r} after its first step; make a new SGD after model.to()"
            )


@primitive
def sgd(
    parameters: list[tuple[Array, Array, Array | None]], *, lr: float, momentum: float, weight_decay: float,
    nesterov: bool,
) -> None:  # fmt: skip
    """Update all of (data, grad, velocity) of one device by the rule of `SGD`; without momentum, velocity is None."""
    device = backend.device_of(parameters[0][0])
    xp = device.xp

    def update(data: Array, grad: Array, velocity: Array | None) -> None:
        step = device.scratch("SGD", data.shape, data.dtype)
        if weight_decay:
            grad = xp.add(grad, xp.multiply(data, weight_decay, out=step), out=step)
        if velocity is not None:
            velocity *= momentum
            velocity += grad
            grad = xp.add(grad, momentum * velocity, out=step) if nesterov else velocity
        data -= xp.multiply(grad, lr, out=step)

    for data, grad, velocity in parameters:
        device.for_each_block(update, data, grad, velocity)


def _checked_group(group: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Return a group with all its settings."""
    if "params" not in group:
        raise ValueError(f"a parameter group needs 'params', got {sorted(group)}")
    if unknown := sorted(set(group) - {"params", *defaults}):
        raise ValueError(f"a parameter group takes 'params', {', '.join(map(repr, defaults))}, got {unknown}")
    parameters = check_parameters([group["params"]] if isinstance(group["params"], Parameter) else group["params"])
    for parameter in parameters:
        backend.check_array(parameter.data, "a parameter's data")
    group = {**defaults, **group, "params": parameters}
    _check_settings(group)
    return group


def _settings_in(group: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings in a saved group; torch's groups have more of them."""
    values = {name: group[name] for name in ("lr", "momentum", "weight_decay", "nesterov") if name in group}
    if group.get("dampening") or group.get("maximize"):
        raise ValueError("the state uses torch's dampening or maximize, which this SGD does not have")
    _check_settings({"lr": 0.0, "momentum": 0.0, "weight_decay": 0.0, "nesterov": False, **values})
    return values


def _check_settings(group: dict[str, Any]) -> None:
    for name in ("lr", "momentum", "weight_decay"):
        value = checks.number(name, group[name])
        if not (isfinite(value) and value >= 0):
            raise ValueError(f"{name} must be finite and not negative, got {group[name]}")
        group[name] = value
    if group["nesterov"] and not group["momentum"]:
        raise ValueError("nesterov needs a momentum above 0, got 0")
