"""Truth: the published read noise formulas in numpy."""

import numpy as np
import pytest
import torch

from sim.devices import read_noise
from tests.sim.devices.built_in import device, names

PCM = device("pcm-gst")
RRAM = device("rram-hfo2")


def sigma_us(name: str, g_us: np.ndarray, age_s: float, read_time_s: float | None = None) -> np.ndarray:
    found = read_noise.sigma(device(name), torch.tensor(g_us * 1e-6), age_s, read_time_s)
    assert found is not None
    return found.numpy() * 1e6


@pytest.mark.parametrize("age_s", [0.0, 1.0, 3600.0, 86400.0, 2.6e6])
def test_pcm_noise_is_the_published_formula(age_s: float) -> None:
    g_us = np.linspace(0.01, 30.0, 200)
    q = np.minimum(0.0088 / (g_us / 25.0) ** 0.65, 0.2)
    expected = g_us * q * np.sqrt(np.log((20.0 + age_s + 250e-9) / (2 * 250e-9)))
    np.testing.assert_allclose(sigma_us("pcm-gst", g_us, age_s), expected, rtol=1e-9)


@pytest.mark.parametrize("age_s", [0.0, 3600.0, 86400.0])
def test_hermes_noise_is_the_published_formula(age_s: float) -> None:
    x = np.linspace(0.001, 1.1, 300)
    one = np.where(
        x < 0.1591,
        np.clip(-0.0078 * np.log(x) + 0.0038, 0.0179, 0.04),
        0.0664 * x**3 - 0.1352 * x**2 + 0.0768 * x + 0.0088,
    )
    two = np.where(
        x < 0.16,
        np.clip(-0.0117 * np.log(x) - 0.0069, 0.015, 0.04),
        0.0069 * x**3 - 0.0280 * x**2 + 0.0211 * x + 0.0123,
    )
    for name, q, g_max, t0 in (("pcm-hermes", one, 10.35, 200.0), ("pcm-hermes-pair", two, 20.7, 300.0)):
        expected = x * g_max * q * np.sqrt(np.log((t0 + age_s + 512e-9) / (2 * 512e-9)))
        np.testing.assert_allclose(sigma_us(name, x * g_max, age_s), expected, rtol=1e-9)


@pytest.mark.parametrize("age_s", [0.0, 3600.0, 86400.0])
def test_cmo_noise_is_the_published_formula(age_s: float) -> None:
    g_us = np.linspace(8.0, 90.0, 100)
    expected = 0.0277316483 * np.log10(g_us) * np.sqrt(np.log((1.0 + age_s + 1e-6) / 2e-6))
    np.testing.assert_allclose(sigma_us("rram-cmo", g_us, age_s), expected, rtol=1e-9)


def test_sonos_noise_is_the_published_formula_at_any_age() -> None:
    current_na = np.linspace(0.0, 1600.0, 100)
    expected = 12.58037 * (1 - np.exp(-current_na / 215.36557)) * 0.01  # nA / 0.1 V = 0.01 uS
    for age_s in (0.0, 86400.0):
        np.testing.assert_allclose(sigma_us("sonos", current_na * 0.01, age_s), expected, rtol=1e-7, atol=1e-15)


def test_pcm_noise_grows_with_age_and_a_dead_device_has_none() -> None:
    early, late = (sigma_us("pcm-gst", np.array([0.0, 1.0, 25.0]), age) for age in (0.0, 1e6))
    assert early[0] == late[0] == 0.0
    assert (late[1:] > early[1:]).all()


def test_rram_noise_is_one_percent_at_any_age_and_read_time() -> None:
    g = torch.linspace(0, 40e-6, 20)
    for age_s, read_s in ((0.0, None), (1e5, None), (0.0, 1e-3)):
        assert torch.equal(read_noise.sigma(RRAM, g, age_s, read_s), g * 0.01)  # type: ignore[arg-type]


def test_white_noise_falls_with_the_root_of_the_read_time() -> None:
    g_us = np.linspace(1.0, 16.0, 20)
    measured = sigma_us("sonos", g_us, 0.0)
    assert np.array_equal(sigma_us("sonos", g_us, 0.0, read_time_s=1e-6), measured)
    np.testing.assert_allclose(sigma_us("sonos", g_us, 0.0, read_time_s=16e-6), measured / 4, rtol=1e-12)


def test_one_over_f_noise_hardly_falls_with_the_read_time() -> None:
    g_us = np.linspace(1.0, 25.0, 20)
    q = np.minimum(0.0088 / (g_us / 25.0) ** 0.65, 0.2)
    expected = g_us * q * np.sqrt(np.log((20.0 + 10.0 + 4e-6) / 8e-6))
    np.testing.assert_allclose(sigma_us("pcm-gst", g_us, 10.0, read_time_s=4e-6), expected, rtol=1e-9)


def test_one_over_f_noise_of_a_read_as_long_as_the_age_is_none() -> None:
    assert (sigma_us("pcm-gst", np.array([10.0]), 0.0, read_time_s=1e3) == 0.0).all()


@pytest.mark.parametrize("name", ["ideal", "rram-milo", "ecram"])
def test_devices_without_noise_data_read_exactly(name: str) -> None:
    assert read_noise.sigma(device(name), torch.ones(3), 1.0) is None


@pytest.mark.parametrize("name", names("devices"))
def test_noise_leaves_the_conductances_alone(name: str) -> None:
    g = torch.rand(50, generator=torch.Generator().manual_seed(0)) * 2e-5
    before = g.clone()
    read_noise.sigma(device(name), g, 10.0)
    assert torch.equal(g, before)
