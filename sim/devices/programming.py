"""Programming: the conductance a device takes when asked for one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import singledispatch

import torch
from torch import Tensor

from mapping.device import Device, ExactProgramming, GaussianProgramming, WriteVerify
from mapping.device.curve import is_nothing
from sim.devices.curves import not_negative
from sim.devices.normal import normal_like


@dataclass(frozen=True)
class Programmed:
    """What programming left.

    Attributes:
        conductance: siemens, the shape of the targets.
        attempts: mean number of writes a device.
        failed: devices that write-verify gave up.
        own: each device's own standard normal number, the part of its error that returns at every write; None where
            the law has no such part.
    """

    conductance: Tensor
    attempts: float
    failed: int
    own: Tensor | None


def program(device: Device, target: Tensor, generator: torch.Generator, own: Tensor | None = None) -> Programmed:
    """Write ``target`` (siemens) to devices; conductances are kept from going negative.

    Args:
        own: hand in :attr:`Programmed.own` to write the same devices again; None: other devices.
    """
    share = getattr(device.programming, "device_to_device", 0.0)
    if share > 0.0 and own is None:
        own = normal_like(target, generator)
    return write(device.programming, device, target, generator, own if share > 0.0 else None)


def sigma(device: Device, target: Tensor) -> Tensor:
    """Standard deviation in siemens of what one write leaves, for targets in siemens."""
    if isinstance(device.programming, ExactProgramming):
        return torch.zeros_like(target)
    return not_negative(device.programming.sigma_siemens, target / device.g_max_siemens, device.g_max_siemens)


@singledispatch
def write(law: object, device: Device, target: Tensor, generator: torch.Generator, own: Tensor | None) -> Programmed:
    raise TypeError(f"{type(law).__name__}: no such programming law")


@write.register
def _(
    law: ExactProgramming, device: Device, target: Tensor, generator: torch.Generator, own: Tensor | None
) -> Programmed:
    return Programmed(target.clone(), attempts=1.0, failed=0, own=None)


@write.register
def _(
    law: GaussianProgramming, device: Device, target: Tensor, generator: torch.Generator, own: Tensor | None
) -> Programmed:
    written = attempt(target, sigma(device, target), own, law.device_to_device, generator)
    return Programmed(written, attempts=1.0, failed=0, own=own)


@write.register
def _(law: WriteVerify, device: Device, target: Tensor, generator: torch.Generator, own: Tensor | None) -> Programmed:
    # Closed form without a verify error and a part of the device's own: an attempt is accepted with the
    # probability p = erf(tolerance / (sigma sqrt 2)), attempts are geometric, failures (1 - p)^max_attempts.
    aims, deviations = target.flatten(), sigma(device, target).flatten()
    owns = None if own is None else own.flatten()
    conductance = aims.clone()
    waiting = torch.arange(aims.numel(), device=aims.device)
    writes = 0
    for _ in range(law.max_attempts):
        aim = aims[waiting]
        part = None if owns is None else owns[waiting]
        written = attempt(aim, deviations[waiting], part, law.device_to_device, generator)
        conductance[waiting] = written
        writes += waiting.numel()
        missed = (verify(law, device, written, generator) - aim).abs_() > law.tolerance_siemens
        waiting = waiting[missed]
        if waiting.numel() == 0:
            break
    return Programmed(conductance.view_as(target), writes / max(aims.numel(), 1), waiting.numel(), own)


def attempt(target: Tensor, deviation: Tensor, own: Tensor | None, share: float, generator: torch.Generator) -> Tensor:
    """target + sigma (sqrt(share) own + sqrt(1 - share) fresh), not below 0."""
    error = normal_like(target, generator)
    if own is not None:
        error.mul_(math.sqrt(1.0 - share)).add_(own, alpha=math.sqrt(share))
    return error.mul_(deviation).add_(target).clamp_(min=0.0)


def verify(law: WriteVerify, device: Device, written: Tensor, generator: torch.Generator) -> Tensor:
    """What the verify read gives."""
    if is_nothing(law.verify_sigma_siemens):
        return written
    deviation = not_negative(law.verify_sigma_siemens, written / device.g_max_siemens, device.g_max_siemens)
    return normal_like(written, generator).mul_(deviation).add_(written)
