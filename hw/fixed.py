"""Fixed point in circuits: a scaling with its limits, as constants or as a port, and the datapath made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amaranth import Mux, Shape, Signal, Value, signed
from amaranth.lib import data

from hw.pipeline import Pipeline
from mapping.arithmetic import Limits, Scaling
from mapping.arithmetic.scaling import LARGEST_SHIFT, MULTIPLIER_BITS

ADDS = 6  # stages of scaled until a number is added
PART_BITS = 17  # of the unsigned numbers that a signed multiplier of 18 bits takes


@dataclass(frozen=True)
class Rule:
    """y = saturate(floor((x multiplier + half) >> shift)) with constants: the circuit can do nothing else.

    Attributes:
        scaling: multiplier and shift.
        limits: lowest and highest y.

    Raises:
        ValueError: for limits that leave less than two codes.
    """

    scaling: Scaling
    limits: Limits

    def __post_init__(self) -> None:
        if self.limits[0] >= self.limits[1]:
            raise ValueError(f"limits {self.limits}: expected the lowest code, then a higher one")

    @property
    def output(self) -> Shape:
        """Fewest bits that hold every y; signed if one is negative."""
        return Shape.cast(range(self.low, self.high + 1))

    @property
    def multiplier(self) -> int:
        """Of the scaling."""
        return self.scaling.multiplier

    @property
    def shift(self) -> int:
        """Of the scaling."""
        return self.scaling.shift

    @property
    def low(self) -> int:
        """Lowest y."""
        return self.limits[0]

    @property
    def high(self) -> int:
        """Highest y."""
        return self.limits[1]


@dataclass(frozen=True)
class RulePort:
    """The same rule read from a port, ``rule``, with every element: a layer, a phase can have its own.

    Attributes:
        output: shape of y, and of the limits.
        multiplier_bits: of |multiplier|, 1 .. 24.
        largest_shift: 0 .. 48; a larger one must not be given.

    Raises:
        ValueError: for a width outside.
    """

    output: Shape
    multiplier_bits: int = 16
    largest_shift: int = LARGEST_SHIFT

    def __post_init__(self) -> None:
        if not 1 <= self.multiplier_bits <= MULTIPLIER_BITS:
            raise ValueError(f"{self.multiplier_bits} bits of a multiplier: expected 1 .. {MULTIPLIER_BITS}")
        if not 0 <= self.largest_shift <= LARGEST_SHIFT:
            raise ValueError(f"largest shift {self.largest_shift}: expected 0 .. {LARGEST_SHIFT}")

    @property
    def layout(self) -> data.StructLayout:
        """Of the port: multiplier (signed), shift, low, high."""
        return data.StructLayout(
            {
                "multiplier": signed(self.multiplier_bits + 1),
                "shift": range(self.largest_shift + 1),
                "low": self.output,
                "high": self.output,
            }
        )


def scaled(
    p: Pipeline, xs: Sequence[Value], rule: Any, numbers: Sequence[Value | int] = (), width: int = 1
) -> list[Value]:
    """saturate(floor((x multiplier + d) >> shift)), d = floor(number 2^shift / 2^width), of each x, eight stages on.

    Without a number d is one half of what is shifted out: rounding with ties upwards. With a number of a register of
    ``width`` bits, d is its dither. The product is shifted first, ``width`` bits of its fraction are kept, the number
    is added to them and they are cut off: one shifter instead of two, and a product that is whole cannot tell.

    Args:
        p: stages take; hand on (multipliers of an FPGA lie far apart); multiply; hand on; add up the product; shift;
            add the number; compare with the limits. The caller keeps what comes back, y or a limit, in one more.
        xs, rule: as they come.
        numbers: of each x, ADDS stages on.
    """
    multiplier, shift = p.kept(rule.multiplier), p.kept(rule.shift, ADDS - 2)
    low, high = p.kept(rule.low, ADDS + 1), p.kept(rule.high, ADDS + 1)
    lowest, highest = p.kept(low), p.kept(high)
    found = []
    for x, number in zip(xs, numbers or [1] * len(xs), strict=True):
        moved = p.kept(shifted(multiplied(p, p.kept(x, 2), p.own(multiplier)), p.own(shift), width))
        whole = p.kept((moved + number).shift_right(width))
        below, above = (p.kept(outside) for outside in beyond(whole, low, high))
        found.append(Mux(below, lowest, Mux(above, highest, p.kept(whole))))
    return found


def beyond(whole: Value, low: Value | int, high: Value | int) -> tuple[Value, Value]:
    """Whether ``whole`` is below ``low``, and whether it is above ``high``.

    Only its lowest bits are compared, by the signs of differences (a shorter way than <): the others are all like the
    sign, or tell by themselves that it is outside.
    """
    bits = 1 + max(len(Value.cast(low)), len(Value.cast(high)))
    if len(whole) <= bits:
        return (whole - low)[-1], (high - whole)[-1]
    rest, lowest = whole[bits - 1 :], whole[:bits].as_signed()
    near = rest.all() | ~rest.any()
    return Mux(near, (lowest - low)[-1], whole[-1]), Mux(near, (high - lowest)[-1], ~whole[-1])


def multiplied(p: Pipeline, x: Value, y: Value | int) -> Value:
    """x y, three stages on: products for multipliers of 18 bits, the same handed on, then their sum."""
    product = Signal((x * y).shape(), reset_less=True)
    products = [
        p.kept(part * other, 2).shift_left(place + other_place)
        for part, place in parts(x)
        for other, other_place in parts(Value.cast(y))
    ]
    p.keep(product, sum(products[1:], products[0]))
    return product


def parts(x: Value, place: int = 0) -> list[tuple[Value, int]]:
    """Numbers that signed multipliers of 18 bits take, and places: each shifted left by its place, their sum is x."""
    is_signed = x.shape().signed
    if len(x) - is_signed <= PART_BITS:
        return [(x, place)]
    rest = x[PART_BITS:]
    return [(x[:PART_BITS], place), *parts(rest.as_signed() if is_signed else rest, place + PART_BITS)]


def shifted(product: Value, shift: Value | int, width: int = 1) -> Value:
    """floor(product 2^width >> shift): with ``width`` bits of the fraction."""
    wide = product.shift_left(width)
    return wide.shift_right(shift) if isinstance(shift, int) else wide >> shift


def rounded(product: Value, shift: int) -> Value:
    """floor((product + half) >> shift)."""
    return (shifted(product, shift) + 1).shift_right(1)
