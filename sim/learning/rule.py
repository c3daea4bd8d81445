"""A rule of learning in place: from outer products to devices."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from sim.learning.devices import ChipDevices
from sim.learning.products import Contrast, Product


class Rule(Protocol):
    """How the devices follow what was learned.

    Attributes:
        contrast: the products it wants.
    """

    contrast: Contrast

    def apply(self, devices: ChipDevices, products: Iterable[Product], rate: float) -> bool:
        """Change devices by rate * products; whether any changed."""
        ...
