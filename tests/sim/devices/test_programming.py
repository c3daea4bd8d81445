"""Truth: the published error polynomials in numpy, another group's fit of the same figure, and sample statistics."""

import numpy as np
import pytest
import torch

from mapping import Target
from sim.devices import programming

PCM = Target.load("pcm-gst").device
RRAM = Target.load("rram-hfo2").device
DRAWS = 200_000


def published_pcm_sigma_us(x: np.ndarray) -> np.ndarray:
    """Joshi et al. 2020, as in aihwkit: microsiemens, x = g / 25 uS."""
    return 0.26348 + 1.9650 * x - 1.1731 * x**2


def test_pcm_sigma_is_the_published_polynomial() -> None:
    x = np.linspace(0.0, 1.0, 101)
    found = programming.sigma(PCM, torch.tensor(x * 25e-6)).numpy()
    np.testing.assert_allclose(found * 1e6, published_pcm_sigma_us(x), rtol=1e-9)


def test_pcm_sigma_at_full_conductance() -> None:
    sigma = programming.sigma(PCM, torch.tensor([25e-6], dtype=torch.float64)).item()
    assert sigma == pytest.approx(1.05538e-6, rel=1e-9)


def test_pcm_sigma_agrees_with_an_independent_fit_of_the_same_figure() -> None:
    g = np.linspace(0.25, 25.0, 100)
    other = -0.00178767 * g**2 + 0.07585724 * g + 0.28638599  # CrossSim's fit of Joshi et al. 2020, fig. 3b
    found = programming.sigma(PCM, torch.tensor(g * 1e-6)).numpy() * 1e6
    np.testing.assert_allclose(found, other, rtol=0.10)


@pytest.mark.parametrize("x", [0.3, 0.6, 1.0])
def test_programmed_devices_spread_as_sigma_says(x: float) -> None:
    target = torch.full((DRAWS,), x * 25e-6)
    error = programming.program(PCM, target, torch.Generator().manual_seed(0)) - target
    sigma = published_pcm_sigma_us(np.array(x)) * 1e-6
    # Standard errors: sigma / sqrt(n) of the mean, sigma / sqrt(2 n) of the deviation; 4 of each allowed.
    assert abs(error.mean().item()) < 4 * sigma / DRAWS**0.5
    assert error.std().item() == pytest.approx(sigma, abs=4 * sigma / (2 * DRAWS) ** 0.5)


def test_conductances_never_go_negative() -> None:
    programmed = programming.program(PCM, torch.zeros(DRAWS), torch.Generator().manual_seed(0))
    assert programmed.min() == 0.0
    assert (programmed == 0.0).float().mean().item() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("device", [RRAM, Target.load("ideal").device])
def test_exact_programming_is_exact_and_a_copy(device: object) -> None:
    target = torch.rand(5) * 1e-5
    programmed = programming.program(device, target, torch.Generator())  # type: ignore[arg-type]
    assert torch.equal(programmed, target)
    assert programmed.data_ptr() != target.data_ptr()


def test_horner_is_the_polynomial() -> None:
    x = torch.linspace(-1, 2, 7, dtype=torch.float64)
    expected = 3.0 - 2.0 * x + 0.5 * x**3
    torch.testing.assert_close(programming.polynomial([3.0, -2.0, 0.0, 0.5], x), expected)
