"""What drives the lines of an array: counted line by line, and weighed with conductances only when asked.

The lines' own sums are kept (how often each was driven, and with what square), because a read's power is
sum_i V_i^2 sum_j G_ij: devices need not be looked at while reading.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mapping.encoding import Encoding
from mapping.hardware import Direction
from mapping.lowering import ConvLowering, Lowering
from sim.converters import Driven

VALUES_AT_ONCE = 1 << 15  # drives squared at a time: they stay in the cache
LEAST_SQUARE = 2.0**-120  # a drive with at least this square is one; states are never that small but zero


@dataclass
class Drives:
    """What one direction of one array was driven with, line by line, summed over samples.

    Attributes:
        lowering, encoding, direction: of the array.
        reads: drives seen, one for each sample and bit of bit-serial input.
        dissipated: sum over reads and devices of drive^2 G (and of what currents beyond Ohm's law add), in siemens
            times the square of a state.
    """

    lowering: Lowering
    encoding: Encoding
    direction: Direction
    reads: int = 0
    dissipated: float = 0.0
    active: Tensor | None = None
    squares: Tensor | None = None
    weighed: Tensor | None = None  # the part of ``squares`` that is in ``dissipated``
    scratch: Tensor | None = None
    moments: dict[int, Tensor] = field(default_factory=dict)
    siemens: Tensor | None = None
    higher: tuple[tuple[int, Tensor], ...] = ()

    def meet(self, conductance: Tensor, higher: Iterable[tuple[int, Tensor]]) -> None:
        """From now on drives meet these devices, [rows, columns * devices_per_weight]."""
        self.settle()
        self.siemens = self.summed(conductance)
        self.higher = tuple((power, self.summed(values, power)) for power, values in higher)

    def see(self, driven: Driven) -> None:
        """Count one drive, [batch, ...]."""
        drive = driven.drive
        self.reads += len(drive)
        flat = drive.movedim(1, -1).flatten(1) if drive.dim() == 4 else drive.flatten(1)
        if self.active is None or self.squares is None:
            self.active, self.squares = (torch.zeros(flat.shape[1], dtype=torch.float64) for _ in range(2))
        if driven.moments is None:
            driven.moments = self.line_sums(flat)
        squares, active = driven.moments
        self.squares += squares
        self.active += active
        for power, _ in self.higher:
            moment = flat.pow(power + 1).sum(0, dtype=torch.float64)
            self.moments[power] = self.moments.get(power, 0.0) + moment

    def line_sums(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        """Of each line of [batch, lines], the sum of squares and how often it was driven."""
        if self.scratch is None or len(self.scratch) < min(flat.numel(), max(VALUES_AT_ONCE, flat.shape[1])):
            self.scratch = torch.empty(max(VALUES_AT_ONCE, flat.shape[1]))  # fresh memory would take longer than sums
        squares, active = (torch.zeros(flat.shape[1]) for _ in range(2))
        for some in flat.split(max(1, VALUES_AT_ONCE // flat.shape[1])):
            square = torch.mul(some, some, out=self.scratch[: some.numel()].view_as(some))
            squares += square.sum(0) if len(some) > 1 else square[0]
            square.clamp_(max=LEAST_SQUARE)  # a power of two: its multiples add up exactly
            active += square.sum(0) if len(some) > 1 else square[0]
        return squares, active.double().mul_(1.0 / LEAST_SQUARE)

    def settle(self) -> None:
        """Weigh what was seen so far with the devices it met."""
        if self.squares is None or self.siemens is None:
            return
        fresh = self.squares if self.weighed is None else self.squares - self.weighed
        self.dissipated += float(fresh @ self.per_drive(self.siemens))
        self.weighed = self.squares.clone()
        for power, values in self.higher:
            if power in self.moments:
                self.dissipated += float(self.moments.pop(power) @ self.per_drive(values))

    def summed(self, values: Tensor, power: int = 1) -> Tensor:
        """Of each row, or of each column's weight, the sum over its devices: [rows] or [columns], float64.

        Transposed, devices of the plus side see a positive drive as a negative voltage, those of the minus side as a
        positive one: what odd powers of the drive dissipate has their sign.
        """
        if self.direction == "forward":
            return values.sum(1, dtype=torch.float64)
        columns = values.sum(0, dtype=torch.float64).unflatten(0, (-1, self.encoding.devices_per_slice))
        if power % 2 == 0:
            columns = columns * torch.tensor([-1.0, 1.0][: columns.shape[1]], dtype=torch.float64)
        return columns.sum(1).unflatten(0, (-1, self.encoding.slices)).sum(1)

    def per_drive(self, lines: Tensor) -> Tensor:
        """Values of lines, summed over the positions at which each element of a drive is on them; flat as seen."""
        return per_drive(self.lowering, self.direction, lines)

    def forget(self) -> None:
        """Start from zero."""
        self.reads, self.dissipated = 0, 0.0
        self.active = self.squares = self.weighed = None
        self.moments = {}


@dataclass(frozen=True)
class Seen:
    """What one array counted in one direction.

    Attributes:
        drives: what drove it.
        made, clipped: conversions; ``averaged``: how many of them each read took (one where averaging changes nothing).
    """

    drives: Drives
    made: int
    clipped: int
    averaged: int


def per_drive(lowering: Lowering, direction: Direction, lines: Tensor) -> Tensor:
    """See :meth:`Drives.per_drive`."""
    images = isinstance(lowering, ConvLowering)
    positions = (lowering.outputs.height, lowering.outputs.width) if images else ()
    at_positions = lines.view(1, -1, *(1 for _ in positions)).expand(1, -1, *positions)
    drive = lowering.overlap_add(at_positions) if direction == "forward" else at_positions
    return (drive.movedim(1, -1) if drive.dim() == 4 else drive).flatten()
