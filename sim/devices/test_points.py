"""What a device's formulas give where its source states a value."""

from __future__ import annotations

import torch
from torch import Tensor

from mapping.device import Device, LogRelaxation, PowerLawDrift, PublishedValue, Relaxation
from sim.devices import current, drift, programming, read_noise


def measured(device: Device, point: PublishedValue) -> float:
    """The quantity of ``point`` by the device's own formulas, in float64.

    Raises:
        ValueError: if the device has no law with such a quantity.
    """
    g = torch.tensor([point.conductance_siemens], dtype=torch.float64)
    match point.quantity:
        case "programming-sigma":
            value: Tensor | float | None = programming.sigma(device, g)
        case "drift-shift":
            course = torch.zeros_like(g)
            value = drift.follow_(device.drift, device, g.clone(), course, point.age_s) - g
        case "drift-sigma":
            value = drift_sigma(device, g, point.age_s)
        case "exponent-mean" | "exponent-std":
            value = exponent(device, g, point.quantity)
        case "read-sigma":
            value = read_noise.sigma(device, g, point.age_s)
        case "current":
            value = current.amperes(device, g, point.volt)
    if value is None:
        raise ValueError(f"device {device.name}: no law with a {point.quantity}")
    return float(value)


def drift_sigma(device: Device, g: Tensor, age_s: float) -> Tensor | float | None:
    law = device.drift
    if isinstance(law, Relaxation):
        return drift.displacement(law, device, g, age_s)[1]
    return drift.log_displacement(law, device, age_s)[1] if isinstance(law, LogRelaxation) else None


def exponent(device: Device, g: Tensor, quantity: str) -> Tensor | None:
    law = device.drift
    if not isinstance(law, PowerLawDrift):
        return None
    mean, spread = drift.exponents(law, device, g)
    return mean if quantity == "exponent-mean" else spread
