"""Truth: shares asked for, counted in many devices with their binomial error, and moments of a uniform number."""

import pytest
import torch

from mapping.device import Device
from sim.devices import faults
from tests.sim.devices.built_in import device

DRAWS = 200_000


def device_with(low: float, high: float, anywhere: float = 0.0) -> Device:
    return device("pcm-gst", stuck={"low": low, "high": high, "any": anywhere})


def stuck_at(device: Device, g: float, draws: int = DRAWS, seed: int = 0) -> torch.Tensor:
    return stick(device, torch.full((draws,), g), torch.Generator().manual_seed(seed))


def stick(device: Device, conductance: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    stuck = faults.draw(device, conductance, generator)
    return conductance if stuck is None else stuck.stick_(conductance)


@pytest.mark.parametrize(("low", "high"), [(0.1, 0.05), (0.0, 0.2), (0.3, 0.0), (0.4, 0.6), (1.0, 0.0)])
@pytest.mark.parametrize("anywhere", [0.0, 0.2])
def test_shares_of_stuck_devices(low: float, high: float, anywhere: float) -> None:
    anywhere = anywhere if low + high + anywhere <= 1 else 0.0
    stuck = stuck_at(device_with(low, high, anywhere), 7e-6)
    for share, value in ((low, 0.25e-6), (high, 25e-6), (1 - low - high - anywhere, 7e-6)):
        found = (stuck == torch.tensor(value)).double().mean().item()
        assert abs(found - share) <= 5 * (share * abs(1 - share) / DRAWS) ** 0.5 + 1e-12


def test_devices_stuck_anywhere_are_uniform_in_the_window() -> None:
    stuck = stuck_at(device_with(0.1, 0.1, 0.5), 7e-6).double()
    ends = torch.tensor([0.25e-6, 25e-6, 7e-6])
    found = (stuck[~torch.isin(stuck.float(), ends)] - 0.25e-6) / 24.75e-6
    count = len(found)
    assert count / DRAWS == pytest.approx(0.5, abs=5 * (0.25 / DRAWS) ** 0.5)
    assert found.min() >= 0.0
    assert found.max() <= 1.0
    # Moments of a uniform number: 1/2, and variance 1/12 with standard error sqrt((1/80 - 1/144) / n).
    assert found.mean().item() == pytest.approx(0.5, abs=5 * (1 / 12 / count) ** 0.5)
    assert found.var().item() == pytest.approx(1 / 12, abs=5 * ((1 / 80 - 1 / 144) / count) ** 0.5)


def test_no_stuck_devices_change_nothing_and_draw_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    conductance = torch.rand(10)
    assert torch.equal(stick(device_with(0.0, 0.0), conductance.clone(), generator), conductance)
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize("anywhere", [0.0, 0.3])
def test_one_stream_sticks_the_same_devices_at_the_same_values(anywhere: float) -> None:
    one, other = (stuck_at(device_with(0.1, 0.1, anywhere), g, 100, seed=3) for g in (5e-6, 6e-6))
    free = one == 5e-6
    assert torch.equal(free, other == 6e-6)
    assert torch.equal(one[~free], other[~free])


def test_sticking_is_in_place() -> None:
    conductance = torch.full((1000,), 7e-6, dtype=torch.float64)
    returned = stick(device_with(0.2, 0.2, 0.2), conductance, torch.Generator().manual_seed(0))
    assert returned.data_ptr() == conductance.data_ptr()
    assert 0.3 < (conductance == 7e-6).double().mean() < 0.5
