"""Trains of pulses as the controller makes them: whole numbers, a register for rows and one for columns."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from mapping.arithmetic import EXACT_FLOAT32_BITS, round_
from mapping.arithmetic.trains import COLUMN_SHIFTS, DrawnTrains, FixedTrains, Trains, matched, stride, train_
from mapping.dither import Lfsr
from sim.pulse_trains import BITS_AT_ONCE, LARGEST_COUNT, Saturation, check


@dataclass
class RegisterTrains:
    """In place of :class:`sim.pulse_trains.PulseTrains`: pulse counts equal to the controller's, bit for bit.

    Rules are those of ``mapping.arithmetic.trains``. The lines of a call are those of one tile, pulsed sample after
    sample; drawn numbers go on from call to call, and random generators are not used. Finer steps of the codes change
    nothing: the shares stay the same.

    Attributes:
        slots: of a train.
        fixed: all lines of a side have one number in each slot, instead of drawn ones.
        lanes: of the controller; numbers of lanes without a line are skipped.
        step: of the codes; values are rounded to its multiples. States in fixed point, their differences and their
            means are multiples of the default, which reaches to 16.
        balance: by how much shares of rows are enlarged and those of columns diminished.
        rows, columns: the registers as they are now.

    Raises:
        ValueError: for less than one slot or lane.
    """

    slots: int = 31
    fixed: bool = False
    lanes: int = 1
    step: float = 2.0**-20
    balance: float = 1.0
    rows: Lfsr = field(default_factory=Lfsr)
    columns: Lfsr = field(default_factory=lambda: Lfsr(shifts=COLUMN_SHIFTS))

    def __post_init__(self) -> None:
        if self.slots < 1 or self.lanes < 1:
            raise ValueError(f"{self.slots} slots, {self.lanes} lanes: expected at least 1 of each")

    def coincidences(
        self,
        x: Tensor,
        y: Tensor,
        gain: float,
        generator: torch.Generator | None = None,
        saturation: Saturation | None = None,
        first_sample: int = 0,
    ) -> Tensor:
        """Up less down pulses of each device, summed over samples: [rows, columns]."""
        up, down = self.up_and_down(x, y, gain, generator, saturation, first_sample)
        return up - down

    def up_and_down(
        self,
        x: Tensor,
        y: Tensor,
        gain: float,
        generator: torch.Generator | None = None,
        saturation: Saturation | None = None,
        first_sample: int = 0,
    ) -> tuple[Tensor, Tensor]:
        """Up and down pulses of each device by themselves, each [rows, columns] whole numbers, float32.

        Args:
            x: row values [samples, rows], any sign.
            y: column values [samples, columns], any sign.
            gain: wanted coincidences where |x y| = 1.
            generator, first_sample: not looked at; the registers say what comes next.
            saturation: counts lines that were to pulse more often than there are slots.

        Raises:
            ValueError: for shapes that do not fit, values that are not finite or too large for their step, a gain that
                is negative or out of reach, and counts that could pass 2^24.
        """
        check(x, y, gain)
        if len(x) * self.slots > LARGEST_COUNT:
            raise ValueError(f"{len(x)} samples of {self.slots} slots: counts could pass {LARGEST_COUNT}; split them")
        rows, columns = self.sides(gain)
        net = torch.zeros(x.shape[1], y.shape[1], device=x.device)
        both = torch.zeros_like(net)
        at_once = max(1, BITS_AT_ONCE // (self.slots * max(x.shape[1], y.shape[1])))
        for some_x, some_y in zip(x.split(at_once), y.split(at_once), strict=True):
            row_bits, row_signed = self.pulses(some_x, rows, saturation)
            column_bits, column_signed = self.pulses(some_y, columns, saturation)
            net.addmm_(row_signed.T, column_signed)
            both.addmm_(row_bits.T, column_bits)
            slots = len(some_x) * self.slots
            rows, columns = rows.after(slots, x.shape[1]), columns.after(slots, y.shape[1])
        if isinstance(rows, DrawnTrains) and isinstance(columns, DrawnTrains):
            self.rows, self.columns = rows.lfsr, columns.lfsr
        return (both + net).mul_(0.5), (both - net).mul_(0.5)

    def sides(self, gain: float) -> tuple[Trains, Trains]:
        """Trains of rows and of columns, with scalings for a gain."""
        in_codes = gain * self.step**2
        if self.fixed:
            row_scaling, column_scaling = matched(in_codes, self.slots, self.slots, self.slots, self.balance)
            return FixedTrains(row_scaling, self.slots), FixedTrains(column_scaling, self.slots, stride(self.slots))
        tops = self.rows.period, self.columns.period
        row_scaling, column_scaling = matched(in_codes, self.slots, *tops, self.balance)
        return DrawnTrains(row_scaling, self.rows, self.lanes), DrawnTrains(column_scaling, self.columns, self.lanes)

    def pulses(self, values: Tensor, trains: Trains, saturation: Saturation | None) -> tuple[Tensor, Tensor]:
        """Of each slot of all samples the pulses, 0.0 or 1.0, and with the values' signs, [samples * slots, lines]."""
        codes = round_(values.double().div(self.step)).float()
        if not bool((codes.abs() <= 2.0**EXACT_FLOAT32_BITS).all()):
            reach = self.step * 2.0**EXACT_FLOAT32_BITS
            raise ValueError(f"values: expected at most {reach:g} with a step of {self.step:g}; take a larger step")
        if saturation is not None:
            saturation.count(trains.scaling.apply_(codes.abs().double()).div_(trains.top))
        signs = codes.sign()[:, None, :]
        bits = train_(codes, trains, self.slots)
        return bits.flatten(0, 1), (bits * signs).flatten(0, 1)
