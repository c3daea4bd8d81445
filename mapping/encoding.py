"""How weights become conductances, and how read currents become weights again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from mapping.arithmetic import round_
from mapping.device import Device
from mapping.hardware import Cell


@dataclass(frozen=True)
class Encoding(ABC):
    """Weights of one coupling in one kind of cell.

    A weight is sum_k levels^k v_k over its slices, v_k what slice k senses, less an offset. With one slice v_0 is
    all of it.

    Attributes:
        device, levels: the window and the values a device can be programmed to.
        weight_per_siemens: what one siemens in the lowest slice is worth.
        slices: digits of a weight.
        pair: where differential pairs rest.
    """

    device: Device
    levels: int | None
    weight_per_siemens: float
    slices: int = 1
    pair: Literal["minimum", "middle"] = "minimum"

    devices_per_slice: ClassVar[int]
    windows_for_both_signs: ClassVar[int]  # how many times the largest weight the window spans

    @property
    def devices_per_weight(self) -> int:
        """Neighbouring columns a weight takes, lowest slice first."""
        return self.devices_per_slice * self.slices

    @property
    def significances(self) -> tuple[int, ...]:
        """What a unit of each slice counts: levels^k."""
        return tuple((self.levels or 1) ** k for k in range(self.slices))

    @abstractmethod
    def encode(self, matrix: Tensor) -> Tensor:
        """[rows, columns] weights -> [rows, columns * devices_per_weight] siemens."""

    @abstractmethod
    def sensed(self, conductance: Tensor) -> Tensor:
        """What a line senses for each slice, in weight units of the lowest: [..., columns * slices]."""

    @abstractmethod
    def added(self, values: Tensor) -> Tensor:
        """The sum, not the difference, of what the devices of each slice have: [..., columns * slices]."""

    def variance(self, squared_siemens: Tensor) -> Tensor:
        """Variance of :meth:`sensed` for independent devices of variance ``squared_siemens``."""
        return self.added(squared_siemens) * self.weight_per_siemens**2

    @property
    @abstractmethod
    def slice_offset(self) -> float:
        """Weight that every sensed slice carries beyond its digit's share of the weight."""

    @property
    def offset(self) -> float:
        """Weight that is subtracted digitally, times the sum of the drive."""
        return self.slice_offset * sum(self.significances)

    def combine(self, sensed: Tensor) -> Tensor:
        """Shift and add slices: [..., columns * slices] -> [..., columns]."""
        if self.slices == 1:
            return sensed
        apart = sensed.unflatten(-1, (-1, self.slices))
        return apart @ torch.tensor(self.significances, dtype=sensed.dtype, device=sensed.device)

    def decode(self, conductance: Tensor) -> Tensor:
        """The weights that conductances mean."""
        return self.combine(self.sensed(conductance)) - self.offset

    @property
    def largest(self) -> float:
        """The largest weight that the window holds, of all slices together."""
        window = self.device.g_max_siemens - self.device.g_min_siemens
        windows = 1.0 if self.levels is None else (self.levels**self.slices - 1) / (self.levels - 1)
        return window * windows * self.weight_per_siemens / self.windows_for_both_signs

    @property
    def step_siemens(self) -> float:
        """Distance of neighbouring levels."""
        assert self.levels is not None
        return (self.device.g_max_siemens - self.device.g_min_siemens) / (self.levels - 1)

    def to_level(self, conductance: Tensor) -> Tensor:
        """The nearest of the evenly spaced levels between g_min and g_max (ties upwards), in place if continuous."""
        if self.levels is None:  # rounding may leave a float32 just outside the window, and below 0 is no device
            return conductance.clamp_(self.device.g_min_siemens, self.device.g_max_siemens)
        low, step = self.device.g_min_siemens, self.step_siemens
        return round_((conductance - low) / step).clamp_(0, self.levels - 1).mul_(step).add_(low)

    def digits(self, number: Tensor) -> Tensor:
        """Digit conductances of whole numbers: [...] -> [..., slices] siemens."""
        assert self.levels is not None
        parts = [torch.div(number, power, rounding_mode="floor") % self.levels for power in self.significances]
        return torch.stack(parts, dim=-1).mul_(self.step_siemens).add_(self.device.g_min_siemens)


