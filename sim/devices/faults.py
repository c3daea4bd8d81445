"""Stuck devices: at one conductance whatever they were programmed to."""

from __future__ import annotations

import torch
from torch import Tensor

from mapping.device import Device


def stick_(device: Device, conductance: Tensor, generator: torch.Generator) -> Tensor:
    """Fix random shares of devices at g_min, at g_max, and anywhere between (uniform), in place."""
    stuck = device.stuck
    if stuck.low == stuck.high == stuck.any == 0.0:
        return conductance
    low, high = device.g_min_siemens, device.g_max_siemens
    draw = uniform_like(conductance, generator)
    if stuck.any > 0.0:
        chosen = (draw >= stuck.low) & (draw < stuck.low + stuck.any)
        anywhere = uniform_like(conductance, generator).mul_(high - low).add_(low)
        torch.where(chosen, anywhere, conductance, out=conductance)
    conductance.masked_fill_(draw < stuck.low, low)
    return conductance.masked_fill_(draw >= 1.0 - stuck.high, high)


def uniform_like(x: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(x.shape, generator=generator, dtype=x.dtype, device=x.device)
