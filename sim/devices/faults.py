"""Stuck devices: at the low or the high end of the window, whatever they were programmed to."""

from __future__ import annotations

import torch
from torch import Tensor

from mapping.device import Device


def stick_(device: Device, conductance: Tensor, generator: torch.Generator) -> Tensor:
    """Replace a random share of devices by g_min and another by g_max, in place."""
    stuck = device.stuck
    if stuck.low == 0.0 and stuck.high == 0.0:
        return conductance
    draw = torch.rand(conductance.shape, generator=generator)
    conductance.masked_fill_(draw < stuck.low, device.g_min_siemens)
    return conductance.masked_fill_(draw >= 1.0 - stuck.high, device.g_max_siemens)
