"""Truth: the published error polynomials in numpy, another group's fit of the same figure, and sample statistics."""

import numpy as np
import pytest
import torch

from sim.devices import programming
from tests.sim.devices.built_in import device

PCM = device("pcm-gst")
DRAWS = 200_000


def published_pcm_sigma_us(x: np.ndarray) -> np.ndarray:
    """Joshi et al. 2020, as in aihwkit: microsiemens, x = g / 25 uS."""
    return 0.26348 + 1.9650 * x - 1.1731 * x**2


def write(name: str, target: torch.Tensor, seed: int = 0) -> torch.Tensor:
    return programming.program(device(name), target, torch.Generator().manual_seed(seed)).conductance


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
    error = write("pcm-gst", target) - target
    sigma = published_pcm_sigma_us(np.array(x)) * 1e-6
    # Standard errors: sigma / sqrt(n) of the mean, sigma / sqrt(2 n) of the deviation; 4 of each allowed.
    assert abs(error.mean().item()) < 4 * sigma / DRAWS**0.5
    assert error.std().item() == pytest.approx(sigma, abs=4 * sigma / (2 * DRAWS) ** 0.5)


def test_conductances_never_go_negative() -> None:
    programmed = write("pcm-gst", torch.zeros(DRAWS))
    assert programmed.min() == 0.0
    assert (programmed == 0.0).float().mean().item() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("name", ["ideal", "rram-hfo2", "sonos"])
def test_exact_programming_copies_and_draws_nothing(name: str) -> None:
    target, generator = torch.rand(5) * 1e-5, torch.Generator()
    before = generator.get_state()
    programmed = programming.program(device(name), target, generator)
    assert torch.equal(programmed.conductance, target)
    assert programmed.conductance.data_ptr() != target.data_ptr()
    assert (programmed.attempts, programmed.failed, programmed.own) == (1.0, 0, None)
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8, 1.0])
def test_two_writes_of_the_same_devices_correlate_by_the_device_to_device_share(share: float) -> None:
    law = {"model": "gaussian", "sigma_siemens": [1.0e-6], "device_to_device": share}
    pcm, generator = device("pcm-gst", programming=law), torch.Generator().manual_seed(0)
    target = torch.full((DRAWS,), 15e-6, dtype=torch.float64)
    first = programming.program(pcm, target, generator)
    second = programming.program(pcm, target, generator, first.own)
    errors = np.stack([(written.conductance - target).numpy() for written in (first, second)]) * 1e6
    # Standard error of a correlation: (1 - r^2) / sqrt(n); of a deviation: 1 / sqrt(2 n).
    assert np.corrcoef(errors)[0, 1] == pytest.approx(share, abs=5 * (1 - share**2) / DRAWS**0.5 + 1e-6)
    assert errors.std(axis=1) == pytest.approx([1.0, 1.0], abs=5 / (2 * DRAWS) ** 0.5)
    other = programming.program(pcm, target, generator)
    stranger = (other.conductance - target).numpy()
    assert abs(np.corrcoef(errors[0], stranger)[0, 1]) < 5 / DRAWS**0.5


def test_one_generator_state_writes_one_chip_in_any_memory_layout() -> None:
    target = torch.rand(30, 40, generator=torch.Generator().manual_seed(1)) * 20e-6
    plain, turned = write("pcm-gst", target), write("pcm-gst", target.T.contiguous().T)
    assert torch.equal(plain, turned)
