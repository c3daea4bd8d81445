"""Programming: the conductance a device takes when asked for one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mapping.device import Device, ExactProgramming, PolynomialProgramming


def polynomial(coefficients: Sequence[float], x: Tensor) -> Tensor:
    """sum_i c_i x^i by Horner's rule."""
    value = torch.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value.mul_(x).add_(coefficient)
    return value


def sigma(device: Device, target: Tensor) -> Tensor:
    """Standard deviation of the programmed conductance in siemens, for targets in siemens."""
    model = device.programming
    if isinstance(model, PolynomialProgramming):
        return polynomial(model.coefficients_siemens, target / device.g_max_siemens).clamp_(min=0.0)
    assert isinstance(model, ExactProgramming)
    return torch.zeros_like(target)


def program(device: Device, target: Tensor, generator: torch.Generator) -> Tensor:
    """One Gaussian error a device, conductances kept from going negative; ``target`` in siemens."""
    if isinstance(device.programming, ExactProgramming):
        return target.clone()
    error = torch.randn(target.shape, generator=generator).mul_(sigma(device, target))
    return error.add_(target).clamp_(min=0.0)
