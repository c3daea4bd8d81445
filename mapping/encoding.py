"""How weights become conductances, and how read currents become weights again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from mapping.arithmetic import round_
from mapping.device import Device
from mapping.target import Cell


@dataclass(frozen=True)
class Encoding(ABC):
    """Weights of one coupling in one kind of cell.

    Attributes:
        device, levels: the window and the values a device can be programmed to.
        weight_per_siemens: what one siemens of difference is worth.
    """

    device: Device
    levels: int | None
    weight_per_siemens: float

    devices_per_weight = 1
    windows_for_both_signs: ClassVar[int]  # how many times the largest weight the window spans

    @abstractmethod
    def encode(self, matrix: Tensor) -> Tensor:
        """[rows, columns] weights -> [rows, columns * devices_per_weight] siemens."""

    @abstractmethod
    def sensed(self, conductance: Tensor) -> Tensor:
        """What a column (or row) senses for each weight, in weight units: [..., columns]."""

    @abstractmethod
    def variance(self, sigma_siemens: Tensor) -> Tensor:
        """Variance of :meth:`sensed` for independent devices of standard deviation ``sigma_siemens``."""

    @property
    @abstractmethod
    def offset(self) -> float:
        """Weight that every sensed value carries and that is subtracted digitally, times the sum of the drive."""

    def decode(self, conductance: Tensor) -> Tensor:
        """The weights that conductances mean: :meth:`sensed` less the offset."""
        return self.sensed(conductance) - self.offset

    def to_level(self, conductance: Tensor) -> Tensor:
        """The nearest of the evenly spaced levels between g_min and g_max (ties upwards)."""
        if self.levels is None:
            return conductance
        low, high = self.device.g_min_siemens, self.device.g_max_siemens
        step = (high - low) / (self.levels - 1)
        return round_((conductance - low) / step).clamp_(0, self.levels - 1).mul_(step).add_(low)


class Differential(Encoding):
    """w = weight_per_siemens (G+ - G-): one device at g_min, the other carries the magnitude.

    The two devices of a pair sit in neighbouring columns, 2j and 2j + 1; their difference is taken before the ADC.
    """

    devices_per_weight = 2
    windows_for_both_signs = 1

    def encode(self, matrix: Tensor) -> Tensor:
        low = self.device.g_min_siemens
        scaled = matrix / self.weight_per_siemens
        pair = torch.stack((scaled.clamp(min=0.0), (-scaled).clamp_(min=0.0)), dim=-1).add_(low)
        return self.to_level(pair.flatten(-2))

    def sensed(self, conductance: Tensor) -> Tensor:
        return (conductance[..., 0::2] - conductance[..., 1::2]).mul_(self.weight_per_siemens)

    def variance(self, sigma_siemens: Tensor) -> Tensor:
        squared = sigma_siemens.square()
        return (squared[..., 0::2] + squared[..., 1::2]).mul_(self.weight_per_siemens**2)

    @property
    def offset(self) -> float:
        return 0.0


class Offset(Encoding):
    """w = weight_per_siemens (G - G_mid): one device, the window's middle subtracted after the ADC."""

    windows_for_both_signs = 2

    def encode(self, matrix: Tensor) -> Tensor:
        return self.to_level(matrix / self.weight_per_siemens + self.middle)

    def sensed(self, conductance: Tensor) -> Tensor:
        return conductance * self.weight_per_siemens

    def variance(self, sigma_siemens: Tensor) -> Tensor:
        return sigma_siemens.square().mul_(self.weight_per_siemens**2)

    @property
    def middle(self) -> float:
        return 0.5 * (self.device.g_min_siemens + self.device.g_max_siemens)

    @property
    def offset(self) -> float:
        return self.middle * self.weight_per_siemens


KINDS: dict[str, type[Differential] | type[Offset]] = {"differential": Differential, "offset": Offset}


def devices_per_weight(cell: Cell) -> int:
    """Physical columns a weight takes."""
    return KINDS[cell.encoding].devices_per_weight


def encoding_for(device: Device, cell: Cell, largest_weight: float) -> Encoding:
    """The encoding that maps +-``largest_weight`` onto the device's whole window."""
    largest = largest_weight if largest_weight > 0.0 else 1.0
    reach = KINDS[cell.encoding].windows_for_both_signs * largest
    return encoding_of_scale(device, cell, reach / (device.g_max_siemens - device.g_min_siemens))


def encoding_of_scale(device: Device, cell: Cell, weight_per_siemens: float) -> Encoding:
    """The encoding with a scale already chosen."""
    levels = None if cell.levels == "continuous" else cell.levels
    return KINDS[cell.encoding](device, levels, weight_per_siemens)
