"""Drift and relaxation: what age does to a programmed conductance.

One standard normal number a device decides its course, so a chip seen at two ages is one chip.
"""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor

from mapping.device import ClippedLog, Device, NoDrift, PowerLawDrift, Relaxation
from sim.devices.programming import polynomial


def clipped_log(law: ClippedLog, x: Tensor) -> Tensor:
    """clip(slope ln x + offset, low, high); x = 0 takes the limit."""
    tiny = torch.finfo(x.dtype).tiny  # ln 0 times a slope of 0 would be no number
    return x.clamp(min=tiny).log().mul_(law.slope).add_(law.offset).clamp_(law.low, law.high)


def relaxation_sigma(device: Device, x: Tensor, age_s: float) -> Tensor:
    """Standard deviation of the displacement in siemens at ``age_s`` after the reference time.

    Linear in ln t between the measured ages; held at the first before it and at the last beyond it, with a
    warning.
    """
    model = device.drift
    assert isinstance(model, Relaxation)
    time_s = max(device.reference_time_s + age_s, model.ages_s[0])
    if time_s > model.ages_s[-1] * 1.001:
        warnings.warn(
            f"device {device.name}: age {age_s:g} s is beyond the last measured age {model.ages_s[-1]:g} s: "
            f"its relaxation is held at that age",
            stacklevel=4,
        )
    later = next((i for i, age in enumerate(model.ages_s) if age >= time_s), len(model.ages_s) - 1)
    earlier = max(later - 1, 0)
    after = polynomial(model.coefficients_siemens[later], x).clamp_(min=0.0)
    if earlier == later or time_s >= model.ages_s[later]:
        return after
    before = polynomial(model.coefficients_siemens[earlier], x).clamp_(min=0.0)
    share = math.log(time_s / model.ages_s[earlier]) / math.log(model.ages_s[later] / model.ages_s[earlier])
    return before.lerp_(after, share)


def age(device: Device, programmed: Tensor, age_s: float, generator: torch.Generator) -> Tensor:
    """Conductances in siemens ``age_s`` seconds after the reference time (in place)."""
    model = device.drift
    if isinstance(model, NoDrift):
        return programmed
    course = torch.randn(programmed.shape, generator=generator)
    x = programmed / device.g_max_siemens
    if isinstance(model, Relaxation):
        return programmed.add_(course.mul_(relaxation_sigma(device, x, age_s))).clamp_(min=0.0)
    assert isinstance(model, PowerLawDrift)
    exponent = course.mul_(clipped_log(model.exponent_std, x)).add_(clipped_log(model.exponent_mean, x)).abs_()
    elapsed = math.log1p(age_s / device.reference_time_s)
    return programmed.mul_(exponent.mul_(-elapsed).exp_())
