"""Truth: shares asked for, counted in many devices with their binomial error."""

import pytest
import torch

from mapping import Target
from mapping.device import Device
from sim.devices import faults

DRAWS = 200_000


def device_with(low: float, high: float) -> Device:
    return Target.load("pcm-gst", overrides=[f"device.stuck.low={low}", f"device.stuck.high={high}"]).device


@pytest.mark.parametrize(("low", "high"), [(0.1, 0.05), (0.0, 0.2), (0.3, 0.0), (0.4, 0.6), (1.0, 0.0)])
def test_shares_of_stuck_devices(low: float, high: float) -> None:
    stuck = faults.stick_(device_with(low, high), torch.full((DRAWS,), 7e-6), torch.Generator().manual_seed(0))
    for share, value in ((low, 0.25e-6), (high, 25e-6), (1 - low - high, 7e-6)):
        found = (stuck == torch.tensor(value)).double().mean().item()
        assert abs(found - share) <= 5 * (share * (1 - share) / DRAWS) ** 0.5 + 1e-12


def test_no_stuck_devices_change_nothing_and_draw_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    conductance = torch.rand(10)
    assert torch.equal(faults.stick_(device_with(0.0, 0.0), conductance.clone(), generator), conductance)
    assert torch.equal(generator.get_state(), before)


def test_one_stream_sticks_the_same_devices() -> None:
    one, other = (
        faults.stick_(device_with(0.1, 0.1), torch.full((100,), g), torch.Generator().manual_seed(3))
        for g in (5e-6, 6e-6)
    )
    assert torch.equal(one == 5e-6, other == 6e-6)
