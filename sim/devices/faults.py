"""Stuck devices: at one conductance whatever they were programmed to."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mapping.device import Device


@dataclass(frozen=True)
class Stuck:
    """Which devices never move, and where they are: [...] of devices, conductances in siemens."""

    devices: Tensor
    conductance: Tensor

    def stick_(self, conductance: Tensor) -> Tensor:
        """Bring the stuck devices to where they are, in place."""
        return torch.where(self.devices, self.conductance, conductance, out=conductance)


def draw(device: Device, like: Tensor, generator: torch.Generator) -> Stuck | None:
    """Random shares of devices, stuck at g_min, at g_max, and anywhere between (uniform); None if there are none."""
    stuck = device.stuck
    if stuck.low == stuck.high == stuck.any == 0.0:
        return None
    low, high = device.g_min_siemens, device.g_max_siemens
    chance = uniform_like(like, generator)
    where = torch.full_like(like, high)
    if stuck.any > 0.0:
        where.copy_(uniform_like(like, generator).mul_(high - low).add_(low))
    where.masked_fill_(chance < stuck.low, low).masked_fill_(chance >= 1.0 - stuck.high, high)
    return Stuck((chance < stuck.low + stuck.any) | (chance >= 1.0 - stuck.high), where)


def uniform_like(x: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(x.shape, generator=generator, dtype=x.dtype, device=x.device)
