"""Truth: moments of products of Bernoulli bits in numpy, and coincidences counted slot by slot in whole numbers."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sim import pulse_trains
from sim.pulse_trains import LatticeTrains, PulseTrains, Saturation

SIGMAS = 5.0
KINDS = ["stochastic", "deterministic"]
# Number of slots: the lattice's stride and the documented largest miss of one sample.
LATTICES = {31: (19, 3.1), 63: (38, 5.0), 127: (78, 4.2)}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def values(*shape: int, seed: int = 0) -> Tensor:
    """Of both signs, between -1 and 1, about a third of them zero."""
    drawn = torch.rand(shape, generator=seeded(seed)) * 3.0 - 1.5
    return drawn.sign() * (drawn.abs() - 0.5).clamp(min=0.0)


def trials(trains: PulseTrains, x: list[float], y: list[float], gain: float, count: int = 4000) -> np.ndarray:
    """Counts of many independent updates by one sample, [count, rows, columns]."""
    generator = seeded(7)
    row, column = torch.tensor([x]), torch.tensor([y])
    return np.stack([trains.coincidences(row, column, gain, generator).numpy() for _ in range(count)]).astype(float)


@pytest.mark.parametrize("managed", [True, False])
@pytest.mark.parametrize("gain", [0.05, 1.0, 12.0])
def test_mean_counts_are_the_outer_product(gain: float, managed: bool) -> None:
    x, y, repeats = values(8, 6, seed=1), values(8, 5, seed=2), 5000
    found = PulseTrains(managed=managed).coincidences(x.repeat(repeats, 1), y.repeat(repeats, 1), gain, seeded())
    products = x.double().numpy()[:, :, None] * y.double().numpy()[:, None, :]
    wanted = repeats * gain * products.sum(0)
    share = gain * np.abs(products) / 31
    sigma = np.sqrt(repeats * 31 * (share * (1 - share)).sum(0))
    assert (np.abs(found.numpy() - wanted) <= SIGMAS * sigma).all()
    assert (sigma > 0).mean() > 0.7
    assert (np.abs(wanted) > 2 * SIGMAS * sigma).any()  # a wrong scale or no pulses at all would be seen


def test_shares_are_not_rounded_to_bytes() -> None:
    """Shares between and just beside multiples of 1/256, against columns that always pulse."""
    shares = torch.tensor([0.0005, 0.0031, 1 / 256, 0.0059, 0.5017, 0.9941, 1 - 1 / 256, 0.9983, 0.99995, 1.0])
    samples = 40_000
    found = PulseTrains(managed=False).coincidences(shares.expand(samples, -1), torch.ones(samples, 1), 31.0, seeded(3))
    p, tosses = shares.double().numpy(), 31 * samples
    np.testing.assert_array_less(np.abs(found[:, 0].numpy() - tosses * p), SIGMAS * np.sqrt(tosses * p * (1 - p)) + 0.5)


def test_variance_of_a_count_is_that_of_independent_slots() -> None:
    counts = trials(PulseTrains(), [0.9, 0.4], [1.0, 0.3], gain=9.0)
    share = 9.0 * np.outer([0.9, 0.4], [1.0, 0.3]) / 31
    variance = 31 * share * (1 - share)
    # The fourth central moment of a binomial number of n slots with share m: v (1 + (3 n - 6) m (1 - m)).
    fourth = variance * (1 + (3 * 31 - 6) * share * (1 - share))
    error = np.sqrt((fourth - variance**2) / len(counts))
    assert (np.abs(counts.var(0) - variance) <= SIGMAS * error).all()
    assert (error < 0.05 * variance).all()


def test_devices_on_one_line_are_correlated_by_its_train() -> None:
    x, y, gain, slots = [0.9, 0.5], [0.8, 0.6], 14.0, 31
    counts = trials(PulseTrains(managed=False), x, y, gain)
    p, q = (np.array(side) * math.sqrt(gain / slots) for side in (x, y))
    away = counts - slots * np.outer(p, q)

    def covariance(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
        products = one * other
        return products.mean(), products.std() / math.sqrt(len(products))

    found, error = covariance(away[:, 0, 0], away[:, 0, 1])  # one row
    assert abs(found - slots * (p[0] * q[0] * q[1] - p[0] ** 2 * q[0] * q[1])) <= SIGMAS * error
    assert found > 2 * SIGMAS * error  # independent devices would not do
    found, error = covariance(away[:, 0, 0], away[:, 1, 0])  # one column
    assert abs(found - slots * (q[0] * p[0] * p[1] - q[0] ** 2 * p[0] * p[1])) <= SIGMAS * error
    found, error = covariance(away[:, 0, 0], away[:, 1, 1])  # no line in common
    assert abs(found) <= SIGMAS * error


@pytest.mark.parametrize("kind", KINDS)
def test_direction_is_the_sign_of_the_product(kind: Any) -> None:
    both = torch.tensor([[1.0, -1.0]])
    trains = PulseTrains(slots=8, kind=kind)
    assert trains.coincidences(both, both, 8.0, seeded()).tolist() == [[8.0, -8.0], [-8.0, 8.0]]
    up, down = trains.up_and_down(both, both, 8.0, seeded())
    assert up.tolist() == [[8.0, 0.0], [0.0, 8.0]]
    assert down.tolist() == [[0.0, 8.0], [8.0, 0.0]]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.integers(1, 40),
    st.booleans(),
    st.floats(0.0, 1e4),
    st.tuples(st.integers(0, 5), st.integers(1, 12), st.integers(1, 12)),
    st.integers(0, 2**32),
)
def test_counts_are_whole_bounded_and_zero_on_silent_lines(
    kind: Any, slots: int, managed: bool, gain: float, sizes: tuple[int, int, int], seed: int
) -> None:
    samples, rows, columns = sizes
    x, y = values(samples, rows, seed=seed), values(samples, columns, seed=seed + 1)
    trains = PulseTrains(slots, kind, managed)
    net = trains.coincidences(x, y, gain, seeded(seed))
    up, down = trains.up_and_down(x, y, gain, seeded(seed))
    assert net.shape == (rows, columns)
    assert torch.equal(up - down, net)
    for counts, reachable in ((up, x[:, :, None] * y[:, None, :] > 0), (down, x[:, :, None] * y[:, None, :] < 0)):
        assert torch.equal(counts, counts.round())
        assert (counts >= 0).all()
        assert (counts <= slots * reachable.sum(0)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_full_drive_fills_every_slot_and_no_more(kind: Any) -> None:
    x, y = torch.ones(3, 2), torch.ones(3, 4)
    for gain in (31.0, 1000.0):
        assert torch.equal(PulseTrains(kind=kind).coincidences(x, y, gain, seeded()), torch.full((2, 4), 93.0))


def test_a_number_just_below_one_does_not_stop_a_line_that_always_pulses() -> None:
    lattice = LatticeTrains(slots=1, stride=1, shift=1.0 - 2.0**-30, reach=1.0)  # float32 would round it to 1
    sample, slot = torch.tensor([0]), torch.tensor([0])
    assert lattice.fire(torch.tensor([[1.0, 0.9999]]), sample, slot, first_sample=1).tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("gain", [0.01, 3.0])
@pytest.mark.parametrize(("rows", "columns"), [(19, 6), (6, 19)])
def test_counts_do_not_depend_on_how_many_samples_are_simulated_at_once(
    kind: Any, gain: float, rows: int, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y, found = values(157, rows, seed=5), values(157, columns, seed=6), []
    for bits in (1, 3_000, 40_000, 2**19):
        monkeypatch.setattr(pulse_trains, "BITS_AT_ONCE", bits)
        found.append(PulseTrains(kind=kind).coincidences(x, y, gain, seeded(4)))
    assert all(torch.equal(found[0], other) for other in found[1:])
    assert found[0].abs().sum() > 0


def test_a_seed_says_everything() -> None:
    x, y, trains = values(20, 9, seed=8), values(20, 7, seed=9), PulseTrains()
    one, same, other, state = seeded(1), seeded(1), seeded(2), torch.get_rng_state()
    first = trains.coincidences(x, y, 5.0, one)
    assert torch.equal(first, trains.coincidences(x, y, 5.0, same))
    assert not torch.equal(first, trains.coincidences(x, y, 5.0, one))  # the next call draws anew
    assert not torch.equal(first, trains.coincidences(x, y, 5.0, other))
    trains.coincidences(x[:3], y[:3], 0.01, same)
    assert torch.equal(one.get_state(), same.get_state())  # a call takes as much whatever its size
    assert torch.equal(state, torch.get_rng_state())


def lattice_counts(slots: int, p: np.ndarray, q: np.ndarray, sample: int) -> np.ndarray:
    """Counts of a sample of deterministic trains, slot by slot, [len(p), len(q)]."""
    found = np.zeros((len(p), len(q)))
    for slot in range(slots):
        row = (slot + sample * (math.sqrt(5) - 1) / 2 % 1) / slots % 1
        column = (LATTICES[slots][0] * slot / slots + sample * math.sqrt(2)) % 1
        for i, share in enumerate(p):
            found[i] += (row < share) * (column < q)
    return found


@pytest.mark.parametrize("slots", LATTICES)
def test_deterministic_counts_are_those_of_the_lattice_slot_by_slot(slots: int) -> None:
    generator = np.random.default_rng(1)
    p, q = generator.random(12).astype(np.float32), generator.random(9).astype(np.float32)
    trains = PulseTrains(slots, "deterministic", managed=False)
    rows, columns = torch.from_numpy(p).expand(20, -1), torch.from_numpy(q).expand(20, -1)
    found = trains.coincidences(rows, columns, float(slots), first_sample=30)
    assert np.array_equal(found.numpy(), sum(lattice_counts(slots, p, q, k) for k in range(30, 50)))


@pytest.mark.parametrize("slots", LATTICES)
def test_the_documented_miss_of_a_sample_bounds_every_lattice_window(slots: int) -> None:
    """Whatever the shifts, a line with share p has a run of n slots (of ranks, for columns) with |n - slots p| < 1."""
    stride, documented = LATTICES[slots]
    assert pulse_trains.stride(slots) == stride
    n, most, least = np.arange(slots + 1), None, None
    for turn in range(slots):  # shifts of one side against the other
        ranks = (stride * np.arange(slots) + turn) % slots
        met = np.zeros((slots + 1, slots + 1))
        met[1:] = np.cumsum(ranks[:, None] < n, axis=0)
        most = met if most is None else np.maximum(most, met)
        least = met if least is None else np.minimum(least, met)
    fewer, more = (n - 1).clip(0), (n + 1).clip(max=slots)
    assert most is not None
    assert least is not None
    worst = max((most - np.outer(fewer, fewer) / slots).max(), (np.outer(more, more) / slots - least).max())
    assert documented - 0.11 < worst <= documented + 1e-9


def test_deterministic_counts_of_any_sample_keep_to_the_documented_miss() -> None:
    steps = torch.linspace(0.0, 1.0, 187)[None]
    trains, worst = PulseTrains(kind="deterministic", managed=False), 0.0
    for sample in range(400):
        found = trains.coincidences(steps, steps, 31.0, first_sample=sample)
        worst = max(worst, (found - 31.0 * steps.T @ steps).abs().max().item())
    assert 2.0 < worst <= 3.1


def test_misses_of_many_equal_samples_cancel_even_for_rare_pulses() -> None:
    shares = torch.tensor([0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.5, 0.7, 0.99])
    trains = PulseTrains(kind="deterministic", managed=False)
    for samples in (10, 100, 1000, 8192):
        found = trains.coincidences(shares.expand(samples, -1), shares.expand(samples, -1), 31.0)
        wanted = 31.0 * samples * torch.outer(shares.double(), shares.double())
        assert (found - wanted).abs().max() <= 11.0  # one sample's miss each would be thousands
    assert wanted[2, 2] > 2.0  # a device that gets 0.0003 pulses a sample
    assert found[2, 2] > 0.0


def test_deterministic_trains_go_on_from_where_they_were() -> None:
    x, y, trains = values(50, 8, seed=11), values(50, 6, seed=12), PulseTrains(kind="deterministic")
    in_parts = trains.coincidences(x[:17], y[:17], 2.0) + trains.coincidences(x[17:], y[17:], 2.0, first_sample=17)
    assert torch.equal(trains.coincidences(x, y, 2.0), in_parts)
    assert not torch.equal(trains.coincidences(x, y, 2.0, first_sample=1), in_parts)


@pytest.mark.parametrize("kind", KINDS)
def test_saturated_lines_are_counted_and_expected_to_fall_short(kind: Any) -> None:
    x, y = torch.tensor([[3.0, -1.0, 0.0, 0.5]]), torch.tensor([[2.0, 0.5]])
    trains, seen = PulseTrains(kind=kind, managed=False), Saturation()
    counts = trains.coincidences(x, y, 31.0, seeded(), seen)  # p = |x|, q = |y|
    assert (seen.saturated, seen.driven) == (2, 5)  # 3 and 2; p = 1 is just reached
    assert counts[:2, 0].tolist() == [31.0, -31.0]
    assert trains.expected(x, y, 31.0).tolist() == [[31.0, 15.5], [-31.0, -15.5], [0.0, 0.0], [15.5, 7.75]]
    trains.up_and_down(x, y, 31.0, seeded(), seen)
    assert (seen.saturated, seen.driven, seen.share) == (4, 10, 0.4)
    assert Saturation().share == 0.0


def test_managed_sides_share_the_load() -> None:
    """Values of 0.01 against values of 50: unmanaged columns saturate, managed ones need no more than p = 0.3."""
    x, y = values(5, 4, seed=21) * 0.01, values(5, 3, seed=22) * 50.0
    spared, clipped = Saturation(), Saturation()
    wanted = 5.0 * (x.double().T @ y.double())
    managed, plain = PulseTrains(), PulseTrains(managed=False)
    managed.coincidences(x, y, 5.0, seeded(), spared)
    plain.coincidences(x, y, 5.0, seeded(), clipped)
    assert spared.saturated == 0
    assert clipped.saturated > 5
    torch.testing.assert_close(managed.expected(x, y, 5.0).double(), wanted, rtol=1e-5, atol=1e-6)
    p, q = managed.shares(x, y, 5.0)
    torch.testing.assert_close(p.amax(1), q.amax(1))
    assert (plain.expected(x, y, 5.0).abs() < 0.7 * wanted.abs()).any()


@pytest.mark.parametrize(
    ("x", "y", "gain", "words"),
    [
        (torch.ones(2, 3), torch.ones(3, 3), 1.0, r"\[2, 3\] and \[3, 3\]"),
        (torch.ones(3), torch.ones(3, 3), 1.0, "samples, rows"),
        (torch.ones(2, 0), torch.ones(2, 3), 1.0, "samples, rows"),
        (torch.ones(2, 3), torch.ones(2, 3), -1.0, "gain"),
        (torch.ones(2, 3), torch.ones(2, 3), math.nan, "gain"),
        (torch.tensor([[1.0, math.nan]]), torch.ones(1, 3), 1.0, "finite"),
        (torch.ones(1, 3), torch.tensor([[math.inf, 1.0]]), 1.0, "finite"),
        (torch.ones(1, 1).expand(2**20, 1), torch.ones(1, 1).expand(2**20, 1), 1.0, "counts could pass"),
    ],
)
@pytest.mark.parametrize("managed", [True, False])
def test_refuses_what_it_cannot_count(x: Tensor, y: Tensor, gain: float, words: str, managed: bool) -> None:
    with pytest.raises(ValueError, match=words):
        PulseTrains(managed=managed).coincidences(x, y, gain, seeded())


def test_refuses_trains_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="slots"):
        PulseTrains(slots=0)
    with pytest.raises(ValueError, match="kind"):
        PulseTrains(kind="random")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="generator"):
        PulseTrains().coincidences(torch.ones(1, 1), torch.ones(1, 1), 1.0)
