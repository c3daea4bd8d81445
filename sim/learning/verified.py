"""Learning by writing: changes are added up digitally, and a weight is written once enough has come together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

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
        moved = devices.write_weights(self.changes(devices))
        for name, pending in self.pending.items():
            pending.masked_fill_(self.chosen(devices, name), 0.0)
        return moved

    def chosen(self, devices: ChipDevices, name: str) -> Tensor:
        """Which weights of a matrix have enough to be written, bool [rows, columns]."""
        return self.pending[name].abs() > self.threshold * devices.mapping.encoding(name).largest

    def changes(self, devices: ChipDevices) -> Iterator[tuple[str, int, Tensor, Tensor]]:
        """What to write in every copy, from what that copy means now."""
        for name, pending in self.pending.items():
            mask = self.chosen(devices, name)
            if bool(mask.any()):
                for number in range(len(devices.mapping.matrices[name].replicas)):
                    yield name, number, mask, devices.weights(name, number) + pending
