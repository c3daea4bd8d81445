"""Truth: the published relaxation fits in the units of their sources, in numpy, and sample statistics."""

import numpy as np
import pytest
import torch

from mapping.device import Device, LogRelaxation, Relaxation
from sim.devices import drift
from tests.sim.devices.built_in import device

RRAM, SONOS, CMO = device("rram-hfo2"), device("sonos"), device("rram-cmo")
DRAWS = 200_000
DAY, MONTH = 86400.0, 30 * 86400.0

# Wan et al. 2022, microsiemens, powers 0..4 of g / 40 uS.
RELAXATION_US = {
    1.0: [0.348, 16.030, -43.853, 45.393, -16.815],
    DAY: [0.701, 22.086, -50.773, 47.095, -16.458],
    2 * DAY: [0.782, 20.274, -43.507, 37.062, -11.934],
}

# Agrawal et al. 2022 as fitted in CrossSim: mean shift in nA, powers 0..10 of I in nA, after 1 and 5 days.
SONOS_SHIFT_NA = {
    1: [1.72684e-01, 5.72552e-02, -6.85715e-04, 3.50271e-06, -9.37682e-09, 1.40575e-11, -1.19803e-14, 5.41293e-18,
        -8.85448e-22, -1.66869e-25, 5.95180e-29],
    2: [2.50712e-01, 6.62195e-02, -6.83218e-04, 2.99442e-06, -6.78255e-09, 7.70482e-12, -3.04983e-15, -2.15919e-18,
        2.94617e-21, -1.23359e-24, 1.85329e-28],
    3: [-1.75300e-02, 9.76883e-02, -9.63791e-04, 4.55551e-06, -1.22391e-08, 1.93786e-11, -1.85899e-14, 1.07659e-17,
        -3.58211e-21, 5.96785e-25, -3.30410e-29],
    4: [4.03338e-02, 1.03111e-01, -1.04740e-03, 4.83961e-06, -1.28132e-08, 1.99484e-11, -1.85139e-14, 1.00008e-17,
        -2.84944e-21, 3.01008e-25, 1.18747e-29],
    5: [3.19927e-01, 1.06596e-01, -1.04054e-03, 4.50290e-06, -1.10352e-08, 1.56477e-11, -1.27592e-14, 5.45513e-18,
        -7.26841e-22, -2.43893e-25, 7.14608e-29],
}  # fmt: skip
SONOS_SPREAD_NA = {
    0: (19.88665, 176.3115), 1: (25.59102, 186.85544), 2: (28.72753, 193.56834), 3: (31.04318, 198.90332),
    4: (33.76214, 204.77023), 5: (34.57909, 207.34309),
}  # fmt: skip
CURRENTS_NA = np.linspace(0.0, 1600.0, 81)


def rram_sigma(x: torch.Tensor, age_s: float) -> torch.Tensor:
    assert isinstance(RRAM.drift, Relaxation)
    mean, sigma = drift.displacement(RRAM.drift, RRAM, x * 40e-6, age_s)
    assert mean is None
    return sigma


