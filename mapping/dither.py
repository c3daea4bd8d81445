"""Dither of DAC codes: a nudge is smaller than a DAC's step, and still gets through in the mean.

code = floor((x multiplier + d) / 2^shift), saturated: the scaling of a state code to a DAC code, with a number d of
[0, 2^shift) in place of one half. Within the range the mean of the code over a period of numbers is
x multiplier / 2^shift within one over the period.

The numbers come from a linear feedback shift register (LFSR) and are taken in the order in which codes are fed:
element e of a read takes number (start + e) mod period. In hardware with L lanes, lane l of clock c codes element
c L + l with number start + c L + l. Two circuits give exactly these:

- a register for each lane, lane l starting at number start + l, and each clock multiplying its register by the leap
  matrix of L numbers over GF(2): L times the same XOR gates;
- one register that holds the number of lane 0 and leaps by L a clock; lane l takes the register times the leap matrix
  of l numbers: one register, and XOR gates of a different matrix in each lane.

A clock takes L numbers, whether all lanes had an element or not: a read of n elements leaves the register
ceil(n / L) L numbers on (``after``), so nothing ever needs to leap by less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from mapping.arithmetic import Limits, Scaling
from mapping.arithmetic.scaling import BLOCK, scale_block_

# Feedback taps that make the sequence maximal (P. Alfke, Xilinx application note XAPP 052, 1996).
TAPS: dict[int, tuple[int, ...]] = {
    4: (4, 3),
    5: (5, 3),
    6: (6, 5),
    7: (7, 6),
    8: (8, 6, 5, 4),
    9: (9, 5),
    10: (10, 7),
    11: (11, 9),
    12: (12, 6, 4, 1),
    13: (13, 4, 3, 1),
    14: (14, 5, 3, 1),
    15: (15, 14),
    16: (16, 15, 13, 4),
    17: (17, 14),
    18: (18, 11),
    19: (19, 6, 2, 1),
    20: (20, 17),
}

# A matrix over GF(2) as its columns: bit i of column j is the entry in row i, column j.
Matrix = tuple[int, ...]


@dataclass(frozen=True)
class Lfsr:
    """A register that runs through all numbers 1 .. 2^width - 1: each once in a period, 0 never.

    A shift moves the register one bit up and brings the parity of the tapped bits into bit 0; tap t is bit t - 1. A
    number is taken every ``shifts`` shifts, all made in one clock by XOR gates. With one shift each, neighbours share
    all bits but one: their correlation of 1/2 triples the variance of a sum of dithered codes. With 16 there is none.

    Attributes:
        width: bits of the register, 4 .. 20.
        seed: number 0, in the register before the first clock; 1 .. 2^width - 1.
        taps: None for those of ``TAPS``.
        shifts: from one number to the next.

    Raises:
        ValueError: for a width without taps, a seed outside, or taps or shifts that do not reach every number.
    """

    width: int = 16
    seed: int = 1
    taps: tuple[int, ...] | None = None
    shifts: int = 16

    def __post_init__(self) -> None:
        if self.width not in TAPS:
            raise ValueError(f"width {self.width}: expected {min(TAPS)} .. {max(TAPS)}")
        if not 1 <= self.seed <= self.period:
            raise ValueError(f"seed {self.seed}: expected 1 .. {self.period}")
        if not all(1 <= tap <= self.width for tap in self.tapped):
            raise ValueError(f"taps {self.tapped}: expected 1 .. {self.width}")
        if self.shifts < 1 or math.gcd(self.shifts, self.period) != 1:
            raise ValueError(f"shifts {self.shifts}: expected a number >= 1 without a factor of {self.period}")
        if not is_maximal(self.width, self.tapped):
            raise ValueError(f"taps {self.tapped}: the sequence is shorter than {self.period}")

    @property
    def period(self) -> int:
        """Numbers until they repeat."""
        return 2**self.width - 1

    @property
    def tapped(self) -> tuple[int, ...]:
        """The taps in use."""
        return TAPS[self.width] if self.taps is None else self.taps

    def next(self, number: int) -> int:
        """The number that follows ``number``: the register after ``shifts`` shifts."""
        for _ in range(self.shifts):
            number = shifted(number, self.width, self.tapped)
        return number

    def jump(self, count: int) -> Lfsr:
        """The same register ``count`` numbers on (back, if negative): its number 0 is number ``count`` of this one."""
        numbers, places = sequence(self.width, self.tapped, self.shifts)
        return replace(self, seed=int(numbers[(int(places[self.seed]) + count) % self.period]))

    def after(self, elements: int, lanes: int = 1) -> Lfsr:
        """The register after a read of ``elements`` codes, ``lanes`` a clock: idle lanes' numbers are skipped."""
        return self.jump(-(-elements // lanes) * lanes)

    def lanes(self, count: int) -> tuple[int, ...]:
        """What the registers of ``count`` lanes hold in the first clock: the first numbers."""
        return tuple(self.jump(lane).seed for lane in range(count))

    def numbers(self, first: int, count: int) -> Tensor:
        """Numbers first .. first + count - 1 of the sequence, float32 [count]."""
        numbers, places = sequence(self.width, self.tapped, self.shifts)
        at = (int(places[self.seed]) + first + np.arange(count)) % self.period
        return torch.from_numpy(numbers[at].astype(np.float32))

    def leap_matrix(self, count: int) -> tuple[int, ...]:
        """What moves a register ``count`` numbers on at once, as the XOR gates of each bit.

        Bit i of the new register is the parity of ``register & rows[i]``. For L lanes, ``leap_matrix(L)``.
        """
        columns = power(shift_matrix(self.width, self.tapped), self.shifts * count)
        return tuple(sum((columns[j] >> i & 1) << j for j in range(self.width)) for i in range(self.width))


def dither(number: int, width: int, shift: int) -> int:
    """d of [0, 2^shift) from a number of a register of ``width`` bits: floor(number 2^shift / 2^width).

    Its upper bits if there are more than ``shift``; itself, zeros below, if there are fewer. A mere wiring.
    """
    return number << shift >> width


def dithered(x: int, scaling: Scaling, limits: Limits, number: int, width: int = 16) -> int:
    """DAC code floor((x multiplier + d) / 2^shift), saturated to ``limits``; without dither it is scaling.apply."""
    return scaling.apply(x, limits, added=dither(number, width, scaling.shift))


def dithered_(codes: Tensor, scaling: Scaling, limits: Limits, lfsr: Lfsr) -> Tensor:
    """As :func:`dithered`, in place: element e in row-major order, the order of feeding, takes number e of ``lfsr``.

    A batch is fed image after image. Give a view in feeding order if memory has another (it is fastest if both
    agree); continue with ``lfsr.after(codes.numel())``. Exact where :meth:`Scaling.apply_` is, for limits within 2^24.
    """
    if not codes.is_contiguous():
        return codes.copy_(dithered_(codes.contiguous(), scaling, limits, lfsr))
    if scaling.shift == 0:  # nothing is shifted out, so there is nothing to dither
        return scaling.apply_(codes, limits)
    shares, place = fractions(lfsr, codes.device)
    for block in codes.view(-1).split(BLOCK):
        # x multiplier is whole, so the bits of the number below those of the shift do not change the floor.
        scale_block_(block, scaling, shares[place : place + len(block)], limits)
        place = (place + len(block)) % lfsr.period
    return codes


def shifted(register: int, width: int, taps: tuple[int, ...]) -> int:
    """The register after one shift."""
    feedback = sum(register >> (tap - 1) & 1 for tap in taps) & 1
    return (register << 1 | feedback) & (2**width - 1)


def shift_matrix(width: int, taps: tuple[int, ...]) -> Matrix:
    """One shift as a matrix: its columns are what single bits become."""
    return tuple(shifted(1 << bit, width, taps) for bit in range(width))


def times(matrix: Matrix, vector: int) -> int:
    """Matrix times vector over GF(2)."""
    product = 0
    for bit, column in enumerate(matrix):
        product ^= column if vector >> bit & 1 else 0
    return product


def power(matrix: Matrix, exponent: int) -> Matrix:
    """Matrix to a power over GF(2), by squaring."""
    result: Matrix = tuple(1 << bit for bit in range(len(matrix)))
    while exponent:
        if exponent & 1:
            result = tuple(times(matrix, column) for column in result)
        matrix = tuple(times(matrix, column) for column in matrix)
        exponent >>= 1
    return result


@lru_cache(maxsize=32)
def is_maximal(width: int, taps: tuple[int, ...]) -> bool:
    """Whether the shift's order is 2^width - 1: its power is 1 there, and at no divisor that lacks a prime factor."""
    period, shift, identity = 2**width - 1, shift_matrix(width, taps), tuple(1 << bit for bit in range(width))
    primes = [n for n in range(2, period + 1) if period % n == 0 and all(n % m for m in range(2, math.isqrt(n) + 1))]
    return power(shift, period) == identity and all(power(shift, period // prime) != identity for prime in primes)


@lru_cache(maxsize=4)
def sequence(width: int, taps: tuple[int, ...], shifts: int) -> tuple[np.ndarray, np.ndarray]:
    """The whole period from number 1 on, and the place of each number in it (of 0: none, it holds 0)."""
    step = power(shift_matrix(width, taps), shifts)
    numbers = np.ones(1, dtype=np.int32)
    while len(numbers) < 2**width - 1:  # what is there, leapt by its own length
        leap = power(step, len(numbers))
        bits = numbers >> np.arange(width, dtype=np.int32)[:, None] & 1
        leapt = np.bitwise_xor.reduce(bits * np.array(leap, dtype=np.int32)[:, None], axis=0)
        numbers = np.concatenate([numbers, leapt])[: 2**width - 1]
    places = np.zeros(2**width, dtype=np.int32)
    places[numbers] = np.arange(len(numbers))
    return numbers, places


@lru_cache(maxsize=8)
def _fraction_table(width: int, taps: tuple[int, ...], shifts: int, device: torch.device) -> Tensor:
    """Numbers over 2^width, float64, a block longer than the period: a block of them is a view."""
    numbers, _ = sequence(width, taps, shifts)
    whole = np.resize(numbers, len(numbers) + BLOCK)
    return torch.from_numpy(whole / 2.0**width).to(device)


def fractions(lfsr: Lfsr, device: torch.device) -> tuple[Tensor, int]:
    """A table of numbers over 2^width, and the place of the register's number 0 in it."""
    _, places = sequence(lfsr.width, lfsr.tapped, lfsr.shifts)
    return _fraction_table(lfsr.width, lfsr.tapped, lfsr.shifts, device), int(places[lfsr.seed])
