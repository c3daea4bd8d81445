"""Learning by pulses: what one pulse does to each device, in weight units; formulas in mapping/device/update.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch

import torch
from torch import Tensor

from mapping.device import ConstantStep, Device, ExpStep, LinearStep, NoUpdate, PulsedUpdate, SoftBounds


@dataclass
class Responses:
    """How each device of an array answers pulses.

    Tensors have the array's shape; a value that all devices share takes no memory.

    Attributes:
        up, down: steps at w = 0.
        low, high: bounds of the weight as it is read.
        slope_up, slope_down: change of the step (or, for exp-step, of z) with the weight, or None.
        reference: what is subtracted from the device's own value v = w + reference, or None.
        hidden: weights that pulses move, where what is read has write noise on top; None before the first pulse.
    """

    up: Tensor
    down: Tensor
    low: Tensor
    high: Tensor
    slope_up: Tensor | None = None
    slope_down: Tensor | None = None
    reference: Tensor | None = None
    hidden: Tensor | None = None


def draw(update: NoUpdate | PulsedUpdate, shape: Sequence[int], generator: torch.Generator) -> Responses:
    """Draw the parameters of ``shape`` devices, float32 on the generator's torch device.

    Raises:
        ValueError: for devices that have no update law.
    """
    law = pulsed(update)
    chance = Chance(tuple(shape), generator)
    high = chance.around(law.w_max, law.w_max * law.w_max_spread).abs()
    low = chance.around(law.w_min, law.w_min * law.w_min_spread).abs().neg()
    gain = chance.around(0.0 if law.step_spread_log_normal else 1.0, law.step_spread)
    gain = gain.exp() if law.step_spread_log_normal else gain
    lean = chance.around(0.0, law.asymmetry_spread)
    up = (gain + (min(law.asymmetry, 0.0) + lean)).mul_(law.step).abs_()
    down = (gain - (max(law.asymmetry, 0.0) + lean)).mul_(law.step).abs_()
    if law.corrupt.share > 0.0:
        corrupt = chance.uniform() < law.corrupt.share
        fixed = chance.uniform().mul_(2.0).sub_(1.0).mul_(law.corrupt.reach).clamp_(low, high)
        low, high = torch.where(corrupt, fixed, low), torch.where(corrupt, fixed, high)
        up, down = torch.where(corrupt, 0.0, up), torch.where(corrupt, 0.0, down)
    responses = shaped(law, Responses(up, down, low, high), chance)
    for name, value in vars(responses).items():
        if value is not None:
            setattr(responses, name, value.expand(chance.shape))
    return responses


def start_(update: NoUpdate | PulsedUpdate, responses: Responses, w: Tensor) -> Tensor:
    """Take over weights that were written by other means: clip them to each device's bounds, in place."""
    w.clamp_(responses.low, responses.high)
    responses.hidden = w.clone() if pulsed(update).write_noise > 0.0 else None
    return w


def pulse_(
    update: NoUpdate | PulsedUpdate, responses: Responses, w: Tensor, direction: Tensor, generator: torch.Generator
) -> Tensor:
    """One pulse a device, in place on the weights ``w``.

    Args:
        direction: 1 up, -1 down, 0 no pulse; a device without a pulse keeps its weight.

    Raises:
        ValueError: for a down pulse on devices that only go up, and for devices without an update law.
    """
    law = pulsed(update)
    if law.one_sided and bool((direction < 0).any()):
        raise ValueError("a down pulse on devices that only go up: use a pair of devices")
    if law.write_noise > 0.0 and responses.hidden is None:
        responses.hidden = w.clone()
    held = w if responses.hidden is None else responses.hidden
    up, touched = direction > 0, direction != 0
    change = signed_change(law, responses, held, up, generator)
    moved = change.add_(held).clamp_(responses.low, responses.high)
    torch.where(touched, moved, held, out=held)
    if responses.hidden is not None:
        seen = torch.randn(w.shape, generator=generator, dtype=w.dtype, device=w.device)
        seen.mul_(law.write_noise * law.step).add_(held)
        torch.where(touched, seen, w, out=w)
    return w


def to_weight(device: Device, conductance: Tensor) -> Tensor:
    """Weights of conductances in siemens: g_min is w_min, g_max is w_max."""
    law, per_siemens = pulsed(device.update), weight_per_siemens(device)
    return (conductance - device.g_min_siemens).mul_(per_siemens).add_(law.w_min)


def to_siemens(device: Device, w: Tensor) -> Tensor:
    """Conductances of weights; those beyond the window are kept, but not below 0."""
    law, per_siemens = pulsed(device.update), weight_per_siemens(device)
    return (w - law.w_min).div_(per_siemens).add_(device.g_min_siemens).clamp_(min=0.0)


def weight_per_siemens(device: Device) -> float:
    law = pulsed(device.update)
    return (law.w_max - law.w_min) / (device.g_max_siemens - device.g_min_siemens)


