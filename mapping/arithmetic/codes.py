"""Codes of converters and states, and the range that a number of bits holds."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

EXACT_FLOAT32_BITS = 24

# Lowest and highest code.
Limits = tuple[int, int]


def code_range(bits: int, *, signed: bool) -> Limits:
    """What ``bits`` bits hold: two's complement, -2^(bits-1) .. 2^(bits-1) - 1, or 0 .. 2^bits - 1.

    Raises:
        ValueError: for fewer than one bit.
    """
    if bits < 1:
        raise ValueError(f"{bits} bits: expected >= 1")
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)


def clip(x: int, limits: Limits) -> int:
    """The code nearest to ``x`` within ``limits``."""
    low, high = limits
    return min(max(x, low), high)


def saturate(x: int, bits: int, *, signed: bool) -> int:
    """``x``, or the end of the range of ``bits`` bits that it lies beyond."""
    return clip(x, code_range(bits, signed=signed))


def saturate_(values: Tensor, bits: int, *, signed: bool) -> Tensor:
    """As :func:`saturate`, in place; the range's ends must be exact in the tensor's type (24 bits in float32)."""
    return values.clamp_(*code_range(bits, signed=signed))


def round_(values: Tensor) -> Tensor:
    """floor(x + 1/2), in place."""
    return values.add_(0.5).floor_()


@dataclass(frozen=True)
class Codes:
    """The codes of a converter or a state: value = code * step, code in [low, high]."""

    step: float
    low: int
    high: int

    @classmethod
    def for_range(cls, full_scale: float, bits: int, *, signed: bool) -> Codes:
        """Codes whose largest one means ``full_scale``; signed ranges are symmetric (no code below -high).

        Raises:
            ValueError: if the full scale is not positive and finite or there are too few bits for one step.
        """
        high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
        if not 0.0 < full_scale < math.inf:
            raise ValueError(f"full scale {full_scale}: expected a positive finite number")
        if high < 1:
            raise ValueError(f"{bits} bits{' signed' if signed else ''}: expected enough for one step")
        return cls(full_scale / high, -high if signed else 0, high)

    @classmethod
    def fixed_point(cls, full_scale: float, bits: int, *, signed: bool) -> Codes:
        """Codes with a power-of-two step that reach ``full_scale``: how states are held."""
        steps = 2 ** (bits - 1) if signed else 2**bits
        exponent = math.ceil(math.log2(full_scale)) - round(math.log2(steps))
        return cls(2.0**exponent, -steps if signed else 0, steps - 1)

    def encode_(self, values: Tensor) -> Tensor:
        """Values to codes, in place: scale, round, saturate."""
        return round_(values.mul_(1.0 / self.step)).clamp_(self.low, self.high)

    def decode_(self, codes: Tensor) -> Tensor:
        """Codes to values, in place."""
        return codes.mul_(self.step)

    def quantise_(self, values: Tensor) -> Tensor:
        """The value of the nearest code, in place."""
        return self.decode_(self.encode_(values))
