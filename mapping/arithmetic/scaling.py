"""Multiplication by a real ratio with integers: a multiplier, a right shift, rounding, saturation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from mapping.arithmetic.codes import Limits, clip

# With these and float32 codes no product, its rounding added, leaves the 53 bits that float64 holds exactly.
MULTIPLIER_BITS = 24
LARGEST_SHIFT = 48

# Elements scaled at a time: their float64 copy stays in the cache.
BLOCK = 1 << 15


@dataclass(frozen=True)
class Scaling:
    """y = floor((x multiplier + half) / 2^shift), half = 2^(shift - 1): x times multiplier / 2^shift, ties upwards.

    In words: multiply, add one half of what is shifted out, shift right arithmetically, saturate. Without a shift
    nothing is rounded and half is 0; there is no shift to the left.

    Attributes:
        multiplier: signed, |multiplier| < 2^24.
        shift: 0 .. 48.

    Raises:
        ValueError: if one of them lies outside.
    """

    multiplier: int
    shift: int

    def __post_init__(self) -> None:
        if abs(self.multiplier) >= 2**MULTIPLIER_BITS:
            raise ValueError(f"multiplier {self.multiplier}: expected less than {MULTIPLIER_BITS} bits and a sign")
        if not 0 <= self.shift <= LARGEST_SHIFT:
            raise ValueError(f"shift {self.shift}: expected 0 .. {LARGEST_SHIFT}")

    @classmethod
    def nearest(cls, ratio: float | Fraction, bits: int = 16) -> Scaling:
        """The scaling nearest to a positive ratio, in lowest terms: relative error at most 2^-bits.

        With the default 16 bits it reaches from 2^-33 to 2^16; 9 to 24 bits all reach from 2^-24 to 2^8.

        Args:
            bits: of the multiplier, 1 .. 24.

        Raises:
            ValueError: for a ratio that is not positive and finite, or that the bits or the shift do not reach.
        """
        if not 1 <= bits <= MULTIPLIER_BITS:
            raise ValueError(f"{bits} bits of a multiplier: expected 1 .. {MULTIPLIER_BITS}")
        if not 0.0 < ratio < math.inf:
            raise ValueError(f"ratio {float(ratio):g}: expected a positive finite number")
        exact = Fraction(ratio)
        exponent = exact.numerator.bit_length() - exact.denominator.bit_length()
        exponent -= exact < Fraction(2) ** exponent
        shift = bits - 1 - exponent
        multiplier = math.floor(exact * Fraction(2) ** shift + Fraction(1, 2))
        if shift < 0 or (shift == 0 and multiplier == 2**bits):
            raise ValueError(f"ratio {float(ratio):g}: beyond a multiplier of {bits} bits without a shift to the left")
        if shift > LARGEST_SHIFT:
            raise ValueError(f"ratio {float(ratio):g}: {bits} bits of it lie beyond a shift of {LARGEST_SHIFT}")
        if multiplier == 2**bits:
            multiplier, shift = multiplier // 2, shift - 1
        return cls(multiplier, shift).lowest_terms()

    @classmethod
    def fixed_point(cls, value: float | Fraction, fraction_bits: int = 12) -> Scaling:
        """Multiplication by ``value`` of either sign, rounded to a multiple of 2^-fraction_bits (how beta is held).

        Raises:
            ValueError: for a value that is not finite, too large, or that rounds to 0 without being 0.
        """
        if not -math.inf < value < math.inf:
            raise ValueError(f"value {float(value):g}: expected a finite number")
        multiplier = math.floor(Fraction(value) * 2**fraction_bits + Fraction(1, 2))
        if multiplier == 0 and value != 0:
            raise ValueError(f"value {float(value):g} rounds to 0: expected at least half of 2^-{fraction_bits}")
        return cls(multiplier, fraction_bits)

    def lowest_terms(self) -> Scaling:
        """The same function with common powers of two taken out."""
        either = self.multiplier | 1 << self.shift
        zeros = (either & -either).bit_length() - 1  # at the end of both
        return Scaling(self.multiplier >> zeros, self.shift - zeros)

    @property
    def ratio(self) -> Fraction:
        """What x is multiplied with, exactly."""
        return Fraction(self.multiplier, 2**self.shift)

    @property
    def half(self) -> int:
        """Added before the shift: 2^(shift - 1), or 0 without a shift."""
        return 1 << self.shift >> 1

    @property
    def reach(self) -> int:
        """Largest |x| for which tensors of float64 are exact: |x| multiplier + half < 2^53. At least 2^28."""
        return (2**53 - 1 - self.half) // max(1, abs(self.multiplier))

    def apply(self, x: int, limits: Limits | None = None, *, added: int | None = None) -> int:
        """floor((x multiplier + half) / 2^shift), saturated to ``limits``.

        Args:
            added: instead of half: a dither, in [0, 2^shift).
        """
        y = (x * self.multiplier + (self.half if added is None else added)) >> self.shift
        return y if limits is None else clip(y, limits)

    def apply_(self, codes: Tensor, limits: Limits | None = None) -> Tensor:
        """As :meth:`apply`, in place.

        Exact for whole numbers, in float32 up to 2^24 and in float64 up to :attr:`reach`; what comes out, or its
        ``limits``, must be exact in the tensor's type too (2^24 in float32).
        """
        if self == Scaling(1, 0):
            return codes if limits is None else codes.clamp_(*limits)
        half = 0.5 if self.shift else 0.0
        for block in blocks(codes):
            scale_block_(block, self, half, limits)
        return codes


def scale_block_(block: Tensor, by: Scaling, added: float | Tensor, limits: Limits | None) -> None:
    """floor(x ratio + added) of one block, in place. Exact: float64 holds the product and the sum."""
    wide = block.to(torch.float64)
    wide = wide.mul_(float(by.ratio)).add_(added).floor_()
    if limits is not None:
        wide.clamp_(*limits)
    if wide is not block:
        block.copy_(wide)


def blocks(tensor: Tensor) -> tuple[Tensor, ...]:
    """Views that together cover ``tensor`` once, in the order of memory: whole if it is not dense."""
    dense = tensor.permute(sorted(range(tensor.dim()), key=tensor.stride().__getitem__, reverse=True))
    return dense.view(-1).split(BLOCK) if dense.is_contiguous() else (tensor,)
