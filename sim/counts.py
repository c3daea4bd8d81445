"""Events: how often what happened, as numbers that add up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True)
class Events:
    """How often what happened. Sums of events are events.

    Attributes:
        array_reads: a tile's lines driven once and integrated, at one position.
        driven_lines: lines driven with anything but zero, in all array reads (DAC conversions); ``bit_lines`` of them
            with one bit of bit-serial input.
        charged_cell_volt2: V^2 of each driven line times the cells along it.
        device_read_j: sum of V_i^2 G_ij t over all devices and array reads.
        sensed_s: seconds that sensed lines wait, settling and integrating, summed over lines.
        adc_conversions, adc_clipped: of all channels; ``adc_steps``: sum of their 2^bits.
        additions, macs: words added, and multiplied and added, outside the arrays.
        bytes_read, bytes_written: state memory.
        pulses, verify_reads: of single devices; ``programmed_devices``: that were written, each once.
        busy_clocks: clocks that reads keep the arrays of a copy, summed over reads and copies.
        clocks: of the controller.
    """

    array_reads: int = 0
    driven_lines: float = 0
    bit_lines: float = 0
    charged_cell_volt2: float = 0.0
    device_read_j: float = 0.0
    sensed_s: float = 0.0
    adc_conversions: int = 0
    adc_clipped: int = 0
    adc_steps: int = 0
    additions: int = 0
    macs: float = 0
    bytes_read: int = 0
    bytes_written: int = 0
    pulses: float = 0
    verify_reads: float = 0
    programmed_devices: int = 0
    busy_clocks: int = 0
    clocks: int = 0

    def __add__(self, other: Events) -> Events:
        return Events(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    def __mul__(self, times: float) -> Events:
        return Events(*(getattr(self, one.name) * times for one in fields(self)))

    def as_dict(self) -> dict[str, float]:
        """Plain numbers by name."""
        return asdict(self)


def total(several: Iterable[Events]) -> Events:
    """Their sum."""
    return sum(several, Events())
