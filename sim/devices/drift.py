"""Drift and relaxation: what age does to a programmed conductance.

One standard normal number a device, its course, decides what becomes of it, so a chip seen at two ages is one chip.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from functools import singledispatch

import torch
from torch import Tensor

from mapping.device import Curve, Device, LogRelaxation, NoDrift, PowerLawDrift, Relaxation
from sim.devices.curves import evaluate, not_negative
from sim.devices.normal import normal_like


def age(device: Device, programmed: Tensor, age_s: float, generator: torch.Generator) -> Tensor:
    """Conductances in siemens ``age_s`` seconds after the reference time (in place).

    Draws one number a device whatever the age, none where there is no drift.
    """
    if isinstance(device.drift, NoDrift):
        return programmed
    course = normal_like(programmed, generator)
    return follow_(device.drift, device, programmed, course, age_s).clamp_(min=0.0)


@singledispatch
def follow_(law: object, device: Device, conductance: Tensor, course: Tensor, age_s: float) -> Tensor:
    """Move ``conductance`` along ``course`` to an age; both are overwritten. Not yet kept from going negative."""
    raise TypeError(f"{type(law).__name__}: no such drift law")


@follow_.register
def _(law: NoDrift, device: Device, conductance: Tensor, course: Tensor, age_s: float) -> Tensor:
    return conductance


@follow_.register
def _(law: PowerLawDrift, device: Device, conductance: Tensor, course: Tensor, age_s: float) -> Tensor:
    mean, spread = exponents(law, device, conductance)
    exponent = course.mul_(spread).add_(mean).abs_()
    elapsed = math.log1p(age_s / device.reference_time_s)
    return conductance.mul_(exponent.mul_(-elapsed).exp_())


@follow_.register
def _(law: Relaxation, device: Device, conductance: Tensor, course: Tensor, age_s: float) -> Tensor:
    mean, spread = displacement(law, device, conductance, age_s)
    conductance.add_(course.mul_(spread))
    return conductance if mean is None else conductance.add_(mean)


@follow_.register
def _(law: LogRelaxation, device: Device, conductance: Tensor, course: Tensor, age_s: float) -> Tensor:
    mean, spread = log_displacement(law, device, age_s)
    return conductance.add_(course, alpha=spread).add_(mean)


def exponents(law: PowerLawDrift, device: Device, conductance: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of nu, before its absolute value is taken."""
    x = conductance / device.g_max_siemens
    return (
        evaluate(law.exponent_mean, x, device.g_max_siemens),
        not_negative(law.exponent_std, x, device.g_max_siemens),
    )


def displacement(law: Relaxation, device: Device, conductance: Tensor, age_s: float) -> tuple[Tensor | None, Tensor]:
    """Shift of the mean (None: none) and spread in siemens around the programmed value at ``age_s``.

    Values of the curves are interpolated between the measured ages; held at the first before it and at the last
    beyond it, with a warning.
    """
    time_s = max(device.reference_time_s + age_s, law.ages_s[0])
    if time_s > law.ages_s[-1] * 1.001:
        warnings.warn(
            f"device {device.name}: age {age_s:g} s is beyond the last measured age {law.ages_s[-1]:g} s: "
            f"its relaxation is held at that age",
            stacklevel=6,  # whoever asked for a chip of that age
        )
    x = conductance / device.g_max_siemens
    earlier, later, share = between(law, time_s)

    def at_time(curves: Sequence[Curve], floor: float) -> Tensor:
        after = evaluate(curves[later], x, device.g_max_siemens).clamp_(min=floor)
        if share == 1.0:
            return after
        return evaluate(curves[earlier], x, device.g_max_siemens).clamp_(min=floor).lerp_(after, share)

    return at_time(law.mean_siemens, -math.inf) if law.mean_siemens else None, at_time(law.sigma_siemens, 0.0)


def between(law: Relaxation, time_s: float) -> tuple[int, int, float]:
    """The measured ages around a time, and how far it is from the earlier to the later; (i, i, 1) at or beyond one."""
    later = next((i for i, age in enumerate(law.ages_s) if age >= time_s), len(law.ages_s) - 1)
    earlier = max(later - 1, 0)
    start, end = law.ages_s[earlier], law.ages_s[later]
    if time_s >= end or earlier == later:
        return later, later, 1.0
    if law.interpolate == "linear":
        return earlier, later, (time_s - start) / (end - start)
    return earlier, later, math.log(time_s / start) / math.log(end / start)


def log_displacement(law: LogRelaxation, device: Device, age_s: float) -> tuple[float, float]:
    """Shift of the mean and spread in siemens around the programmed value at ``age_s``."""
    log_time = math.log(device.reference_time_s + age_s)
    mean, spread = (start + slope * log_time for start, slope in (law.mean_siemens, law.sigma_siemens))
    return mean, max(spread, 0.0)
