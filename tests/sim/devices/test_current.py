"""Truth: the published I-V polynomial and V0 sinh(V / V0) in numpy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sim.devices import DeviceModel, current
from tests.sim.devices.built_in import device, names

MILO = device("rram-milo")
G_US = np.array([50.0, 62.5, 76.2, 93.9, 110.0, 160.0, 225.0])


def milo_coefficients(g_us: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Milo et al. 2021 as fitted in CrossSim: A/V^2 and A/V^3, highest power of log10(g / S) first."""
    log = np.log10(g_us * 1e-6)
    return np.polyval([1.388e-4, 1.541e-3, 5.711e-3, 7.063e-3], log), np.polyval([8.871e-5, 6.7919e-4, 1.2968e-3], log)


@pytest.mark.parametrize("volt", [-0.5, -0.1, 0.0, 0.2, 0.5])
def test_milo_current_is_the_published_polynomial(volt: float) -> None:
    second, third = milo_coefficients(G_US)
    expected = G_US * 1e-6 * volt + second * volt**2 + third * volt**3
    found = current.amperes(MILO, torch.tensor(G_US * 1e-6), volt).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-18)


def test_milo_terms_are_the_coefficients_of_the_powers() -> None:
    terms = dict(DeviceModel(MILO).current_terms(torch.tensor(G_US * 1e-6)))
    assert sorted(terms) == [2, 3]
    for power, expected in zip((2, 3), milo_coefficients(G_US), strict=True):
        np.testing.assert_allclose(terms[power].numpy(), expected, rtol=1e-9)


def test_milo_coefficients_are_held_beyond_the_window() -> None:
    inside, outside = (dict(current.terms(MILO, torch.tensor(g))) for g in ([50e-6, 225e-6], [0.0, 400e-6]))
    for power in (2, 3):
        torch.testing.assert_close(outside[power], inside[power])


def test_milo_current_beyond_its_voltage_is_refused() -> None:
    with pytest.raises(ValueError, match=r"rram-milo: -0\.6 V: expected at most 0\.5 V"):
        current.amperes(MILO, torch.ones(1), -0.6)


@given(st.floats(0.05, 2.0), st.floats(-1.0, 1.0))
def test_sinh_current(scale: float, volt: float) -> None:
    sinh = device("ideal", current={"model": "sinh", "scale_volt": scale})
    found = current.amperes(sinh, torch.tensor([2e-6], dtype=torch.float64), volt).item()
    assert found == pytest.approx(2e-6 * scale * np.sinh(volt / scale), rel=1e-12)
    assert current.terms(sinh, torch.ones(3)) == []


@pytest.mark.parametrize("name", [name for name in names("devices") if name != "rram-milo"])
def test_other_devices_are_ohmic(name: str) -> None:
    g = torch.linspace(0, 5e-6, 7)
    assert torch.equal(current.amperes(device(name), g, 0.3), g * 0.3)
    assert current.terms(device(name), g) == []


def test_a_zero_coefficient_is_no_term() -> None:
    odd = {
        "model": "polynomial",
        "second_ampere_per_volt2": 0.0,
        "third_ampere_per_volt3": [0.0, 2e-6],
        "largest_volt": 1.0,
    }
    terms = current.terms(device("ideal", current=odd), torch.tensor([50e-6]))
    assert [power for power, _ in terms] == [3]
    assert terms[0][1].item() == pytest.approx(1e-6)
