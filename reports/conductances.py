"""How the programmed conductances of each matrix are distributed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mapping import Mapping

BINS = 50
CHUNK = 1 << 22  # histc counts in float32, which is exact below 2^24

MICROSIEMENS = 1e6


@dataclass(frozen=True)
class Distribution:
    """Programmed targets of the devices that hold one matrix's weights, of all copies, in microsiemens.

    Attributes:
        name: the matrix's.
        devices: how many hold a weight.
        counts: devices in each of ``BINS`` equal bins from ``low`` to ``high``, which hold all of them.
        share_at_min: share of devices at g_min.
        mean, largest: of the conductances.
    """

    name: str
    devices: int
    counts: tuple[int, ...]
    low: float
    high: float
    share_at_min: float
    mean: float
    largest: float


def distributions(mapping: Mapping) -> list[Distribution]:
    """One for each matrix, in the mapping's order."""
    return [distribution(mapping, name) for name in mapping.matrices]


def distribution(mapping: Mapping, name: str) -> Distribution:
    copies = range(len(mapping.matrices[name].replicas))
    values = torch.cat([mapping.matrix_of(name, mapping.conductances, k).flatten() for k in copies]) * MICROSIEMENS
    device = mapping.target.device
    g_min, g_max = device.g_min_siemens * MICROSIEMENS, device.g_max_siemens * MICROSIEMENS
    low, high = min(g_min, float(values.min())), max(g_max, float(values.max()))
    nearly_min = g_min + 1e-5 * (g_max - g_min)  # float32 rounds g_min itself
    return Distribution(
        name,
        len(values),
        histogram(values, low, high),
        low,
        high,
        float((values <= nearly_min).double().mean()),
        float(values.double().mean()),
        float(values.max()),
    )


def histogram(values: Tensor, low: float, high: float) -> tuple[int, ...]:
    """Counts in ``BINS`` equal bins; the ends belong to the outer bins."""
    total = torch.zeros(BINS, dtype=torch.float64)
    for part in values.clamp(low, high).split(CHUNK):
        total += torch.histc(part, BINS, low, high).double()
    return tuple(int(count) for count in total.tolist())
