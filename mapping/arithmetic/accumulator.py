"""Accumulators of ADC codes: wide enough for every sum that a mapping can cause, so that they need no saturation."""

from __future__ import annotations


def accumulator_bits(adc_bits: int, terms: int) -> int:
    """Fewest bits of a signed sum of ``terms`` signed codes that can never overflow: adc_bits + ceil(log2 terms).

    Args:
        adc_bits: of a code, -2^(adc_bits-1) .. 2^(adc_bits-1) - 1 (a symmetric range is one code smaller).
        terms: codes added between two clearings: tiles, averaged conversions, overlapping positions. A code that
            counts c times (significance of a slice, of a bit of the drive) is c terms.

    Raises:
        ValueError: for fewer than one bit or one term.
    """
    if adc_bits < 1 or terms < 1:
        raise ValueError(f"sum of {terms} codes of {adc_bits} bits: expected at least 1 of each")
    return adc_bits + (terms - 1).bit_length()


def check_accumulator(adc_bits: int, terms: int, bits: int = 32) -> None:
    """Refuse sums that ``bits`` bits could not hold. Float32 holds whole numbers of 25 bits, sign included.

    Raises:
        ValueError: with the bits that the sum needs.
    """
    needed = accumulator_bits(adc_bits, terms)
    if needed > bits:
        raise ValueError(f"sum of {terms} codes of {adc_bits} bits needs {needed} bits: the accumulator has {bits}")
