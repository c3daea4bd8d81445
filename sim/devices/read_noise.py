"""Read noise: the spread of one device's conductance from read to read."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mapping.device import Device, NoReadNoise, OneOverFReadNoise, RelativeReadNoise


def sigma(device: Device, conductance: Tensor, age_s: float) -> Tensor | None:
    """Standard deviation in siemens of a read at ``age_s`` after the reference time, or None if reads are exact."""
    model = device.read_noise
    if isinstance(model, NoReadNoise):
        return None
    if isinstance(model, RelativeReadNoise):
        return conductance * model.fraction
    assert isinstance(model, OneOverFReadNoise)
    x = conductance / device.g_max_siemens
    q = torch.clamp(model.scale * x.pow(-model.power), max=model.limit)
    time_s = device.reference_time_s + age_s
    return q.mul_(conductance).mul_(math.sqrt(math.log((time_s + model.read_time_s) / (2 * model.read_time_s))))
