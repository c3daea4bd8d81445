"""Truth: fractions for shares, numbers taken one by one from ``Lfsr.next``, coincidences counted slot by slot.

Rules on plain integers are compared with these, rules on tensors with those on integers: equal, not close.
"""

import math
from fractions import Fraction
from itertools import count, islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mapping.arithmetic import Scaling
from mapping.arithmetic.trains import (
    COLUMN_SHIFTS,
    DrawnTrains,
    FixedTrains,
    Trains,
    coincidences,
    matched,
    share,
    shares_,
    sign,
    stride,
    train,
    train_,
)
from mapping.dither import TAPS, Lfsr

# Slots: the documented largest miss of a fixed count from n m / slots.
FIXED_MISSES = {31: 1.5, 63: 3.7, 127: 1.7}

codes = st.lists(st.integers(-(2**17), 2**17), min_size=1, max_size=9)
scalings = st.builds(Scaling, st.integers(0, 2**16 - 1), st.integers(0, 24))


def numbers_in_turn(lfsr: Lfsr, lines: int, lanes: int, slots: int) -> list[list[int]]:
    """Every lane takes a number in every clock, in the order slot, group, lane; those without a line drop theirs."""
    found, number = [], lfsr.seed
    for _ in range(slots):
        taken = []
        for place in range(math.ceil(lines / lanes) * lanes):
            taken += [number] if place < lines else []
            number = lfsr.next(number)
        found.append(taken)
    return found


@given(st.integers(-(2**24), 2**24), st.integers(1 - 2**24, 2**24 - 1), st.integers(0, 48), st.sampled_from([8, 16]))
def test_a_share_is_the_rounded_scaled_magnitude_within_its_ends(
    x: int, multiplier: int, shift: int, bits: int
) -> None:
    trains = DrawnTrains(Scaling(multiplier, shift), Lfsr(bits))
    exact = math.floor(abs(x) * Fraction(multiplier, 2**shift) + (Fraction(1, 2) if shift else 0))
    assert share(x, trains) == min(max(exact, 0), 2**bits - 1)
    assert share(x, trains) == share(-x, trains)
    assert shares_(torch.tensor([float(x)]), trains).item() == share(x, trains)


@pytest.mark.parametrize("lines", [1, 2, 7])
def test_over_a_period_a_line_pulses_with_exactly_its_share(lines: int) -> None:
    lfsr = Lfsr(8, seed=5)
    trains = DrawnTrains(Scaling(1, 0), lfsr)
    shares = (list(range(256)) * 2)[: 256 * lines]
    for first in range(0, 256, lines):
        values = [*islice(shares, first, first + lines)]
        pulses = train_(torch.tensor([values], dtype=torch.float32), trains, lfsr.period)
        assert pulses.sum(1).int().tolist() == [values]


@given(codes, scalings, st.integers(1, 255), st.integers(1, 5), st.integers(0, 6))
def test_drawn_lines_compare_with_the_registers_numbers_in_turn(
    values: list[int], scaling: Scaling, seed: int, lanes: int, slots: int
) -> None:
    trains = DrawnTrains(scaling, Lfsr(8, seed), lanes)
    numbers = numbers_in_turn(trains.lfsr, len(values), lanes, slots)
    shares = [share(value, trains) for value in values]
    wanted = [[int(held >= number) for held, number in zip(shares, row, strict=True)] for row in numbers]
    assert train(values, trains, slots) == wanted
    assert trains.numbers(slots, len(values)).int().tolist() == numbers


