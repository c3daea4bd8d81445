"""Learning by pulses: rows and columns pulsed together, devices move where pulses meet; no weight is ever read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from mapping.encoding import Encoding
from sim.learning.devices import ChipDevices, pulsed_law, step_in_weight
from sim.learning.products import Contrast, Product
from sim.pulse_trains import PulseTrains, Saturation


class Trains(Protocol):
    """How lines pulse: :class:`sim.pulse_trains.PulseTrains`, :class:`sim.learning.registers.RegisterTrains`."""

    def up_and_down(
        self,
        x: Tensor,
        y: Tensor,
        gain: float,
        generator: torch.Generator | None = None,
        saturation: Saturation | None = None,
        first_sample: int = 0,
    ) -> tuple[Tensor, Tensor]:
        """Up and down pulses of each device, each [rows, columns], where |x y| = 1 asks for ``gain`` of them."""
        ...


@dataclass
class Pulsed:
    """Parallel pulses after every batch.

    The plus device of a pair gets up pulses where its weight shall rise and down pulses where it shall fall, the minus
    device the opposite; devices that only go up take turns instead (plus rises, or minus rises).

    Attributes:
        trains: how lines pulse.
        contrast: as two small outer products (``difference``) or as those of both phases (``states``).
        saturation: lines that were to pulse more often than trains have slots.

    Raises:
        ValueError: (on use) for weights of several slices, and for devices without an update law.
    """

    trains: Trains = field(default_factory=PulseTrains)
    contrast: Contrast = "difference"
    saturation: Saturation = field(default_factory=Saturation)
    samples: int = 0

    def apply(self, devices: ChipDevices, products: Iterable[Product], rate: float) -> bool:
        law = pulsed_law(devices.mapping)
        if devices.mapping.target.cell.slices > 1:
            raise ValueError("a weight of several slices cannot learn by pulses: they would all move alike")
        rising: dict[str, Tensor] = {}
        falling: dict[str, Tensor] = {}
        for product in products:
            gain = rate * abs(product.coefficient) / step_in_weight(devices, product.matrix)
            x = product.x if product.coefficient > 0.0 else -product.x
            up, down = self.trains.up_and_down(x, product.y, gain, devices.generator, self.saturation, self.samples)
            for table, pulses in ((rising, up), (falling, down)):
                table[product.matrix] = table[product.matrix] + pulses if product.matrix in table else pulses
            self.samples += len(x)
        rises, falls = (
            devices.spread(
                {
                    name: of_devices(devices.mapping.encoding(name), of_matrix * sign, law.one_sided)
                    for name, of_matrix in counts.items()
                }
            )
            for counts, sign in ((rising, 1.0), (falling, -1.0))
        )
        return pulse_in_turn(devices, rises, falls)


def pulse_in_turn(devices: ChipDevices, *pulses: Tensor) -> bool:
    """Signed pulses of all devices, [crossbars, rows, columns] each, one after the other; whether there were any."""
    wanted = [each for each in pulses if bool(each.any())]
    for each in wanted:
        devices.pulse(each)
    return bool(wanted)


def of_devices(encoding: Encoding, counts: Tensor, one_sided: bool) -> Tensor:
    """Signed pulses of each device of each weight: [rows, columns] -> [rows, columns * devices]."""
    if encoding.devices_per_weight == 1:
        if one_sided and bool((counts < 0.0).any()):
            raise ValueError(
                "devices that only go up cannot lower a weight by themselves: expected a differential pair"
            )
        return counts
    pair = torch.stack((counts, -counts), dim=-1)
    return (pair.clamp_(min=0.0) if one_sided else pair).flatten(-2)
