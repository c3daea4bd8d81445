"""Truth: exact fractions. A float is a fraction, so floor(x / step + 1/2) can be computed without rounding.

Rules on plain integers are compared with fractions, rules on tensors with those on integers: equal, not close.
"""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mapping.arithmetic import (
    EXACT_FLOAT32_BITS,
    Codes,
    Scaling,
    SquaredErrorNudge,
    accumulator_bits,
    check_accumulator,
    clip,
    code_range,
    largest_change,
    largest_changes,
    linear_nudge,
    linear_nudge_,
    neuron,
    neuron_,
    round_,
    saturate,
    saturate_,
    settled_change,
)

HALF = Fraction(1, 2)

full_scales = st.floats(1e-3, 1e3)
converter_bits = st.integers(2, 16)
ratios = st.builds(lambda mantissa, exponent: mantissa * 2.0**exponent, st.floats(1.0, 2.0), st.integers(-24, 7))
scalings = st.builds(Scaling, st.integers(1 - 2**24, 2**24 - 1), st.integers(0, 48))
float32_codes = st.lists(st.integers(-(2**24), 2**24), min_size=1, max_size=40)
state_codes = st.lists(st.integers(-(2**20), 2**20), min_size=1, max_size=40)
limits_of_24_bits = st.tuples(st.integers(-(2**24), 0), st.integers(1, 2**24))
STATE = (-32768, 32767)


def rounded(value: Fraction) -> int:
    return math.floor(value + HALF)


