"""Truth: the published drift and relaxation formulas in numpy, drawn by numpy, and sample statistics."""

import warnings

import numpy as np
import pytest
import torch

from mapping import Target
from mapping.device import ClippedLog
from sim.devices import drift

PCM = Target.load("pcm-gst").device
RRAM = Target.load("rram-hfo2").device
DRAWS = 200_000
HOUR, DAY, MONTH = 3600.0, 86400.0, 30 * 86400.0

# Wan et al. 2022, microsiemens, powers 0..4 of g / 40 uS.
RELAXATION_US = {
    1.0: [0.348, 16.030, -43.853, 45.393, -16.815],
    DAY: [0.701, 22.086, -50.773, 47.095, -16.458],
    2 * DAY: [0.782, 20.274, -43.507, 37.062, -11.934],
}


def published_exponents(x: float) -> tuple[float, float]:
    """Mean and standard deviation of nu (Joshi et al. 2020, as in aihwkit)."""
    mean = np.clip(-0.0155 * np.log(x) + 0.0244, 0.049, 0.1)
    std = np.clip(-0.0125 * np.log(x) - 0.0059, 0.008, 0.045)
    return float(mean), float(std)


def aged_pcm(x: float, age_s: float, seed: int = 0) -> torch.Tensor:
    programmed = torch.full((DRAWS,), x * 25e-6, dtype=torch.float64)
    return drift.age(PCM, programmed, age_s, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("x", [0.01, 0.1, 0.3, 1.0])
def test_pcm_exponents_have_the_published_mean_and_spread(x: float) -> None:
    nu = -torch.log(aged_pcm(x, DAY) / (x * 25e-6)) / np.log((20.0 + DAY) / 20.0)
    mean, std = published_exponents(x)
    drawn = np.abs(np.random.default_rng(0).normal(mean, std, DRAWS))
    assert nu.mean().item() == pytest.approx(drawn.mean(), abs=6 * std / DRAWS**0.5)
    assert nu.std().item() == pytest.approx(drawn.std(), abs=6 * std / DRAWS**0.5)
    assert nu.min() >= 0


@pytest.mark.parametrize("age_s", [1.0, HOUR, DAY, MONTH])
@pytest.mark.parametrize("x", [0.05, 0.5, 1.0])
def test_pcm_conductance_at_age(age_s: float, x: float) -> None:
    mean, std = published_exponents(x)
    nu = np.abs(np.random.default_rng(1).normal(mean, std, DRAWS))
    expected = x * 25.0 * ((20.0 + age_s) / 20.0) ** -nu
    found = aged_pcm(x, age_s).numpy() * 1e6
    spread = expected.std()
    assert found.mean() == pytest.approx(expected.mean(), abs=6 * spread / DRAWS**0.5)
    assert found.std() == pytest.approx(spread, rel=0.01)


def test_pcm_at_its_reference_time_is_as_programmed() -> None:
    assert torch.equal(aged_pcm(0.4, 0.0), torch.full((DRAWS,), 0.4 * 25e-6, dtype=torch.float64))


def test_a_device_keeps_its_exponent() -> None:
    early, late = (torch.log(aged_pcm(0.5, age) / (0.5 * 25e-6)) for age in (HOUR, MONTH))
    ratio = np.log1p(MONTH / 20.0) / np.log1p(HOUR / 20.0)
    torch.testing.assert_close(late, early * ratio, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("slope", "expected"), [(-0.0155, 0.1), (0.0155, 0.02), (0.0, 0.05)])
def test_a_dead_device_takes_the_limit_of_the_logarithm(slope: float, expected: float) -> None:
    law = ClippedLog(slope=slope, offset=0.05, low=0.02, high=0.1)
    assert drift.clipped_log(law, torch.zeros(1)).item() == pytest.approx(expected)


@pytest.mark.parametrize("age_s", [1.0, DAY, 2 * DAY])
def test_rram_relaxation_is_the_published_polynomial_at_each_measured_age(age_s: float) -> None:
    x = np.linspace(0.0, 1.0, 101)
    found = drift.relaxation_sigma(RRAM, torch.tensor(x), age_s - 1.0).numpy() * 1e6
    expected = np.clip(np.polynomial.polynomial.polyval(x, RELAXATION_US[age_s]), 0, None)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_rram_spread_at_full_conductance_after_one_second() -> None:
    sigma = drift.relaxation_sigma(RRAM, torch.ones(1, dtype=torch.float64), 0.0).item()
    assert sigma == pytest.approx(1.103e-6, rel=1e-9)


def test_rram_relaxation_runs_monotonically_between_measured_ages() -> None:
    x = torch.linspace(0, 1, 21, dtype=torch.float64)
    for first, last in ((1.0, DAY), (DAY, 2 * DAY)):
        ages = np.geomspace(first, last, 15) - 1.0
        steps = torch.stack([drift.relaxation_sigma(RRAM, x, float(age)) for age in ages]).diff(dim=0)
        direction = torch.sign(steps.sum(0))
        assert bool((steps * direction >= -1e-18).all())
    half = drift.relaxation_sigma(RRAM, x, float(np.sqrt(DAY)) - 1.0)
    ends = [drift.relaxation_sigma(RRAM, x, age - 1.0) for age in (1.0, DAY)]
    torch.testing.assert_close(half, (ends[0] + ends[1]) / 2)


def test_rram_relaxation_is_held_with_a_warning_beyond_the_last_age() -> None:
    x = torch.linspace(0, 1, 21)
    held = drift.relaxation_sigma(RRAM, x, 2 * DAY)  # within the tolerance: no warning
    with pytest.warns(UserWarning, match="rram-hfo2: age 2.592e\\+06 s is beyond the last measured age 172800 s"):
        beyond = drift.relaxation_sigma(RRAM, x, MONTH)
    assert torch.equal(beyond, held)


def test_rram_conductances_spread_as_sigma_says() -> None:
    programmed = torch.full((DRAWS,), 20e-6, dtype=torch.float64)
    moved = drift.age(RRAM, programmed.clone(), DAY, torch.Generator().manual_seed(0)) - programmed
    sigma = float(np.polynomial.polynomial.polyval(0.5, RELAXATION_US[DAY])) * 1e-6
    assert abs(moved.mean().item()) < 4 * sigma / DRAWS**0.5
    assert moved.std().item() == pytest.approx(sigma, abs=5 * sigma / (2 * DRAWS) ** 0.5)


def test_rram_conductances_never_go_negative() -> None:
    aged = drift.age(RRAM, torch.full((DRAWS,), 1e-6), DAY, torch.Generator().manual_seed(0))
    assert aged.min() == 0.0


def test_ideal_devices_stay_as_they_are() -> None:
    conductance = torch.rand(10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        aged = drift.age(Target.load("ideal").device, conductance.clone(), 1e9, torch.Generator())
    assert torch.equal(aged, conductance)
