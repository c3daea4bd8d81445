"""Truth: exact fractions. A float is a fraction, so floor(x / step + 1/2) can be computed without rounding."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mapping.arithmetic import EXACT_FLOAT32_BITS, Codes, round_

HALF = Fraction(1, 2)

full_scales = st.floats(1e-3, 1e3)
converter_bits = st.integers(2, 16)


def exact_code(value: float, step: float, low: int, high: int) -> int:
    return min(max(math.floor(Fraction(value) / Fraction(step) + HALF), low), high)


def distance_to_tie(value: float, step: float) -> Fraction:
    scaled = Fraction(value) / Fraction(step) + HALF
    return abs(scaled - round(scaled))


@given(st.integers(-(2**22), 2**22))
def test_ties_round_upwards(whole: int) -> None:
    assert round_(torch.tensor([whole + 0.5])).item() == whole + 1


@given(st.lists(st.floats(-(2**20), 2**20, width=32), min_size=1))
def test_rounding_is_to_the_nearest(values: list[float]) -> None:
    rounded = round_(torch.tensor(values, dtype=torch.float64)).tolist()
    assert rounded == [math.floor(Fraction(value) + HALF) for value in values]


@given(full_scales, converter_bits, st.booleans(), st.lists(st.floats(-2e3, 2e3, width=32), min_size=1))
def test_encode_is_the_exact_code_but_for_ties(scale: float, bits: int, signed: bool, values: list[float]) -> None:
    codes = Codes.for_range(scale, bits, signed=signed)
    found = codes.encode_(torch.tensor(values)).tolist()
    for value, code in zip(values, found, strict=True):
        exact = exact_code(value, codes.step, codes.low, codes.high)
        tie = distance_to_tie(value, codes.step)
        assert code == exact or (abs(code - exact) == 1 and tie <= 1e-6 * (1 + abs(exact)))


@given(full_scales, converter_bits, st.booleans())
def test_largest_code_means_the_full_scale(scale: float, bits: int, signed: bool) -> None:
    codes = Codes.for_range(scale, bits, signed=signed)
    assert codes.high * codes.step == pytest.approx(scale, rel=1e-15)
    assert codes.low == (-codes.high if signed else 0)
    assert codes.high == (2 ** (bits - 1) - 1 if signed else 2**bits - 1)


@given(full_scales, converter_bits, st.booleans())
def test_values_beyond_the_range_saturate(scale: float, bits: int, signed: bool) -> None:
    codes = Codes.for_range(scale, bits, signed=signed)
    assert codes.encode_(torch.tensor([-1e30, 1e30, -math.inf, math.inf])).tolist() == [codes.low, codes.high] * 2


@given(full_scales, converter_bits, st.lists(st.floats(-1e3, 1e3, width=32), min_size=1))
def test_signed_codes_are_symmetric(scale: float, bits: int, values: list[float]) -> None:
    codes = Codes.for_range(scale, bits, signed=True)
    for value in values:
        if distance_to_tie(value, codes.step) > 1e-3:
            positive, negative = codes.encode_(torch.tensor([value, -value])).tolist()
            assert positive == -negative


@given(full_scales, converter_bits, st.booleans())
def test_every_code_survives_decoding_and_encoding(scale: float, bits: int, signed: bool) -> None:
    codes = Codes.for_range(scale, bits, signed=signed)
    every = torch.arange(codes.low, codes.high + 1, dtype=torch.float32)
    assert torch.equal(codes.encode_(codes.decode_(every.clone())), every)


@given(full_scales, st.integers(4, 24), st.booleans())
def test_fixed_point_has_the_finest_power_of_two_that_reaches(scale: float, bits: int, signed: bool) -> None:
    codes = Codes.fixed_point(scale, bits, signed=signed)
    assert math.frexp(codes.step)[0] == 0.5
    assert codes.high - codes.low + 1 == 2**bits
    # Two's complement stops one step short of the power of two.
    assert Fraction(codes.high + 1) * Fraction(codes.step) >= Fraction(scale)
    assert Fraction(codes.high + 1) * Fraction(codes.step) / 2 < Fraction(scale)


@given(st.floats(0.1, 50.0), st.integers(4, EXACT_FLOAT32_BITS), st.booleans(), st.floats(-60.0, 60.0, width=32))
def test_fixed_point_values_are_exact_in_float32(scale: float, bits: int, signed: bool, value: float) -> None:
    codes = Codes.fixed_point(scale, bits, signed=signed)
    held = codes.quantise_(torch.tensor([value])).item()
    code = Fraction(held) / Fraction(codes.step)
    assert code.denominator == 1
    assert codes.low <= code <= codes.high
    if codes.low < code < codes.high and bits < EXACT_FLOAT32_BITS - 2:
        assert code == math.floor(Fraction(value) / Fraction(codes.step) + HALF)


@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf, math.nan])
def test_refuses_a_full_scale_that_is_none(scale: float) -> None:
    with pytest.raises(ValueError, match="expected a positive finite number"):
        Codes.for_range(scale, 8, signed=True)


def test_refuses_too_few_bits() -> None:
    with pytest.raises(ValueError, match="1 bits signed: expected enough for one step"):
        Codes.for_range(1.0, 1, signed=True)
