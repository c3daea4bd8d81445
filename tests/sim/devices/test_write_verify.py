"""Truth: closed forms. An attempt with error N(0, s^2) is accepted with p = erf(tolerance / (s sqrt 2)); attempts are
geometric, cut at n, with mean (1 - (1 - p)^n) / p; (1 - p)^n fail; accepted errors are a truncated normal."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.devices import programming
from sim.devices.programming import Programmed
from tests.sim.devices.built_in import device

SIGMA, TARGET, DRAWS = 1.0e-6, 15e-6, 100_000


def write(seed: int = 0, draws: int = DRAWS, **law: object) -> Programmed:
    settings = {"model": "write-verify", "sigma_siemens": SIGMA, "tolerance_siemens": SIGMA, "max_attempts": 10, **law}
    target = torch.full((draws,), TARGET, dtype=torch.float64)
    return programming.program(device("pcm-gst", programming=settings), target, torch.Generator().manual_seed(seed))


def errors(programmed: Programmed) -> np.ndarray:
    return (programmed.conductance.numpy() - TARGET) / SIGMA


def acceptance(tolerance: float, deviation: float = 1.0) -> float:
    return math.erf(tolerance / (deviation * math.sqrt(2)))


@pytest.mark.parametrize(("tolerance", "most"), [(0.2, 5), (0.5, 10), (1.0, 3), (2.0, 1), (1.5, 100)])
def test_attempts_and_failures(tolerance: float, most: int) -> None:
    programmed = write(tolerance_siemens=tolerance * SIGMA, max_attempts=most)
    p = acceptance(tolerance)
    lost = (1 - p) ** most
    # Mean and variance of the number of attempts, min(geometric, n), summed over its distribution.
    tails = (1 - p) ** np.arange(most)
    mean = tails.sum()
    variance = ((2 * np.arange(most) + 1) * tails).sum() - mean**2
    assert programmed.attempts == pytest.approx((1 - lost) / p, abs=5 * (variance / DRAWS) ** 0.5 + 1e-12)
    assert programmed.failed / DRAWS == pytest.approx(lost, abs=5 * (lost * (1 - lost) / DRAWS) ** 0.5 + 1e-12)
    assert programmed.failed == int((np.abs(errors(programmed)) > tolerance).sum())


@pytest.mark.parametrize("tolerance", [0.3, 1.0, 2.0])
def test_accepted_devices_spread_as_a_truncated_normal(tolerance: float) -> None:
    programmed = write(tolerance_siemens=tolerance * SIGMA, max_attempts=1000)
    assert programmed.failed == 0
    density = math.exp(-(tolerance**2) / 2) / math.sqrt(2 * math.pi)
    spread = math.sqrt(1 - 2 * tolerance * density / acceptance(tolerance))
    found = errors(programmed)
    assert abs(found.mean()) < 5 * spread / DRAWS**0.5
    assert found.std() == pytest.approx(spread, rel=0.01)
    assert np.abs(found).max() <= tolerance * (1 + 1e-9)


def test_a_device_given_up_keeps_its_last_value() -> None:
    programmed = write(tolerance_siemens=1e-3 * SIGMA, max_attempts=4)
    found = errors(programmed)
    missed = found[np.abs(found) > 1e-3]
    assert len(missed) == programmed.failed > 0.99 * DRAWS
    assert missed.std() == pytest.approx(1.0, abs=5 / (2 * DRAWS) ** 0.5)


def test_a_noisy_verify_read_accepts_by_the_sum_of_both_errors() -> None:
    noisy = write(max_attempts=1, verify_sigma_siemens=[0.75 * SIGMA])
    p = acceptance(1.0, math.hypot(1.0, 0.75))
    assert noisy.failed / DRAWS == pytest.approx(1 - p, abs=5 * (p * (1 - p) / DRAWS) ** 0.5)
    many = write(max_attempts=200, verify_sigma_siemens=[0.75 * SIGMA])
    assert np.abs(errors(many)).max() > 1.5  # accepted although off: the read erred


def test_an_error_that_belongs_to_the_device_cannot_be_written_away() -> None:
    stubborn = write(max_attempts=7, device_to_device=1.0)
    p = acceptance(1.0)
    assert stubborn.failed / DRAWS == pytest.approx(1 - p, abs=5 * (p * (1 - p) / DRAWS) ** 0.5)
    assert stubborn.attempts == pytest.approx(1 + 6 * stubborn.failed / DRAWS, rel=1e-12)
    assert errors(stubborn).std() == pytest.approx(1.0, abs=5 / (2 * DRAWS) ** 0.5)


def test_a_partial_share_fails_as_the_average_over_devices() -> None:
    partial = write(max_attempts=3, device_to_device=0.6)
    own = np.random.default_rng(0).normal(size=2_000_000) * math.sqrt(0.6)
    cdf = np.vectorize(lambda z: 0.5 * math.erfc(-z / math.sqrt(2)))
    grid = np.linspace(-6, 6, 4001)
    p = cdf((1 - grid) / math.sqrt(0.4)) - cdf((-1 - grid) / math.sqrt(0.4))
    lost = ((1 - np.interp(own, grid, p)) ** 3).mean()
    assert partial.failed / DRAWS == pytest.approx(lost, abs=5 * (lost * (1 - lost) / DRAWS) ** 0.5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 999), st.integers(1, 20), st.floats(0.05, 3.0), st.lists(st.integers(1, 6), max_size=3))
def test_any_writing_keeps_shape_targets_and_bounds(seed: int, most: int, tolerance: float, shape: list[int]) -> None:
    law = {
        "model": "write-verify",
        "sigma_siemens": [0.5e-6, 2e-6],
        "tolerance_siemens": tolerance * SIGMA,
        "max_attempts": most,
    }
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(shape, generator=generator) * 25e-6
    before = target.clone()
    programmed = programming.program(device("pcm-gst", programming=law), target, generator)
    assert torch.equal(target, before)
    assert programmed.conductance.shape == target.shape
    assert programmed.conductance.min() >= 0.0
    assert 1.0 <= programmed.attempts <= most
    missed = (programmed.conductance - target).abs() > tolerance * SIGMA
    assert programmed.failed == int(missed.sum())


def test_no_devices_are_programmed_without_a_division_by_zero() -> None:
    assert write(draws=0).attempts == 0.0
