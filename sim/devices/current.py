"""Current through one device, beyond Ohm's law."""

from __future__ import annotations

import math
from functools import singledispatch

import torch
from torch import Tensor

from mapping.device import Device, Ohmic, PolynomialCurrent, Sinh
from mapping.device.curve import is_nothing
from sim.devices.curves import evaluate


def terms(device: Device, conductance: Tensor) -> list[tuple[int, Tensor]]:
    """Powers p >= 2 and coefficients (A/V^p) of I = G V + sum_p c_p V^p; none for laws of another form."""
    law = device.current
    if not isinstance(law, PolynomialCurrent):
        return []
    x = conductance / device.g_max_siemens
    curves = ((2, law.second_ampere_per_volt2), (3, law.third_ampere_per_volt3))
    return [(power, evaluate(curve, x, device.g_max_siemens)) for power, curve in curves if not is_nothing(curve)]


def amperes(device: Device, conductance: Tensor, volt: float) -> Tensor:
    """Current in amperes through devices of small-signal ``conductance`` (siemens) at one voltage.

    Raises:
        ValueError: for a voltage beyond the law's range.
    """
    return through(device.current, device, conductance, volt)


@singledispatch
def through(law: object, device: Device, conductance: Tensor, volt: float) -> Tensor:
    raise TypeError(f"{type(law).__name__}: no such current law")


@through.register
def _(law: Ohmic, device: Device, conductance: Tensor, volt: float) -> Tensor:
    return conductance * volt


@through.register
def _(law: Sinh, device: Device, conductance: Tensor, volt: float) -> Tensor:
    return conductance * (law.scale_volt * math.sinh(volt / law.scale_volt))


@through.register
def _(law: PolynomialCurrent, device: Device, conductance: Tensor, volt: float) -> Tensor:
    if abs(volt) > law.largest_volt:
        raise ValueError(f"device {device.name}: {volt:g} V: expected at most {law.largest_volt:g} V")
    total = conductance * volt
    for power, coefficient in terms(device, conductance):
        total = torch.add(total, coefficient, alpha=volt**power)
    return total
