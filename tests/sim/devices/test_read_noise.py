"""Truth: the published read noise formulas in numpy."""

import numpy as np
import pytest
import torch

from mapping import Target
from sim.devices import read_noise

PCM = Target.load("pcm-gst").device
RRAM = Target.load("rram-hfo2").device


@pytest.mark.parametrize("age_s", [0.0, 1.0, 3600.0, 86400.0, 2.6e6])
def test_pcm_noise_is_the_published_formula(age_s: float) -> None:
    g_us = np.linspace(0.01, 30.0, 200)
    q = np.minimum(0.0088 / (g_us / 25.0) ** 0.65, 0.2)
    expected = g_us * q * np.sqrt(np.log((20.0 + age_s + 250e-9) / (2 * 250e-9)))
    found = read_noise.sigma(PCM, torch.tensor(g_us * 1e-6), age_s)
    assert found is not None
    np.testing.assert_allclose(found.numpy() * 1e6, expected, rtol=1e-9)


def test_pcm_noise_grows_with_age_and_a_dead_device_has_none() -> None:
    early, late = (read_noise.sigma(PCM, torch.tensor([0.0, 1e-6, 25e-6]), age) for age in (0.0, 1e6))
    assert early is not None
    assert late is not None
    assert early[0] == late[0] == 0.0
    assert bool((late[1:] > early[1:]).all())


def test_rram_noise_is_one_percent_at_any_age() -> None:
    g = torch.linspace(0, 40e-6, 20)
    for age_s in (0.0, 1e5):
        assert torch.equal(read_noise.sigma(RRAM, g, age_s), g * 0.01)  # type: ignore[arg-type]


def test_ideal_devices_read_without_noise() -> None:
    assert read_noise.sigma(Target.load("ideal").device, torch.ones(3), 1.0) is None


def test_noise_leaves_the_conductances_alone() -> None:
    for device in (PCM, RRAM):
        g = torch.rand(50) * 2e-5
        before = g.clone()
        read_noise.sigma(device, g, 10.0)
        assert torch.equal(g, before)
