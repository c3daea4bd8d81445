"""Trains of pulses in whole numbers: in which slots the rows and the columns of a tile pulse.

A line has a code, a state's or a difference of two states'. Its share is the scaled magnitude of the code,
saturated to 0 .. top. In every slot the line has a number of 1 .. top, and pulses if share >= number: a share of 0
never, a share of top always. A device moves where its row and its column pulse in one slot, up if their codes have
the same sign, else down. Coincidences of pulses: Gokmen and Vlasov 2016, doi:10.3389/fnins.2016.00333.

Numbers are drawn or fixed:

- drawn: each line takes one number a slot from a linear feedback shift register of w bits, top = 2^w - 1. Over a
  period a line pulses with probability share / (2^w - 1), exactly. Rows and columns have a register each.
- fixed: all lines of a side have one number. A row of share n, of top = slots, pulses in the first n slots; a column of
  share m in m slots that are evenly spread, so that about n m / slots of them coincide.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from mapping.arithmetic.scaling import Scaling
from mapping.dither import Lfsr

# Rows' registers make 16 shifts from number to number. With as many, columns would draw the rows' numbers some lines
# later, and some pairs of lines would pulse together. 29 has no factor of 2^w - 1 for any width of 4 .. 20.
COLUMN_SHIFTS = 29

# Below it, no code of 24 bits has a share.
SMALLEST_RATIO = 2.0**-33


class Trains(Protocol):
    """How the lines of one side pulse. Slots are counted on from sample to sample."""

    @property
    def scaling(self) -> Scaling:
        """From |code| to share."""
        ...

    @property
    def top(self) -> int:
        """Largest share."""
        ...

    def number(self, slot: int, line: int, lines: int) -> int:
        """Number of a line, of so many on its side, in a slot."""
        ...

    def numbers(self, slots: int, lines: int) -> Tensor:
        """Numbers of the first slots, float32 [slots, lines] or, where all lines have one, [slots, 1]."""
        ...

    def after(self, slots: int, lines: int) -> Trains:
        """Trains that go on ``slots`` slots later."""
        ...


@dataclass(frozen=True)
class DrawnTrains:
    """In slot s line i takes number s n + i of ``lfsr``, n the lines of its side in whole groups of ``lanes``.

    Numbers of lanes without a line are skipped, as in ``mapping.dither``. Where n has a common divisor with the
    period 2^w - 1, a line that pulses among the same lines all the time meets that part of the numbers only.

    Attributes:
        scaling: |code| to a share of 0 .. 2^w - 1.
        lfsr: register; its number 0 is that of line 0 in slot 0.
        lanes: lines that take a number in one clock.
    """

    scaling: Scaling
    lfsr: Lfsr
    lanes: int = 1

    @property
    def top(self) -> int:
        return self.lfsr.period

    def number(self, slot: int, line: int, lines: int) -> int:
        return self.lfsr.jump(slot * self.places(lines) + line).seed

    def numbers(self, slots: int, lines: int) -> Tensor:
        places = self.places(lines)
        return self.lfsr.numbers(0, slots * places).view(slots, places)[:, :lines]

    def after(self, slots: int, lines: int) -> DrawnTrains:
        return replace(self, lfsr=self.lfsr.after(slots * self.places(lines)))

    def places(self, lines: int) -> int:
        """Lines, and the lanes of their last group that have none."""
        return -(-lines // self.lanes) * self.lanes


@dataclass(frozen=True)
class FixedTrains:
    """In slot s all lines have number (s stride mod slots) + 1: stride 1 for rows, :func:`stride` for columns.

    A row of share n and a column of share m coincide in n m / slots slots within 1.5 with 31 slots, 3.7 with 63 and
    1.7 with 127, counts of devices that ought to meet slots p q pulses within 1 more, for the rounding of both shares.
    What is less than half a pulse is none.

    Attributes:
        scaling: |code| to a share of 0 .. slots: the pulses of the line.
        slots: of a train.
        stride: without a common divisor with ``slots``.

    Raises:
        ValueError: for less than one slot, or a stride outside 1 .. slots or with a common divisor.
    """

    scaling: Scaling
    slots: int
    stride: int = 1

    def __post_init__(self) -> None:
        if self.slots < 1:
            raise ValueError(f"{self.slots} slots: expected >= 1")
        if not 1 <= self.stride <= self.slots or math.gcd(self.stride, self.slots) != 1:
            raise ValueError(f"stride {self.stride}: expected 1 .. {self.slots} without a factor of {self.slots}")

    @property
    def top(self) -> int:
        return self.slots

    def number(self, slot: int, line: int, lines: int) -> int:
        return slot * self.stride % self.slots + 1

    def numbers(self, slots: int, lines: int) -> Tensor:
        return torch.arange(slots).mul_(self.stride).remainder_(self.slots).add_(1).float()[:, None]

    def after(self, slots: int, lines: int) -> FixedTrains:
        if slots % self.slots:
            raise ValueError(f"{slots} slots later: expected whole trains of {self.slots}")
        return self


def share(code: int, trains: Trains) -> int:
    """Scaled magnitude of a line's code, saturated to 0 .. top."""
    return trains.scaling.apply(abs(code), (0, trains.top))