def as_floats(codes: list[int], dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.tensor(codes, dtype=dtype)


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


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [1, 4, 8])
def test_saturation_keeps_every_code_of_its_bits_and_no_other(bits: int, signed: bool) -> None:
    every = range(-600, 601)
    kept = [x for x in every if saturate(x, bits, signed=signed) == x]
    assert kept == list(range(-(2**bits) // 2, 2**bits // 2) if signed else range(2**bits))
    assert saturate(-600, bits, signed=signed) == kept[0]
    assert saturate(600, bits, signed=signed) == kept[-1]
    assert saturate_(as_floats(list(every)), bits, signed=signed).tolist() == [
        saturate(x, bits, signed=signed) for x in every
    ]


@given(st.integers(1, 16), st.integers(1, 2**20))
def test_accumulators_are_just_wide_enough(adc_bits: int, terms: int) -> None:
    bits = accumulator_bits(adc_bits, terms)
    extremes = [terms * code for code in code_range(adc_bits, signed=True)]
    assert all(saturate(total, bits, signed=True) == total for total in extremes)
    assert bits == 1 or any(saturate(total, bits - 1, signed=True) != total for total in extremes)


def test_refuses_sums_beyond_the_accumulator() -> None:
    check_accumulator(8, 2**24)
    with pytest.raises(ValueError, match="needs 33 bits: the accumulator has 32"):
        check_accumulator(8, 2**24 + 1)
    with pytest.raises(ValueError, match="expected at least 1 of each"):
        accumulator_bits(8, 0)


@given(ratios, st.integers(9, 24))
def test_scaling_is_near_its_ratio(ratio: float, bits: int) -> None:
    scaling = Scaling.nearest(ratio, bits)
    assert abs(scaling.ratio - Fraction(ratio)) <= Fraction(ratio) / 2**bits
    assert 1 <= scaling.multiplier < 2**bits
    assert scaling.multiplier % 2 == 1 or scaling.shift == 0


@given(st.integers(-24, 8))
def test_powers_of_two_scale_exactly(exponent: int) -> None:
    assert Scaling.nearest(2.0**exponent).ratio == Fraction(2) ** exponent


@pytest.mark.parametrize("bits", [1, 8, 16, 24])
def test_ratio_that_rounds_up_to_one_more_bit_keeps_the_bits(bits: int) -> None:
    scaling = Scaling.nearest(1 - Fraction(1, 2 ** (bits + 2)), bits)
    assert scaling == Scaling(1, 0)


@given(scalings, st.integers(-(2**40), 2**40))
def test_scaling_is_floor_of_the_exact_product_and_a_half(scaling: Scaling, x: int) -> None:
    assert scaling.apply(x) == rounded(x * scaling.ratio)


@given(scalings, st.integers(-(2**40), 2**40))
def test_lowest_terms_are_the_same_function(scaling: Scaling, x: int) -> None:
    assert scaling.lowest_terms().apply(x) == scaling.apply(x)


@pytest.mark.parametrize("shift", range(10))
def test_every_byte_times_every_multiplier(shift: int) -> None:
    codes = list(range(-128, 128))
    for multiplier in range(-255, 256, 2 if shift else 1):
        scaling = Scaling(multiplier, shift)
        exact = [math.floor(Fraction(2 * x * multiplier + 2**shift, 2 ** (shift + 1))) for x in codes]
        assert [scaling.apply(x) for x in codes] == exact
        assert scaling.apply_(as_floats(codes)).tolist() == exact
        assert scaling.apply_(as_floats(codes), (-128, 127)).tolist() == [clip(y, (-128, 127)) for y in exact]


@given(scalings, float32_codes, limits_of_24_bits)
def test_scaled_float32_codes_are_the_integers(scaling: Scaling, codes: list[int], limits: tuple[int, int]) -> None:
    found = scaling.apply_(as_floats(codes), limits)
    assert found.dtype == torch.float32
    assert found.tolist() == [scaling.apply(x, limits) for x in codes]


@given(scalings, st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=20))
def test_scaled_float64_codes_are_the_integers_as_far_as_they_reach(scaling: Scaling, shares: list[float]) -> None:
    codes = [scaling.reach, -scaling.reach] + [int(scaling.reach * Fraction(share)) for share in shares]
    codes = [clip(x, (-(2**53), 2**53)) for x in codes]
    found = scaling.apply_(as_floats(codes, torch.float64)).tolist()
    assert found == [scaling.apply(x) for x in codes]


@given(st.integers(0, 2**23 - 1), st.booleans(), st.integers(1, 24), st.integers(-3, 3))
def test_products_next_to_a_tie_scale_as_the_integers(half_of: int, negative: bool, shift: int, off: int) -> None:
    odd = 2 * half_of + 1
    scaling = Scaling(-odd if negative else odd, shift)
    x = (2**shift // 2 + off) * pow(scaling.multiplier, -1, 2**shift) % 2**shift
    assert (x * scaling.multiplier + scaling.half - off) % 2**shift == 0  # the product lies ``off`` from a tie
    codes, limits = [x, x - 2**shift], (-(2**24), 2**24)
    assert scaling.apply_(as_floats(codes), limits).tolist() == [scaling.apply(code, limits) for code in codes]


def test_32_bit_sums_are_within_reach_of_16_bit_ratios() -> None:
    for exponent in range(-24, 9):
        assert Scaling.nearest(1.9999 * 2.0 ** (exponent - 1)).reach >= 2**31


@pytest.mark.parametrize("layout", ["channels last", "transposed", "strided", "scalar", "empty"])
def test_any_layout_of_a_tensor_is_scaled_once(layout: str) -> None:
    generator = torch.Generator().manual_seed(0)
    base = torch.randint(-(2**20), 2**20, (3, 8, 64, 64), generator=generator).float()
    given_layouts = {
        "channels last": base.to(memory_format=torch.channels_last),
        "transposed": base.clone().transpose(0, 2),
        "strided": base.clone()[:, ::3, 1:, ::2],
        "scalar": base[0, 0, 0, 0].clone(),
        "empty": base[:0].clone(),
    }
    tensor = given_layouts[layout]
    scaling = Scaling.nearest(0.0123)
    wanted = [scaling.apply(int(x), STATE) for x in tensor.flatten().tolist()]
    assert scaling.apply_(tensor, STATE) is tensor
    assert tensor.flatten().tolist() == wanted


@pytest.mark.parametrize(("ratio", "bits"), [(0.0, 16), (-1.0, 16), (math.inf, 16), (math.nan, 16)])
def test_refuses_a_ratio_that_is_none(ratio: float, bits: int) -> None:
    with pytest.raises(ValueError, match="expected a positive finite number"):
        Scaling.nearest(ratio, bits)


def test_refuses_what_integers_do_not_reach() -> None:
    with pytest.raises(ValueError, match="without a shift to the left"):
        Scaling.nearest(256.0, 8)
    with pytest.raises(ValueError, match="without a shift to the left"):
        Scaling.nearest(255.75, 8)
    with pytest.raises(ValueError, match="beyond a shift of 48"):
        Scaling.nearest(2.0**-40)
    with pytest.raises(ValueError, match="25 bits of a multiplier"):
        Scaling.nearest(1.0, 25)
    with pytest.raises(ValueError, match=r"expected 0 \.\. 48"):
        Scaling(1, -1)
    with pytest.raises(ValueError, match="expected less than 24 bits"):
        Scaling(-(2**24), 3)


@given(state_codes, st.integers(-(2**20), 2**20), st.floats(0.05, 20.0))
def test_neuron_is_the_clipped_quotient(drives: list[int], bias: int, stiffness: float) -> None:
    inverse = Scaling.nearest(1 / Fraction(stiffness))
    found = [neuron(drive, bias, inverse, (0, 32767)) for drive in drives]
    assert neuron_(as_floats(drives), bias, inverse, (0, 32767)).tolist() == found
    for drive, state in zip(drives, found, strict=True):
        exact = (drive + bias) / Fraction(stiffness)
        assert abs(state - min(max(exact, 0), 32767)) <= HALF + abs(exact) / 2**16


def test_neuron_of_unit_stiffness_only_adds_and_clips() -> None:
    drive, bias = as_floats([[-5, 3], [32767, 32768]]), as_floats([1, 2])
    assert neuron_(drive, bias, Scaling.nearest(1.0), (0, 32767)).tolist() == [[0, 5], [32767, 32767]]


betas = st.floats(-0.9, 2.0).filter(lambda beta: abs(beta) >= 2**-13)


@given(state_codes, betas, st.floats(1.0, 4.0), st.sampled_from([127, 256, 32768, 65536]), st.data())
def test_nudged_output_is_the_minimiser(
    drives: list[int], beta: float, stiffness: float, one: int, data: st.DataObject
) -> None:
    nudge = SquaredErrorNudge.build(beta, stiffness, one)
    target = data.draw(st.integers(0, len(drives) - 1))
    found = [nudge.apply(drive, is_target=unit == target, limits=STATE) for unit, drive in enumerate(drives)]
    assert nudge.apply_(as_floats([drives]), torch.tensor([target]), STATE).tolist() == [found]
    held = Fraction(rounded(Fraction(beta) * 4096), 4096)
    for unit, (drive, state) in enumerate(zip(drives, found, strict=True)):
        exact = (drive + held * one * (unit == target)) / (Fraction(stiffness) + held)
        bound = HALF + HALF / (Fraction(stiffness) + held) + abs(exact) / 2**15
        assert abs(state - min(max(exact, Fraction(STATE[0])), Fraction(STATE[1]))) <= bound


@given(betas, st.integers(-4096, 4096))
def test_push_is_the_rounded_strength_of_one(beta: float, one: int) -> None:
    assert SquaredErrorNudge.build(beta, 1.0, one).push == rounded(Fraction(rounded(Fraction(beta) * 4096), 4096) * one)


def test_pushes_that_tie_go_upwards_for_both_signs() -> None:
    assert SquaredErrorNudge.build(0.5, 1.0, 127).push == 64
    assert SquaredErrorNudge.build(-0.5, 1.0, 127).push == -63


def test_nudge_saturates_at_both_ends() -> None:
    up, down = SquaredErrorNudge.build(0.5, 1.0, 256), SquaredErrorNudge.build(-0.5, 1.0, 256)
    targets = torch.tensor([0, 1])
    assert up.apply_(as_floats([[300, 300], [-300, 0]]), targets, (0, 255)).tolist() == [[255, 200], [0, 85]]
    assert down.apply_(as_floats([[300, 300], [-300, 0]]), targets, (-256, 255)).tolist() == [[255, 255], [-256, -256]]


def test_nudge_finds_the_target_in_outputs_of_any_shape() -> None:
    nudge = SquaredErrorNudge.build(0.25, 1.0, 400)
    found = nudge.apply_(torch.zeros(2, 3, 2, 1), torch.tensor([4, 1]), STATE)
    assert found.flatten(1).tolist() == [[0, 0, 0, 0, 80, 0], [0, 80, 0, 0, 0, 0]]


def test_refuses_a_nudge_that_is_none_or_unstable() -> None:
    with pytest.raises(ValueError, match="rounds to 0"):
        SquaredErrorNudge.build(1e-5, 1.0, 256)
    with pytest.raises(ValueError, match="expected beta > -1"):
        SquaredErrorNudge.build(-1.0, 1.0, 256)
    with pytest.raises(ValueError, match="expected a finite number"):
        SquaredErrorNudge.build(math.nan, 1.0, 256)
    with pytest.raises(RuntimeError, match="index"):
        SquaredErrorNudge.build(0.5, 1.0, 256).apply_(torch.zeros(1, 2), torch.tensor([2]), STATE)


@given(state_codes, st.integers(-(2**20), 2**20), betas)
def test_linear_nudge_adds_the_rounded_product(errors: list[int], drive: int, beta: float) -> None:
    strength = Scaling.fixed_point(beta)
    assert abs(strength.ratio - Fraction(beta)) <= Fraction(1, 2**13)
    found = [linear_nudge(drive, error, strength) for error in errors]
    assert found == [drive + rounded(strength.ratio * error) for error in errors]
    given_errors = as_floats(errors)
    assert linear_nudge_(torch.full((len(errors),), float(drive)), given_errors, strength).tolist() == found
    assert given_errors.tolist() == errors


def test_linear_nudge_ties_go_upwards_for_both_signs() -> None:
    assert [linear_nudge(10, error, Scaling.fixed_point(0.5)) for error in (1, -1, 3, -3)] == [11, 10, 12, 9]
    assert [linear_nudge(10, error, Scaling.fixed_point(-0.5)) for error in (1, -1, 3, -3)] == [10, 11, 9, 12]


@given(st.lists(st.tuples(st.integers(-(2**23), 2**23), st.integers(-(2**23), 2**23)), max_size=30))
def test_residual_is_the_largest_change(pairs: list[tuple[int, int]]) -> None:
    new, old = [now for now, _ in pairs], [before for _, before in pairs]
    assert largest_change(new, old) == max([abs(now - before) for now, before in pairs], default=0)
    assert largest_changes(as_floats(new), as_floats(old)).item() == largest_change(new, old)


@pytest.mark.parametrize("place", [0, 40_000, 99_999])
def test_residual_sees_every_element_of_large_states_of_any_layout(place: int) -> None:
    old = torch.randint(-1000, 1000, (100, 10, 10, 10), generator=torch.Generator().manual_seed(0)).float()
    new = old.clone()
    new.view(-1)[place] -= 7.0
    assert largest_changes(new, old).item() == 7.0
    assert largest_changes(new.to(memory_format=torch.channels_last), old).item() == 7.0
    with pytest.raises(ValueError, match="expected one shape"):
        largest_changes(new, old[:1])


@given(st.integers(0, 2**16), st.floats(0.0, 10.0), st.floats(1e-6, 1.0))
def test_sweeps_stop_at_the_tolerance_in_values(change: int, tolerance: float, step: float) -> None:
    assert (change <= settled_change(tolerance, step)) == (change * Fraction(step) <= Fraction(tolerance))


def test_refuses_a_negative_tolerance() -> None:
    with pytest.raises(ValueError, match=r"tolerance -1\.0"):
        settled_change(-1.0, 0.5)
