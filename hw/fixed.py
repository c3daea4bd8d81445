"""Fixed point in circuits: a scaling with its limits, as constants or as a port, and the two expressions made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth import Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import data

from mapping.arithmetic import Limits, Scaling
from mapping.arithmetic.scaling import LARGEST_SHIFT, MULTIPLIER_BITS


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


def taken(m: Module, rule: Any, when: Value) -> Any:
    """A register that takes the port ``rule`` in clocks with ``when``; constants need none and come back."""
    if isinstance(rule, Rule):
        return rule
    register = Signal(rule.shape())
    with m.If(when):
        m.d.sync += register.eq(rule)
    return register


def shifted(product: Value, shift: Value | int, number: Value | int = 1, width: int = 1) -> Value:
    """floor((product + d) >> shift), d = floor(number 2^shift / 2^width).

    Without a number d is one half of what is shifted out: rounding with ties upwards. With a number of a register of
    ``width`` bits, d is its dither. The product is shifted first, ``width`` bits of its fraction are kept, the number
    is added to them and they are cut off: one shifter instead of two, and a product that is whole cannot tell.
    """
    wide = product.shift_left(width)
    kept = wide.shift_right(shift) if isinstance(shift, int) else wide >> shift
    return (kept + number).shift_right(width)


def saturated(x: Value, low: Value | int, high: Value | int) -> Value:
    """``x``, or the limit that it lies beyond."""
    return Mux(x < low, low, Mux(x > high, high, x))
