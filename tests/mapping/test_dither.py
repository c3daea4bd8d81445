"""Truth: the shift register bit by bit, the exact mean over a whole period, and arithmetic of plain integers."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mapping.arithmetic import Scaling
from mapping.dither import TAPS, Lfsr, dither, dithered, dithered_

WIDTHS = sorted(TAPS)
DAC = (-127, 127)


def register(width: int, seed: int, taps: tuple[int, ...], shifts: int) -> list[int]:
    """A shift register as a list of flip-flops, bit 0 first: what it holds after all shifts so far."""
    bits = [seed >> place & 1 for place in range(width)]
    held = [seed]
    for _ in range(shifts):
        bits = [sum(bits[tap - 1] for tap in taps) % 2, *bits[:-1]]
        held.append(sum(bit << place for place, bit in enumerate(bits)))
    return held


def parity(number: int) -> int:
    return number.bit_count() % 2


def moved(matrix: tuple[int, ...], number: int) -> int:
    return sum(parity(number & row) << bit for bit, row in enumerate(matrix))


@pytest.mark.parametrize("width", WIDTHS)
def test_every_number_but_zero_comes_once_a_period(width: int) -> None:
    numbers = Lfsr(width, shifts=1).numbers(0, 2**width - 1).to(torch.int64)
    assert torch.equal(numbers.sort().values, torch.arange(1, 2**width))


@pytest.mark.parametrize("width", [4, 7, 8, 12, 16])
def test_numbers_are_those_of_the_flip_flops(width: int) -> None:
    held = register(width, 5, TAPS[width], 16 * 300)
    assert Lfsr(width, 5).numbers(0, 300).tolist() == held[: 16 * 300 : 16]
    assert Lfsr(width, 5, shifts=1).numbers(0, 4000).tolist() == held[:4000]


def test_whole_period_follows_next() -> None:
    lfsr = Lfsr(seed=40_503)
    number = lfsr.seed
    for found in lfsr.numbers(0, lfsr.period).to(torch.int64).tolist():
        assert found == number
        number = lfsr.next(number)
    assert number == lfsr.seed


@given(st.sampled_from(WIDTHS[:13]), st.integers(1, 15), st.integers(-(10**6), 10**6), st.integers(0, 50))
def test_a_jump_goes_on_where_numbers_ended(width: int, seed: int, first: int, count: int) -> None:
    lfsr = Lfsr(width, seed)
    assert torch.equal(lfsr.jump(first).numbers(0, count), lfsr.numbers(first, count))
    assert torch.equal(
        torch.cat([lfsr.numbers(first, count), lfsr.numbers(first + count, 7)]), lfsr.numbers(first, count + 7)
    )
    assert lfsr.jump(first).jump(-first) == lfsr
    assert lfsr.jump(lfsr.period) == lfsr


@given(st.sampled_from([4, 8, 16]), st.integers(1, 15), st.integers(1, 9), st.sampled_from([1, 16]), st.integers(0, 60))
def test_lanes_that_leap_give_the_sequence_in_turn(width: int, seed: int, lanes: int, shifts: int, n: int) -> None:
    lfsr = Lfsr(width, seed, shifts=shifts)
    leap, held, fed = lfsr.leap_matrix(lanes), list(lfsr.lanes(lanes)), []
    while len(fed) < n:
        fed += held
        held = [moved(leap, number) for number in held]
    assert fed[:n] == lfsr.numbers(0, n).tolist()
    assert lfsr.after(n, lanes).seed == held[0]


@given(st.sampled_from([8, 16]), st.integers(1, 255), st.integers(1, 16))
def test_one_register_feeds_all_lanes_through_matrices(width: int, seed: int, lanes: int) -> None:
    lfsr = Lfsr(width, seed)
    assert tuple(moved(lfsr.leap_matrix(lane), seed) for lane in range(lanes)) == lfsr.lanes(lanes)


def test_neighbours_share_nothing() -> None:
    lfsr, single = Lfsr(), Lfsr(shifts=1)
    for register_, expected in ((lfsr, 0.0), (single, 0.5)):
        numbers = register_.numbers(0, lfsr.period).double()
        centred = numbers - numbers.mean()
        found = (centred * centred.roll(-1)).mean() / centred.square().mean()
        assert found.item() == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("shift", range(12))
def test_dither_is_the_numbers_fraction_of_the_shift(shift: int) -> None:
    width = 8
    found = [dither(number, width, shift) for number in range(1, 256)]
    assert found == [math.floor(Fraction(number, 256) * 2**shift) for number in range(1, 256)]
    assert all(0 <= d < 2**shift for d in found)


@pytest.mark.parametrize("shift", [0, 1, 3, 8, 9, 11])
@pytest.mark.parametrize("multiplier", [1, -1, 3, 77, 255])
def test_mean_over_a_period_is_unbiased(multiplier: int, shift: int) -> None:
    scaling, width, wide = Scaling(multiplier, shift), 8, (-(2**20), 2**20)
    period = 2**width - 1
    for x in range(-128, 128):
        total = sum(dithered(x, scaling, wide, number, width) for number in range(1, period + 1))
        assert abs(Fraction(total, period) - x * scaling.ratio) <= Fraction(1, period)


def test_a_nudge_below_a_step_survives_dither_and_not_rounding() -> None:
    scaling = Scaling.nearest(2.0**-8)
    states = torch.full((65_535,), 1000.0)
    before = dithered_(states.clone(), scaling, DAC, Lfsr()).mean().item()
    after = dithered_(states + 20, scaling, DAC, Lfsr()).mean().item()
    assert after - before == pytest.approx(20 / 256, abs=2 / 65_535)
    assert torch.equal(scaling.apply_(states.clone(), DAC), scaling.apply_(states + 20, DAC))


@given(
    st.lists(st.integers(-(2**24), 2**24), min_size=1, max_size=30),
    st.integers(1 - 2**24, 2**24 - 1),
    st.integers(0, 48),
    st.sampled_from([4, 8, 16, 18]),
    st.integers(0, 10**6),
)
def test_dithered_tensors_are_the_integers(xs: list[int], multiplier: int, shift: int, width: int, start: int) -> None:
    scaling, lfsr = Scaling(multiplier, shift), Lfsr(width, 9).jump(start)
    numbers = [int(number) for number in lfsr.numbers(0, len(xs)).tolist()]
    for limits in (DAC, (-(2**24), 2**24)):
        found = dithered_(torch.tensor(xs, dtype=torch.float32), scaling, limits, lfsr).tolist()
        assert found == [dithered(x, scaling, limits, d, width) for x, d in zip(xs, numbers, strict=True)]


@given(st.integers(0, 2**23 - 1), st.integers(1, 24), st.integers(1, 65_535), st.integers(-3, 3))
def test_sums_next_to_a_step_dither_as_the_integers(half_of: int, shift: int, number: int, off: int) -> None:
    scaling, limits = Scaling(2 * half_of + 1, shift), (-(2**24), 2**24)
    x = (off - dither(number, 16, shift)) * pow(scaling.multiplier, -1, 2**shift) % 2**shift
    assert (x * scaling.multiplier + dither(number, 16, shift) - off) % 2**shift == 0  # ``off`` from the next code
    for code in (x, x - 2**shift):
        found = dithered_(torch.tensor([float(code)]), scaling, limits, Lfsr(seed=number)).item()
        assert found == dithered(code, scaling, limits, number)


@pytest.mark.parametrize("width", [4, 16])
@pytest.mark.parametrize("layout", ["plain", "channels last", "strided"])
def test_numbers_go_in_row_major_order_across_blocks_and_periods(layout: str, width: int) -> None:
    generator = torch.Generator().manual_seed(1)
    states = torch.randint(-(2**15), 2**15, (5, 6, 50, 60), generator=generator).float()  # more than a period
    if layout == "channels last":
        states = states.to(memory_format=torch.channels_last)
    elif layout == "strided":
        states = states[:, :, ::2, 1:]
    scaling, lfsr = Scaling.nearest(127 / 32768), Lfsr(width, 11)
    numbers = lfsr.numbers(0, states.numel()).to(torch.int64).tolist()
    wanted = [
        dithered(int(x), scaling, DAC, number, width)
        for x, number in zip(states.flatten().tolist(), numbers, strict=True)
    ]
    assert dithered_(states, scaling, DAC, lfsr) is states
    assert states.flatten().tolist() == wanted


def test_reads_in_pieces_dither_as_one() -> None:
    states = torch.arange(3000.0).mul_(7)
    scaling, lfsr = Scaling.nearest(1 / 300), Lfsr()
    whole = dithered_(states.clone(), scaling, DAC, lfsr)
    pieces = [
        dithered_(states[:1100].clone(), scaling, DAC, lfsr),
        dithered_(states[1100:].clone(), scaling, DAC, lfsr.after(1100)),
    ]
    assert torch.equal(whole, torch.cat(pieces))


def test_reads_of_whole_clocks_skip_idle_lanes() -> None:
    lfsr = Lfsr()
    assert lfsr.after(9, lanes=4) == lfsr.jump(12)
    assert lfsr.after(8, lanes=4) == lfsr.jump(8)
    assert lfsr.after(0, lanes=4) == lfsr


def test_refuses_registers_that_do_not_run_through_all_numbers() -> None:
    with pytest.raises(ValueError, match="seed 0: expected 1"):
        Lfsr(seed=0)
    with pytest.raises(ValueError, match="seed 256"):
        Lfsr(8, seed=256)
    with pytest.raises(ValueError, match="width 3: expected 4"):
        Lfsr(3)
    with pytest.raises(ValueError, match="the sequence is shorter than 65535"):
        Lfsr(taps=(16, 15))
    with pytest.raises(ValueError, match="without a factor of 65535"):
        Lfsr(shifts=5)
    with pytest.raises(ValueError, match="taps"):
        Lfsr(8, taps=(9, 1))