class Differential(Encoding):
    """w = weight_per_siemens (G+ - G-).

    The two devices of a pair sit in neighbouring columns, plus first; their difference is taken before the ADC.
    """

    devices_per_slice = 2
    windows_for_both_signs = 1

    def encode(self, matrix: Tensor) -> Tensor:
        scaled = matrix / self.weight_per_siemens
        if self.pair == "middle":
            middle = 0.5 * (self.device.g_min_siemens + self.device.g_max_siemens)
            pair = torch.stack((scaled, -scaled), dim=-1).mul_(0.5).add_(middle)
            return self.to_level(pair.flatten(-2))
        pair = torch.stack((scaled.clamp(min=0.0), (-scaled).clamp_(min=0.0)), dim=-1)
        if self.slices == 1:
            return self.to_level(pair.add_(self.device.g_min_siemens).flatten(-2))
        return self.digits(round_(pair.div_(self.step_siemens))).transpose(-1, -2).flatten(-3)

    def sensed(self, conductance: Tensor) -> Tensor:
        return (conductance[..., 0::2] - conductance[..., 1::2]).mul_(self.weight_per_siemens)

    def added(self, values: Tensor) -> Tensor:
        return values[..., 0::2] + values[..., 1::2]

    @property
    def slice_offset(self) -> float:
        return 0.0


class Offset(Encoding):
    """w = weight_per_siemens (G - G_mid): one device, the window's middle subtracted after the ADC."""

    devices_per_slice = 1
    windows_for_both_signs = 2

    def encode(self, matrix: Tensor) -> Tensor:
        scaled = matrix / self.weight_per_siemens
        if self.slices == 1:
            return self.to_level(scaled + self.middle)
        assert self.levels is not None
        largest = self.levels**self.slices - 1
        return self.digits(round_(scaled.div_(self.step_siemens).add_(0.5 * largest)).clamp_(0, largest)).flatten(-2)

    def sensed(self, conductance: Tensor) -> Tensor:
        return conductance * self.weight_per_siemens

    def added(self, values: Tensor) -> Tensor:
        return values

    @property
    def middle(self) -> float:
        return 0.5 * (self.device.g_min_siemens + self.device.g_max_siemens)

    @property
    def slice_offset(self) -> float:
        return self.middle * self.weight_per_siemens


KINDS: dict[str, type[Differential] | type[Offset]] = {"differential": Differential, "offset": Offset}


def devices_per_weight(cell: Cell) -> int:
    """Physical columns a weight takes."""
    return KINDS[cell.encoding].devices_per_slice * cell.slices


def encoding_for(device: Device, cell: Cell, largest_weight: float) -> Encoding:
    """The encoding that maps +-``largest_weight`` onto the device's window (of all slices together).

    All of the window, or with headroom the inner part of it.
    """
    largest = (largest_weight if largest_weight > 0.0 else 1.0) * cell.headroom
    reach = KINDS[cell.encoding].windows_for_both_signs * largest
    windows = 1.0
    if cell.levels != "continuous":
        windows = (cell.levels**cell.slices - 1) / (cell.levels - 1)
    return encoding_of_scale(device, cell, reach / (windows * (device.g_max_siemens - device.g_min_siemens)))


def encoding_of_scale(device: Device, cell: Cell, weight_per_siemens: float) -> Encoding:
    """The encoding with a scale already chosen."""
    levels = None if cell.levels == "continuous" else cell.levels
    return KINDS[cell.encoding](device, levels, weight_per_siemens, cell.slices, cell.pair)
