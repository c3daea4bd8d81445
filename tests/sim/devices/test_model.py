"""Truth: what must be the same between two runs of one seed, and what a law must leave alone."""

import warnings

import pytest
import torch

from mapping import Target
from sim.devices import DeviceModel
from tests.sim.devices.built_in import device, names, update

NAMES = names("devices")
SHAPE = (3, 50, 40)


def chip(
    name: str, age_s: float, dtype: torch.dtype = torch.float32, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Programmed, aged and stuck devices, and the state of the generator afterwards."""
    model = DeviceModel(device(name, stuck={"low": 0.05, "high": 0.05, "any": 0.05}))
    window = model.device.g_min_siemens, model.device.g_max_siemens
    target = torch.linspace(*window, 6000, dtype=dtype).reshape(SHAPE)
    generator = torch.Generator().manual_seed(seed)
    programmed = model.program(target, generator)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ages beyond the last measured one
        aged = model.age(programmed.conductance, age_s, generator)
    stuck = model.stuck(aged, generator)
    assert stuck is not None
    return stuck.stick_(aged), generator.get_state()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_seed_is_one_chip(name: str, dtype: torch.dtype) -> None:
    one, again, other = chip(name, 1e4, dtype), chip(name, 1e4, dtype), chip(name, 1e4, dtype, seed=1)
    assert one[0].dtype == dtype
    assert one[0].shape == SHAPE
    assert one[0].min() >= 0.0
    assert torch.equal(one[0], again[0])
    assert not torch.equal(one[0], other[0])


@pytest.mark.parametrize("name", NAMES)
def test_a_chip_at_two_ages_is_one_chip(name: str) -> None:
    """Every age draws the same numbers, so the same devices are stuck, at the same values."""
    chips = [chip(name, age_s) for age_s in (0.0, 1.0, 86400.0, 1e7)]
    for _, state in chips:
        assert torch.equal(state, chips[0][1])
    low, high = (torch.tensor(value) for value in (device(name).g_min_siemens, device(name).g_max_siemens))
    for end in (low, high):
        # A conductance may also drift to 0, the low end of some windows: what is stuck young is stuck old.
        young, old = chips[1][0] == end, chips[2][0] == end
        stuck = young & old
        assert 0.03 < stuck.double().mean() < 0.5
    if device(name).drift.model == "none":
        assert torch.equal(chips[0][0], chips[3][0])
    else:
        assert not torch.equal(chips[0][0], chips[2][0])


@pytest.mark.parametrize("name", NAMES)
def test_ageing_is_in_place_and_draws_one_number_a_device_whatever_the_age(name: str) -> None:
    model = DeviceModel(device(name))
    g = torch.full((100,), device(name).g_max_siemens / 2)
    generator, counted = (torch.Generator().manual_seed(0) for _ in range(2))
    if device(name).drift.model != "none":
        torch.randn(100, generator=counted)
    assert model.age(g, 0.0, generator).data_ptr() == g.data_ptr()
    assert torch.equal(generator.get_state(), counted.get_state())


@pytest.mark.parametrize("name", NAMES)
def test_programming_leaves_the_targets_alone(name: str) -> None:
    target = torch.full((100,), device(name).g_max_siemens)
    before = target.clone()
    DeviceModel(device(name)).program(target, torch.Generator().manual_seed(0))
    assert torch.equal(target, before)


def test_weights_and_conductances_are_linear_in_each_other() -> None:
    model = DeviceModel(device("ecram"))  # 2..4 uS are -0.8286..1.1714
    g = torch.tensor([2e-6, 2.8286e-6, 4e-6], dtype=torch.float64)
    w = model.to_weight(g)
    torch.testing.assert_close(w, torch.tensor([-0.8286, 0.0, 1.1714], dtype=torch.float64))
    torch.testing.assert_close(model.to_siemens(w), g)
    assert model.to_siemens(torch.tensor([-10.0])).item() == 0.0


def test_a_device_learns_by_pulses() -> None:
    model, generator = DeviceModel(device("ecram")), torch.Generator().manual_seed(0)
    responses = model.responses((50, 40), generator)
    w = torch.zeros(50, 40)
    for _ in range(200):
        model.pulse_(responses, w, torch.ones(50, 40), generator)
    assert w.mean().item() == pytest.approx(200 * 2.8214e-4, rel=0.05)
    assert model.to_siemens(w).mean() > 2.8286e-6


def test_a_device_without_an_update_law_refuses_pulses() -> None:
    with pytest.raises(ValueError, match="without an update law"):
        DeviceModel(device("ideal")).responses((2,), torch.Generator())


def test_a_device_file_may_name_its_update_law() -> None:
    assert Target.load("ecram").device == device("ecram")
    assert device("ecram").update == update("ecram-mo")
