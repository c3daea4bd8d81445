"""Learning by writing: changes are added up digitally, and a weight is written once enough has come together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sim.learning.devices import ChipDevices
from sim.learning.products import Contrast, Product


@dataclass
class Verified:
    """Digital accumulation, then a write (with verify, where the device is programmed so).

    A weight is written when its accumulated change passes ``threshold`` of the largest weight its encoding holds. It is
    read first: the new value is what it is plus the change, so what drifted away or is off stays as far off as it was
    learned around.

    Attributes:
        threshold: share of the largest weight.
        contrast: the products of the digital accumulation.
        pending: changes not written yet, by matrix [rows, columns].
    """

    threshold: float = 0.01
    contrast: Contrast = "difference"
    pending: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.threshold >= 0.0:
            raise ValueError(f"threshold {self.threshold}: expected >= 0")

    def apply(self, devices: ChipDevices, products: Iterable[Product], rate: float) -> bool:
        for product in products:
            change = (product.x.T @ product.y).mul_(rate * product.coefficient)
            held = self.pending.get(product.matrix)
            self.pending[product.matrix] = change if held is None else held.add_(change)
        chosen: dict[str, Tensor] = {}
        for name, pending in self.pending.items():
            encoding = devices.mapping.encoding(name)
            chosen[name] = pending.abs() > self.threshold * encoding.largest
        if not any(bool(mask.any()) for mask in chosen.values()):
            return False
        self.write(devices, chosen)
        for name, mask in chosen.items():
            self.pending[name].masked_fill_(mask, 0.0)
        return True

    def write(self, devices: ChipDevices, chosen: dict[str, Tensor]) -> None:
        """Write the chosen weights of every copy, each from what that copy means now."""
        target = devices.conductance.clone()
        where = torch.zeros(target.shape, dtype=torch.bool)
        for name, mask in chosen.items():
            encoding = devices.mapping.encoding(name)
            per_weight = encoding.devices_per_weight
            for number, replica in enumerate(devices.mapping.matrices[name].replicas):
                now = devices.weights(name, number)
                wanted = (now + self.pending[name]).clamp_(-encoding.largest, encoding.largest)
                replica.scatter_(
                    target,
                    torch.where(wide(mask, per_weight), encoding.encode(wanted), replica.gather(target, per_weight)),
                    per_weight,
                )
                replica.scatter_(where, wide(mask, per_weight), per_weight)
        devices.write(where, target)


def wide(mask: Tensor, devices_per_weight: int) -> Tensor:
    """[rows, columns] of weights -> [rows, columns * devices]."""
    return mask.repeat_interleave(devices_per_weight, dim=1)