def sonos(current_na: np.ndarray, time_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Shift and spread in nA at the time after programming."""
    assert isinstance(SONOS.drift, Relaxation)
    mean, sigma = drift.displacement(SONOS.drift, SONOS, torch.tensor(current_na * 1e-8), time_s - 1.0)
    assert mean is not None
    return mean.numpy() * 1e8, sigma.numpy() * 1e8


@pytest.mark.parametrize("age_s", [1.0, DAY, 2 * DAY])
def test_rram_relaxation_is_the_published_polynomial_at_each_measured_age(age_s: float) -> None:
    x = np.linspace(0.0, 1.0, 101)
    found = rram_sigma(torch.tensor(x), age_s - 1.0).numpy() * 1e6
    expected = np.clip(np.polynomial.polynomial.polyval(x, RELAXATION_US[age_s]), 0, None)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_rram_spread_at_full_conductance_after_one_second() -> None:
    assert rram_sigma(torch.ones(1, dtype=torch.float64), 0.0).item() == pytest.approx(1.103e-6, rel=1e-9)


def test_rram_relaxation_runs_monotonically_between_measured_ages() -> None:
    x = torch.linspace(0, 1, 21, dtype=torch.float64)
    for first, last in ((1.0, DAY), (DAY, 2 * DAY)):
        ages = np.geomspace(first, last, 15) - 1.0
        steps = torch.stack([rram_sigma(x, float(age)) for age in ages]).diff(dim=0)
        direction = torch.sign(steps.sum(0))
        assert bool((steps * direction >= -1e-18).all())
    half = rram_sigma(x, float(np.sqrt(DAY)) - 1.0)
    ends = [rram_sigma(x, age - 1.0) for age in (1.0, DAY)]
    torch.testing.assert_close(half, (ends[0] + ends[1]) / 2)


def test_rram_relaxation_is_held_with_a_warning_beyond_the_last_age() -> None:
    x = torch.linspace(0, 1, 21)
    held = rram_sigma(x, 2 * DAY)  # within the tolerance: no warning
    with pytest.warns(UserWarning, match="rram-hfo2: age 2.592e\\+06 s is beyond the last measured age 172800 s"):
        beyond = rram_sigma(x, MONTH)
    assert torch.equal(beyond, held)


@pytest.mark.parametrize("time_s", [1.0, DAY, 2 * DAY])
def test_rram_conductances_spread_as_published(time_s: float) -> None:
    programmed = torch.full((DRAWS,), 20e-6, dtype=torch.float64)
    moved = drift.age(RRAM, programmed.clone(), time_s - 1.0, torch.Generator().manual_seed(0)) - programmed
    sigma = float(np.polynomial.polynomial.polyval(0.5, RELAXATION_US[time_s])) * 1e-6
    assert abs(moved.mean().item()) < 4 * sigma / DRAWS**0.5
    assert moved.std().item() == pytest.approx(sigma, abs=5 * sigma / (2 * DRAWS) ** 0.5)


@pytest.mark.parametrize("name", ["rram-hfo2", "rram-cmo"])
def test_conductances_never_go_negative(name: str) -> None:
    aged = drift.age(device(name), torch.full((DRAWS,), 0.1e-6), DAY, torch.Generator().manual_seed(0))
    assert aged.min() == 0.0


@pytest.mark.parametrize("day", [1, 2, 3, 4, 5])
def test_sonos_is_the_published_fit_at_each_measured_day(day: int) -> None:
    shift, spread = sonos(CURRENTS_NA, day * DAY)
    expected = np.polynomial.polynomial.polyval(CURRENTS_NA, SONOS_SHIFT_NA[day])
    # Coefficients are written to 8 digits and terms reach 2e5 nA: 0.02 nA of the sum is lost.
    np.testing.assert_allclose(shift, expected, atol=0.02)
    amplitude, scale = SONOS_SPREAD_NA[day]
    np.testing.assert_allclose(spread, amplitude * (1 - np.exp(-CURRENTS_NA / scale)), rtol=1e-5, atol=1e-9)


def test_sonos_at_programming_has_its_programming_spread_and_no_shift() -> None:
    shift, spread = sonos(CURRENTS_NA, 1.0)
    amplitude, scale = SONOS_SPREAD_NA[0]
    np.testing.assert_allclose(shift, 0.0, atol=1e-3)
    np.testing.assert_allclose(spread, amplitude * (1 - np.exp(-CURRENTS_NA / scale)), rtol=1e-4, atol=1e-9)


def test_sonos_is_linear_in_time_between_days() -> None:
    early, late, between = (np.stack(sonos(CURRENTS_NA, day * DAY)) for day in (2.0, 3.0, 2.25))
    np.testing.assert_allclose(between, 0.75 * early + 0.25 * late, rtol=1e-9, atol=1e-12)


def test_sonos_shift_in_single_precision_is_as_good_as_its_spread() -> None:
    assert isinstance(SONOS.drift, Relaxation)
    g = torch.linspace(0, 16e-6, 200)
    single, double = (drift.displacement(SONOS.drift, SONOS, v, 3 * DAY)[0] for v in (g, g.double()))
    assert single is not None
    assert double is not None
    assert (single.double() - double).abs().max() < 2e-9  # 0.2 nA, against a spread of 30 nA


@pytest.mark.parametrize("current_na", [100.0, 1500.0])
@pytest.mark.parametrize("day", [0, 1, 5])
def test_sonos_devices_move_and_spread_as_published(current_na: float, day: int) -> None:
    time_s = max(day * DAY, 1.0)
    programmed = torch.full((DRAWS,), current_na * 1e-8, dtype=torch.float64)
    aged = drift.age(SONOS, programmed, time_s - 1.0, torch.Generator().manual_seed(0)).numpy() * 1e8
    amplitude, scale = SONOS_SPREAD_NA[day]
    spread = amplitude * (1 - np.exp(-current_na / scale))
    shift = np.polynomial.polynomial.polyval(current_na, SONOS_SHIFT_NA[day]) if day else 0.0
    assert aged.mean() == pytest.approx(current_na + shift, abs=5 * spread / DRAWS**0.5 + 0.02)
    assert aged.std() == pytest.approx(spread, rel=5 / (2 * DRAWS) ** 0.5 + 1e-4)


def test_a_first_age_of_zero_is_the_value_of_a_fresh_device() -> None:
    content = {"model": "relaxation", "interpolate": "linear", "ages_s": [0.0, 10.0], "sigma_siemens": [1e-6, 3e-6]}
    linear = device("rram-hfo2", drift=content, reference_time_s=5.0)
    assert isinstance(linear.drift, Relaxation)
    sigma = drift.displacement(linear.drift, linear, torch.zeros(1), 0.0)[1]
    assert sigma.item() == pytest.approx(2e-6)


@pytest.mark.parametrize("time_s", [1.0, 3600.0, DAY, MONTH])
@pytest.mark.parametrize("g_us", [20.0, 80.0])
def test_cmo_devices_decay_as_published_at_every_conductance(time_s: float, g_us: float) -> None:
    programmed = torch.full((DRAWS,), g_us * 1e-6, dtype=torch.float64)
    moved = drift.age(CMO, programmed, time_s - 1.0, torch.Generator().manual_seed(0)).numpy() * 1e6 - g_us
    spread = 0.04201137 * np.log(time_s) + 0.41183342
    assert moved.mean() == pytest.approx(-0.08900206 * np.log(time_s), abs=5 * spread / DRAWS**0.5)
    assert moved.std() == pytest.approx(spread, rel=5 / (2 * DRAWS) ** 0.5)


def test_a_logarithmic_spread_is_held_at_zero() -> None:
    law = LogRelaxation(model="log-relaxation", mean_siemens=(0.0, 1e-6), sigma_siemens=(1e-6, 1e-6))
    early = Device.model_validate({**CMO.model_dump(), "drift": law.model_dump(), "reference_time_s": 1e-3})
    mean, spread = drift.log_displacement(law, early, 0.0)
    assert mean == pytest.approx(np.log(1e-3) * 1e-6)
    assert spread == 0.0


@pytest.mark.parametrize("name", ["rram-hfo2", "sonos", "rram-cmo"])
def test_a_device_keeps_its_place_in_the_distribution(name: str) -> None:
    model = device(name)
    g = torch.full((1000,), 0.75 * model.g_max_siemens, dtype=torch.float64)
    places = []
    for age_s in (0.0, DAY / 2, DAY):
        aged = drift.age(model, g.clone(), age_s, torch.Generator().manual_seed(0))
        places.append((aged - aged.mean()) / aged.std())
    torch.testing.assert_close(places[0], places[1], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(places[0], places[2], rtol=1e-9, atol=1e-9)