def pulsed(update: NoUpdate | PulsedUpdate) -> PulsedUpdate:
    if isinstance(update, PulsedUpdate):
        return update
    raise ValueError("devices without an update law cannot be pulsed: expected update in the device description")


@dataclass(frozen=True)
class Chance:
    """Draws for one array; what all devices share is one number, without a draw."""

    shape: tuple[int, ...]
    generator: torch.Generator

    def around(self, mean: float, spread: float) -> Tensor:
        if spread == 0.0:
            return torch.tensor(mean, device=self.generator.device)
        return torch.randn(self.shape, generator=self.generator, device=self.generator.device).mul_(spread).add_(mean)

    def uniform(self) -> Tensor:
        return torch.rand(self.shape, generator=self.generator, device=self.generator.device)


@singledispatch
def shaped(law: object, responses: Responses, chance: Chance) -> Responses:
    """What a law draws on top of steps and bounds."""
    raise TypeError(f"{type(law).__name__}: no such update law")


@shaped.register
def _(law: ConstantStep, responses: Responses, chance: Chance) -> Responses:
    return responses


@shaped.register
def _(law: LinearStep, responses: Responses, chance: Chance) -> Responses:
    responses.slope_up = chance.around(law.gamma_up, law.gamma_up_spread).abs() / law.w_max
    down = chance.around(law.gamma_down, law.gamma_down_spread).abs()
    responses.slope_down = down / law.w_min if law.w_min < 0.0 else torch.zeros_like(down)
    return responses


@shaped.register
def _(law: SoftBounds, responses: Responses, chance: Chance) -> Responses:
    low, high = responses.low, responses.high
    responses.slope_up = torch.where(high > 0.0, 1.0 / high, 0.0)
    responses.slope_down = torch.where(low < 0.0, 1.0 / low, 0.0)
    if not law.symmetry_point and law.reference_spread == 0.0:
        return responses
    reference = chance.around(0.0, law.reference_spread)
    if law.symmetry_point:
        up, down = responses.up, responses.down
        sum_of_slopes = up * responses.slope_up - down * responses.slope_down
        reference = reference + torch.where(sum_of_slopes > 0.0, (up - down) / sum_of_slopes, 0.0)
    responses.reference = reference
    responses.low, responses.high = low - reference, high - reference
    return responses


@shaped.register
def _(law: ExpStep, responses: Responses, chance: Chance) -> Responses:
    span = responses.high - responses.low
    responses.slope_up = responses.slope_down = torch.where(span > 0.0, 2.0 * law.slope / span, 0.0)
    return responses


@singledispatch
def signed_change(law: object, responses: Responses, w: Tensor, up: Tensor, generator: torch.Generator) -> Tensor:
    """What a pulse adds to each weight: an up pulse where ``up``, a down pulse elsewhere. A new tensor."""
    raise TypeError(f"{type(law).__name__}: no such update law")


@signed_change.register
def _(law: ConstantStep, responses: Responses, w: Tensor, up: Tensor, generator: torch.Generator) -> Tensor:
    change = torch.where(up, responses.up, -responses.down)
    return noisy(change, change, law.step_noise, generator)


@signed_change.register(LinearStep)
@signed_change.register(SoftBounds)
def _(law: LinearStep | SoftBounds, responses: Responses, w: Tensor, up: Tensor, generator: torch.Generator) -> Tensor:
    assert responses.slope_up is not None
    assert responses.slope_down is not None
    at_zero = torch.where(up, responses.up, -responses.down)
    value = w if responses.reference is None else w + responses.reference
    change = torch.where(up, responses.slope_up, responses.slope_down).mul_(value).neg_().add_(1.0).mul_(at_zero)
    return noisy(change, change if law.noise == "multiplicative" else at_zero, law.step_noise, generator)


@signed_change.register
def _(law: ExpStep, responses: Responses, w: Tensor, up: Tensor, generator: torch.Generator) -> Tensor:
    assert responses.slope_up is not None
    z = (responses.slope_up * w).add_(law.offset)
    rising = responses.up * (z * law.exponent_up).exp_().mul_(-law.amplitude_up).add_(1.0).clamp_(min=0.0)
    falling = responses.down * z.mul_(-law.exponent_down).exp_().mul_(-law.amplitude_down).add_(1.0).clamp_(min=0.0)
    change = torch.where(up, rising, falling.neg_())
    if law.noise_constant == law.noise_slope == 0.0:
        return noisy(change, change, law.step_noise, generator)
    size = change.abs().add_(law.noise_constant).add_(w.abs(), alpha=law.noise_slope)
    return noisy(change, size, law.step_noise, generator)


def noisy(change: Tensor, size: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """change + noise * size * N."""
    if noise == 0.0:
        return change
    fresh = torch.randn(change.shape, generator=generator, dtype=change.dtype, device=change.device)
    return fresh.mul_(noise).mul_(size).add_(change)
