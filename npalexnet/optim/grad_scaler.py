"""Loss scaling: small gradients survive float16."""

from __future__ import annotations

from typing import Any

from npalexnet import backend
from npalexnet.backend import Array
from npalexnet.checks import integer, number
from npalexnet.layers.parameter import Parameter
from npalexnet.optim.sgd import SGD

SMALLEST_SCALE = 2.0**-126  # float32's smallest with all of its bits: what it divides by can't be 0


class GradScaler:
    """Scales the loss so that float16 gradients don't become 0, as ``torch.amp.GradScaler``.

    Gradients below 6e-8 are 0 in float16, those above 65504 are infinite. So the loss's gradient is multiplied by a
    scale before it is rounded, and the parameters' are divided by it before they are used. Where one is not finite, the
    step is left out and the scale becomes smaller; after many good steps it becomes larger again::

        loss = criterion(model(images.astype("float16")), labels)
        optimizer.zero_grad()
        model.backward(criterion.backward(scaler.get_scale()))
        scaler.step(optimizer)
        scaler.update()

    bfloat16 has float32's range and needs no scaling.

    Parameters
    ----------
    init_scale : float
        The first scale.
    growth_factor, backoff_factor : float
        What the scale is multiplied by after good steps (above 1) and after one that was left out (below 1).
    growth_interval : int
        How many good steps in a row make the scale larger.
    enabled : bool
        False: the scale is 1, and every step is taken.

    References
    ----------
    P. Micikevicius et al., "Mixed Precision Training", 2018, section 3.2.
    """

    def __init__(
        self,
        *,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        _check_settings("init_scale", init_scale, growth_factor, backoff_factor, growth_interval)
        self._scale, self._growth_tracker = float(init_scale), 0
        self._growth_factor, self._backoff_factor = float(growth_factor), float(backoff_factor)
        self._growth_interval, self._enabled = int(growth_interval), bool(enabled)
        self._finite: bool | None = None  # whether the gradients divided since the last update were finite
        self._taken: bool | None = None  # whether the step since the last update was taken

    def get_scale(self) -> float:
        """Return what the loss's gradient has to be multiplied by: the argument of ``criterion.backward()``."""
        return self._scale if self._enabled else 1.0

    def unscale_(self, optimizer: SGD) -> None:
        """Divide all gradients by the scale, before they are clipped; if it is not called, `step` does it.

        Raises
        ------
        RuntimeError
            If it or `step` was called since the last `update`: the gradients have been divided already.
        TypeError, ValueError
            If a gradient doesn't fit its parameter; nothing is changed.
        """
        if not self._enabled:
            return
        if self._finite is not None:
            raise RuntimeError("GradScaler.unscale_() was called after a step() or an unscale_(): call update() first")
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        for parameter in parameters:
            parameter.check_gradient()
        self._finite = _unscale(parameters, 1 / self._scale)

    def step(self, optimizer: SGD) -> bool:
        """Divide all gradients by the scale and take the optimizer's step, unless a gradient is not finite.

        Returns
        -------
        bool
            Whether the step was taken.

        Raises
        ------
        RuntimeError
            If `step` was called since the last `update`.
        """
        if not self._enabled:
            optimizer.step()
            return True
        if self._taken is not None:
            raise RuntimeError("GradScaler.step() was called twice: call update() after each step")
        if self._finite is None:
            self.unscale_(optimizer)
        self._taken = self._finite
        if self._taken:
            optimizer.step()
        return bool(self._taken)

    def update(self) -> None:
        """Choose the next scale.

        Raises
        ------
        RuntimeError
            If `step` was not called since the last `update`.
        """
        if not self._enabled:
            return
        if self._taken is None:
            raise RuntimeError("GradScaler.update() needs a step() before it")
        self._growth_tracker = self._growth_tracker + 1 if self._taken else 0
        if not self._taken:
            self._scale = max(self._scale * self._backoff_factor, SMALLEST_SCALE)
        elif self._growth_tracker == self._growth_interval:
            self._scale, self._growth_tracker = self._scale * self._growth_factor, 0
        self._taken = self._finite = None

    def state_dict(self) -> dict[str, Any]:
        """Return the state for `load_state_dict`, under torch's names; empty if it is not enabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._growth_tracker,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that `state_dict` returned, here or in torch."""
        if not self._enabled:
            return
        if missing := sorted(set(self.state_dict()) - set(state)):
            raise ValueError(f"the state of a GradScaler needs {', '.join(missing)}, got {sorted(state)}")
        names = ("scale", "growth_factor", "backoff_factor", "growth_interval")
        _check_settings("scale", *(state[name] for name in names))
        for name in self.state_dict():
            setattr(self, f"_{name.lstrip('_')}", state[name])

    def __repr__(self) -> str:
        return f"GradScaler(scale={self.get_scale():g}, enabled={self._enabled})"


def _check_settings(scale_name: str, scale: float, growth: float, backoff: float, interval: int) -> None:
    if not 0 < number(scale_name, scale) < float("inf"):
        raise ValueError(f"{scale_name} must be above 0 and finite, got {scale}")
    if not 1 < number("growth_factor", growth) < float("inf"):
        raise ValueError(f"growth_factor must be above 1 and finite, got {growth}")
    if not 0 < number("backoff_factor", backoff) < 1:
        raise ValueError(f"backoff_factor must be between 0 and 1, got {backoff}")
    integer("growth_interval", interval, 1)


def _unscale(parameters: list[Parameter], factor: float) -> bool:
    """Multiply the gradients by `factor`; returns whether all are finite. The host waits once for each device."""
    flags: dict[backend.Device, list[Array]] = {}
    for parameter in parameters:
        device = backend.device_of(parameter.data)
        with device.active():
            out = device.xp.empty_like(parameter.grad)  # in the same order in memory
            parameter.grad = device.xp.multiply(parameter.grad, factor, out=out)
            flags.setdefault(device, []).append(device.xp.isfinite(parameter.grad).all())
    return all(all(device.read(*finite, dtype="bool")) for device, finite in flags.items())