def shares_(codes: Tensor, trains: Trains) -> Tensor:
    """As :func:`share`, in place."""
    return trains.scaling.apply_(codes.abs_(), (0, trains.top))


def train(codes: Sequence[int], trains: Trains, slots: int) -> list[list[int]]:
    """The pulses of one sample's lines, 0 or 1, by slot and line."""
    lines = [(line, share(code, trains)) for line, code in enumerate(codes)]
    return [[int(held >= trains.number(slot, line, len(codes))) for line, held in lines] for slot in range(slots)]


def train_(codes: Tensor, trains: Trains, slots: int) -> Tensor:
    """As :func:`train`, of samples one after the other: codes [samples, lines] to pulses [samples, slots, lines].

    The codes become shares in place. Go on with ``trains.after(samples * slots, lines)``.
    """
    samples, lines = codes.shape
    numbers = trains.numbers(samples * slots, lines).to(codes.device)
    held = shares_(codes, trains)[:, None, :]
    return torch.ge(held, numbers.view(samples, slots, -1)).to(codes.dtype)


def coincidences(x: Sequence[int], y: Sequence[int], rows: Trains, columns: Trains, slots: int) -> list[list[int]]:
    """Up less down pulses of each device in one sample, by row and column: sign(x_i y_j) sum_s row_si column_sj."""
    row_train, column_train = train(x, rows, slots), train(y, columns, slots)
    return [
        [sign(a) * sign(b) * sum(row_train[s][i] * column_train[s][j] for s in range(slots)) for j, b in enumerate(y)]
        for i, a in enumerate(x)
    ]


def sign(code: int) -> int:
    """1, 0 or -1."""
    return (code > 0) - (code < 0)


def matched(gain: float, slots: int, row_top: int, column_top: int, balance: float = 1.0) -> tuple[Scaling, Scaling]:
    """Scalings of rows and columns, so that a device meets slots p q = gain |x y| pulses, p and q the shares of top.

    Args:
        gain: wanted coincidences where the codes x and y are 1 each.
        row_top, column_top: of the trains.
        balance: by how much the shares of rows are enlarged and those of columns diminished.

    Raises:
        ValueError: for a gain that is negative or not finite, and a balance that is not positive and finite.
    """
    if not (0.0 <= gain < math.inf and 0.0 < balance < math.inf):
        raise ValueError(f"gain {gain} and balance {balance}: expected finite, >= 0 and > 0")
    per_code = math.sqrt(gain / slots)
    return scaling_to(per_code * balance, row_top), scaling_to(per_code / balance, column_top)


def scaling_to(share_of_one: float, top: int) -> Scaling:
    """The scaling that gives a code of 1 this share of top: all of it, where it were more."""
    ratio = min(share_of_one, 1.0) * top
    return Scaling(0, 0) if ratio < SMALLEST_RATIO else Scaling.nearest(ratio)


def stride(slots: int) -> int:
    """The number without a common divisor with ``slots`` that is nearest to slots / golden ratio."""
    wanted = slots * (math.sqrt(5.0) - 1.0) / 2.0
    return min((n for n in range(1, slots + 1) if math.gcd(n, slots) == 1), key=lambda n: abs(n - wanted))
