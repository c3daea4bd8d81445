"""Truth: the published drift exponents in numpy, drawn by numpy, and sample statistics."""

import warnings

import numpy as np
import pytest
import torch

from mapping.device import PowerLawDrift
from sim.devices import drift
from tests.sim.devices.built_in import device

PCM = device("pcm-gst")
DRAWS = 200_000
HOUR, DAY, MONTH = 3600.0, 86400.0, 30 * 86400.0


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


def hermes_exponents(x: np.ndarray, devices: int) -> tuple[np.ndarray, np.ndarray]:
    """Le Gallo et al. 2023, as in aihwkit."""
    log = np.log(x)
    mean = np.where(x < 0.0945, np.clip(-0.0387 * log - 0.0182, 0.072, 0.13), -0.0436 * x**2 - 0.0126 * x + 0.0736)
    if devices == 1:
        low, high = np.clip(-0.0120 * log - 0.0023, 0.0124, 0.04), -0.0165 * x**2 + 0.0116 * x + 0.0104
        return mean, np.where(x < 0.3039, low, high)
    low, high = np.clip(-0.0117 * log - 0.0057, 0.0091, 0.04), -0.0118 * x**2 + 0.0093 * x + 0.0073
    return mean, np.where(x < 0.3055, low, high)


@pytest.mark.parametrize(("name", "devices", "g_max"), [("pcm-hermes", 1, 10.35e-6), ("pcm-hermes-pair", 2, 20.7e-6)])
def test_hermes_exponents_are_the_published_formulas(name: str, devices: int, g_max: float) -> None:
    x = np.linspace(1e-3, 1.1, 2000)
    model = device(name)
    assert isinstance(model.drift, PowerLawDrift)
    found = drift.exponents(model.drift, model, torch.tensor(x * g_max))
    for exponent, expected in zip(found, hermes_exponents(x, devices), strict=True):
        np.testing.assert_allclose(exponent.numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "devices", "g_max", "t0"), [("pcm-hermes", 1, 10.35e-6, 200.0), ("pcm-hermes-pair", 2, 20.7e-6, 300.0)]
)
@pytest.mark.parametrize("age_s", [1.0, HOUR, DAY, MONTH])
def test_hermes_conductances_age_as_published(name: str, devices: int, g_max: float, t0: float, age_s: float) -> None:
    x = np.repeat([0.05, 0.2, 0.35, 1.0], DRAWS // 4)
    mean, std = hermes_exponents(x, devices)
    nu = np.abs(np.random.default_rng(2).normal(mean, std))
    expected = (x * ((t0 + age_s) / t0) ** -nu).reshape(4, -1)
    programmed = torch.tensor(x * g_max)
    aged = drift.age(device(name), programmed, age_s, torch.Generator().manual_seed(0)).numpy().reshape(4, -1) / g_max
    error = 6 * expected.std(axis=1) / (DRAWS // 4) ** 0.5
    np.testing.assert_array_less(np.abs(aged.mean(axis=1) - expected.mean(axis=1)), error)
    np.testing.assert_allclose(aged.std(axis=1), expected.std(axis=1), rtol=0.03)


@pytest.mark.parametrize("name", ["ideal", "rram-milo", "ecram"])
def test_devices_without_drift_stay_as_they_are_and_draw_nothing(name: str) -> None:
    conductance, generator = torch.rand(10) * 1e-4, torch.Generator()
    before = generator.get_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        aged = drift.age(device(name), conductance.clone(), 1e9, generator)
    assert torch.equal(aged, conductance)
    assert torch.equal(generator.get_state(), before)
