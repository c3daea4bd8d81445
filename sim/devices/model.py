"""One device description as an object: the whole interface of device physics."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mapping.device import Device
from sim.devices import current, drift, faults, programming, pulses, read_noise
from sim.devices.faults import Stuck
from sim.devices.programming import Programmed
from sim.devices.pulses import Responses


class DeviceModel:
    """The physics of one device description.

    Tensors are siemens, of any shape, float32 or float64, on any torch device; generators are on the same torch
    device. One generator, handed to program, age and stuck in this order, makes one chip: at whatever age, the
    devices are the same. Laws without chance leave the generator alone.
    """

    def __init__(self, device: Device) -> None:
        self.device = device

    def program(self, target: Tensor, generator: torch.Generator, own: Tensor | None = None) -> Programmed:
        """Write conductances; see :func:`sim.devices.programming.program`. ``own`` writes known devices again."""
        return programming.program(self.device, target, generator, own)

    def age(self, programmed: Tensor, age_s: float, generator: torch.Generator) -> Tensor:
        """Conductances ``age_s`` seconds after the reference time; overwrites and returns ``programmed``."""
        return drift.age(self.device, programmed, age_s, generator)

    def stuck(self, like: Tensor, generator: torch.Generator) -> Stuck | None:
        """Which devices are stuck, and where; None if none are."""
        return faults.draw(self.device, like, generator)

    def read_sigma(self, conductance: Tensor, age_s: float, read_time_s: float | None = None) -> Tensor | None:
        """Standard deviation of a read, or None if reads are exact; see :func:`sim.devices.read_noise.sigma`."""
        return read_noise.sigma(self.device, conductance, age_s, read_time_s)

    def current_terms(self, conductance: Tensor) -> list[tuple[int, Tensor]]:
        """Powers p >= 2 of the voltage and their coefficients (A/V^p); empty for ohmic and sinh devices."""
        return current.terms(self.device, conductance)

    def responses(self, shape: Sequence[int], generator: torch.Generator) -> Responses:
        """How each of ``shape`` devices answers pulses, on the generator's torch device."""
        return pulses.draw(self.device.update, shape, generator)

    def pulse_(self, responses: Responses, w: Tensor, direction: Tensor, generator: torch.Generator) -> Tensor:
        """One pulse a device, in place on weights; see :func:`sim.devices.pulses.pulse_`."""
        return pulses.pulse_(self.device.update, responses, w, direction, generator)

    def to_weight(self, conductance: Tensor) -> Tensor:
        """Weights (w_min to w_max of the update law) of conductances (g_min to g_max)."""
        return pulses.to_weight(self.device, conductance)

    def to_siemens(self, w: Tensor) -> Tensor:
        """Conductances of weights; not below 0."""
        return pulses.to_siemens(self.device, w)