@given(codes, scalings, st.integers(1, 40))
def test_fixed_lines_pulse_in_as_many_slots_as_their_share_first_or_spread(
    values: list[int], scaling: Scaling, slots: int
) -> None:
    rows, columns = FixedTrains(scaling, slots), FixedTrains(scaling, slots, stride(slots))
    shares = [share(value, rows) for value in values]
    assert all(0 <= held <= slots for held in shares)
    assert train(values, rows, slots) == [[int(slot < held) for held in shares] for slot in range(slots)]
    spread = train(values, columns, slots)
    assert [sum(slot[line] for slot in spread) for line in range(len(values))] == shares
    ranks = [slot * stride(slots) % slots for slot in range(slots)]
    assert sorted(ranks) == list(range(slots))
    assert spread == [[int(rank < held) for held in shares] for rank in ranks]


@given(codes, scalings, st.integers(1, 255), st.integers(1, 5), st.booleans(), st.integers(1, 9), st.integers(1, 4))
def test_trains_of_tensors_are_those_of_integers_sample_after_sample(
    values: list[int], scaling: Scaling, seed: int, lanes: int, fixed: bool, slots: int, samples: int
) -> None:
    trains: Trains = DrawnTrains(scaling, Lfsr(8, seed), lanes)
    if fixed:
        trains = FixedTrains(scaling, slots, stride(slots))
    batch = [[value * (sample + 1) // 2 for value in values] for sample in range(samples)]
    wanted, now = [], trains
    for sample in batch:
        wanted.append(train(sample, now, slots))
        now = now.after(slots, len(values))
    given_codes = torch.tensor(batch, dtype=torch.float32)
    found = train_(given_codes, trains, slots)
    assert found.int().tolist() == wanted
    assert given_codes.int().tolist() == [[share(value, trains) for value in sample] for sample in batch]
    assert now == trains.after(slots * samples, len(values))


def test_silent_lines_never_pulse_and_full_ones_always() -> None:
    drawn, fixed = DrawnTrains(Scaling(1, 0), Lfsr(4)), FixedTrains(Scaling(1, 0), 7, 4)
    assert all(slot == [0, 1, 1] for slot in train([0, 15, -15], drawn, 15))
    assert all(slot == [0, 1, 1] for slot in train([0, 7, -99], fixed, 7))


def test_coincidences_are_signed_and_counted_slot_by_slot() -> None:
    rows, columns = FixedTrains(Scaling(1, 0), 5), FixedTrains(Scaling(1, 0), 5, 3)
    # Rows of 2 and 5 pulses, first: slots 0 1 and all. Columns with ranks 0 3 1 4 2: of 2 pulses, slots 0 and 2.
    assert coincidences([2, -5, 0], [2, -2, 0], rows, columns, 5) == [[1, -1, 0], [-2, 2, 0], [0, 0, 0]]
    x, y = [3, -90, 200, 17], [-255, 8, 120]
    drawn = DrawnTrains(Scaling(1, 0), Lfsr(8, 3), 2), DrawnTrains(Scaling(1, 0), Lfsr(8, 9, shifts=COLUMN_SHIFTS), 2)
    a, b = (numbers_in_turn(side.lfsr, lines, 2, 40) for side, lines in zip(drawn, (4, 3), strict=True))
    wanted = [
        [
            sign(x[i]) * sign(y[j]) * sum(abs(x[i]) >= a[s][i] and abs(y[j]) >= b[s][j] for s in range(40))
            for j in range(3)
        ]
        for i in range(4)
    ]
    assert coincidences(x, y, *drawn, 40) == wanted
    assert any(any(row) for row in wanted)


@pytest.mark.parametrize("slots", FIXED_MISSES)
def test_fixed_counts_keep_to_the_documented_miss(slots: int) -> None:
    one = Scaling(1, 0)
    everything = torch.arange(slots + 1.0)[None]
    rows = train_(everything.clone(), FixedTrains(one, slots), slots)[0].double()
    columns = train_(everything.clone(), FixedTrains(one, slots, stride(slots)), slots)[0].double()
    counts = (rows.T @ columns).numpy()
    n = np.arange(slots + 1)
    worst = np.abs(counts - np.outer(n, n) / slots).max()
    assert FIXED_MISSES[slots] - 0.11 < worst <= FIXED_MISSES[slots]
    # Shares before their rounding, among them the worst: just beside a half.
    p = np.linspace(0.0, 1.0, 40 * slots + 1)
    rounded = np.floor(p * slots + 0.5).astype(int)
    away = np.abs(counts[np.ix_(rounded, rounded)] - slots * np.outer(p, p)).max()
    assert worst < away <= FIXED_MISSES[slots] + 1.0


@pytest.mark.parametrize(("rows", "columns"), [(16, 16), (128, 128), (60, 52)])
def test_pairs_of_lines_meet_as_if_they_drew_by_themselves(rows: int, columns: int) -> None:
    slots = 4000

    def sigmas(shifts: int) -> np.ndarray:
        """How far counts of all devices are from slots p q, in standard deviations."""
        found = []
        for p, q in ((0.02, 0.02), (0.1, 0.5), (0.3, 0.1)):
            x, y = torch.full((1, rows), p * 65535 // 1), torch.full((1, columns), q * 65535 // 1)
            a = train_(x, DrawnTrains(Scaling(1, 0), Lfsr(seed=0xACE1)), slots)[0]
            b = train_(y, DrawnTrains(Scaling(1, 0), Lfsr(seed=0xBEEF, shifts=shifts)), slots)[0]
            found.append(((a.T @ b).double() - slots * p * q) / math.sqrt(slots * p * q * (1 - p * q)))
        return torch.stack(found).numpy()

    good = sigmas(COLUMN_SHIFTS)
    assert np.abs(good).max() < 7.0
    assert 0.85 < good.std() < 1.1
    if rows == columns == 128:  # the rows' own numbers some lines later would not do
        assert np.abs(sigmas(16)).max() > 15.0


def test_columns_shifts_reach_every_number_of_every_width() -> None:
    assert all(Lfsr(width, shifts=COLUMN_SHIFTS).period for width in TAPS)


@given(st.floats(1e-9, 0.05), st.integers(1, 127), st.floats(0.25, 4.0))
def test_matched_scalings_give_the_wanted_coincidences(gain: float, slots: int, balance: float) -> None:
    rows, columns = matched(gain, slots, 65535, slots, balance)
    p, q = rows.ratio / 65535, columns.ratio / slots
    assert float(slots * p * q) == pytest.approx(gain, rel=2.0**-14)
    assert float(p / q) == pytest.approx(balance**2, rel=2.0**-14)


def test_gains_too_small_for_any_code_are_nothing_and_too_large_ones_everything() -> None:
    assert matched(1e9, 31, 65535, 31) == (Scaling(65535, 0), Scaling(31, 0))
    assert matched(0.0, 31, 65535, 65535) == (Scaling(0, 0), Scaling(0, 0))
    assert matched(1e-40, 31, 65535, 65535) == (Scaling(0, 0), Scaling(0, 0))


@pytest.mark.parametrize("slots", [1, 2, 3, 16, 31, 64, 255])
def test_a_stride_reaches_every_slot(slots: int) -> None:
    assert math.gcd(stride(slots), slots) == 1
    nearest = next(
        n for away in count() for n in (stride(slots) - away, stride(slots) + away) if math.gcd(n, slots) == 1
    )
    assert nearest == stride(slots)


def test_refuses_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="0 slots"):
        FixedTrains(Scaling(1, 0), 0)
    for wrong in (0, 2, 7):
        with pytest.raises(ValueError, match=f"stride {wrong}: expected 1 .. 6"):
            FixedTrains(Scaling(1, 0), 6, wrong)
    with pytest.raises(ValueError, match="whole trains of 6"):
        FixedTrains(Scaling(1, 0), 6).after(7, 1)
    for gain, balance in ((-1.0, 1.0), (math.nan, 1.0), (math.inf, 1.0), (1.0, 0.0)):
        with pytest.raises(ValueError, match="gain"):
            matched(gain, 31, 65535, 65535, balance)
