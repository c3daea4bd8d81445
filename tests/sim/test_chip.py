"""Truth: what one seed, one age and one fixed-point grid promise, checked bit by bit."""

import math
import warnings
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

import mapping
from eqprop import ConvergenceWarning, EnergyNetwork, FixedPoint, estimators, models
from mapping.arithmetic import Codes
from sim import Chip
from sim.array import Array
from sim.fabrication import Fabrication, Streams, build_reads, make_crossbars
from sim.wire_solver import WireSolver
from tests.mapping.graphs import images_for

SWEEPS = FixedPoint(max_sweeps=8, tolerance=0.0)
DAY = 86400.0


def compiled(preset: str = "pcm-gst", *overrides: str) -> mapping.Mapping:
    network = models.build("hopfield-resnet", classes=3, size=6, width=0.1)
    network.dynamics = SWEEPS
    return mapping.compile(network, mapping.Target.load(preset, (16, 16), overrides))


def relaxed(chip: EnergyNetwork) -> dict[str, Tensor]:
    return chip.relax(images_for(chip)).states


def array_of(chip: Chip, name: str, number: int = 0) -> Array:
    return chip.mapped(name).arrays[number]


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(state, other[name]) for name, state in one.items())


def weights(chip: Chip, number: int = 0) -> dict[str, Tensor]:
    return {name: chip.couplings[name].effective_weight(number) for name in chip.mapping.matrices}  # type: ignore[operator]


@pytest.mark.parametrize("preset", ["pcm-gst", "rram-hfo2"])
def test_one_seed_fixes_everything(preset: str) -> None:
    mapped = compiled(preset, "device.stuck.low=0.01")
    one, other = (Chip(mapped, seed=3, chips=2, age_s=DAY) for _ in range(2))
    assert same(weights(one, 1), weights(other, 1))
    assert same(relaxed(one), relaxed(other))
    assert same(relaxed(one), relaxed(other))  # read noise goes on from where it was, alike on both


def test_different_seeds_are_different_chips() -> None:
    mapped = compiled()
    one, other = Chip(mapped, seed=0), Chip(mapped, seed=1)
    assert not any(torch.equal(weight, weights(other)[name]) for name, weight in weights(one).items())
    assert not same(relaxed(one), relaxed(other))


def test_a_chip_is_the_same_in_any_batch_of_chips() -> None:
    mapped = compiled()
    batch = Chip(mapped, seed=5, chips=3, age_s=10.0)
    smaller = Chip(mapped, seed=5, chips=2, age_s=10.0)
    for number in range(3):
        own = Streams.of(5, number)
        crossbars = make_crossbars(mapped, 10.0, own.start(), WireSolver(mapped.target.wires), Fabrication())
        for name in mapped.matrices:
            alone = build_reads(mapped, name, crossbars, own).effective_weight()
            assert torch.equal(weights(batch, number)[name], alone)
    assert same(weights(batch, 0), weights(Chip(mapped, seed=5, age_s=10.0)))
    assert same(weights(batch, 1), weights(smaller, 1))
    assert not any(torch.equal(weights(batch, 0)[name], weights(batch, 1)[name]) for name in mapped.matrices)


def test_states_of_a_batch_are_those_of_its_chips() -> None:
    mapped = compiled()
    x = images_for(mapped.network, 4)
    together = Chip(mapped, seed=5, chips=2).relax(x).states
    alone = Chip(mapped, seed=5).relax(x).states
    for name in mapped.network.free:
        assert torch.equal(together[name][:4], alone[name])


def test_one_chip_at_two_ages_is_one_chip() -> None:
    # Without read noise or programming errors in the way, each device keeps one drift exponent.
    settings = ["device.g_min_siemens=0", "device.programming={model: exact}", "cell.encoding=offset"]
    mapped = compiled("pcm-gst", *settings)
    name = next(iter(mapped.matrices))
    conductances = [
        array_of(Chip(mapped, seed=7, age_s=age), name).lines["forward"].conductance.double()
        for age in (0.0, 3600.0, 30 * DAY)
    ]
    used = conductances[0] > 1e-7
    early, late = (torch.log(aged[used] / conductances[0][used]) for aged in conductances[1:])
    ratio = math.log1p(30 * DAY / 20.0) / math.log1p(3600.0 / 20.0)
    torch.testing.assert_close(late, early * ratio, rtol=1e-3, atol=1e-4)
    assert late.std() > 0


def test_stuck_devices_are_the_same_at_every_age() -> None:
    mapped = compiled("pcm-gst", "device.stuck.high=0.2", "cell.encoding=offset")
    young, old = (weights(Chip(mapped, seed=2, age_s=age)) for age in (0.0, 30 * DAY))
    for name, weight in young.items():
        encoding = mapped.encoding(name)
        at_high = 0.5 * encoding.weight_per_siemens * (25e-6 - 0.25e-6)
        stuck = [(values - at_high).abs() < 1e-5 * at_high for values in (weight, old[name])]
        assert stuck[0].any()
        assert torch.equal(stuck[0], stuck[1])


def test_ageing_moves_weights_further_away() -> None:
    mapped = compiled("pcm-gst", "device.programming={model: exact}")
    distances = []
    for age in (0.0, 60.0, 3600.0, DAY, 30 * DAY):
        found = weights(Chip(mapped, age_s=age))
        distances.append(
            sum(float((weight - mapped.network.coupling(n).effective_weight()).norm()) for n, weight in found.items())
        )
    assert distances[0] < 1e-4
    assert distances == sorted(distances)


def test_the_global_random_state_is_left_alone() -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()
    chip = Chip(compiled(), chips=2, age_s=60.0)
    relaxed(chip)
    estimators.get("symmetric")(chip, images_for(chip), torch.tensor([0, 1, 2]))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("state_bits", [6, 16])
def test_states_stay_on_the_fixed_point_grid(state_bits: int) -> None:
    chip = Chip(compiled("pcm-gst", f"controller.state_bits={state_bits}"))
    states = relaxed(chip)
    for name in chip.free:
        low, high = chip.layers[name].clip
        reach = high if high != math.inf else 2 * chip.mapping.layers[name].full_scale
        codes = Codes.fixed_point(reach, state_bits, signed=low < 0)
        number = states[name].double() / codes.step
        assert torch.equal(number, number.round())
        assert codes.low <= number.min() <= number.max() <= codes.high


def test_shapes_of_a_batch_of_chips() -> None:
    chip = Chip(compiled(), chips=3)
    equilibrium = chip.relax(images_for(chip, 4))
    assert chip.replicas == 3
    assert chip.logits(equilibrium.states).shape == (12, 3)
    assert equilibrium.states["h1"].shape[0] == 12
    assert torch.equal(chip.spread(torch.arange(4)), torch.arange(4).repeat(3))
    estimate = estimators.get("one-sided")(chip, images_for(chip, 4), torch.tensor([0, 1, 2, 0]))
    assert estimate.count == 12
    with pytest.raises(ValueError, match="a batch of 4 for 3 chips: expected a multiple"):
        chip.coupling("h4_output").forward(torch.zeros(4, *chip.layers["h4"].shape))


@pytest.mark.parametrize("age_s", [-1.0, math.nan, math.inf])
def test_refuses_an_age_that_is_none(age_s: float) -> None:
    with pytest.raises(ValueError, match=r"age_s .*: expected seconds >= 0"):
        Chip(compiled(), age_s=age_s)


def test_refuses_no_chips() -> None:
    with pytest.raises(ValueError, match="chips 0: expected >= 1"):
        Chip(compiled(), chips=0)


@pytest.fixture
def _restored_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("_restored_threads")
def test_the_number_of_threads_changes_rounding_only() -> None:
    mapped = compiled("pcm-gst", "adc.bits=null", "dac.bits=null", "controller.state_bits=null")
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(relaxed(Chip(mapped, seed=1)))
    for name, state in found[0].items():
        torch.testing.assert_close(found[1][name], state, rtol=1e-4, atol=1e-4)


def test_an_age_beyond_the_measurements_warns() -> None:
    mapped = compiled("rram-hfo2")
    with pytest.warns(UserWarning, match="beyond the last measured age"):
        Chip(mapped, age_s=30 * DAY)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Chip(mapped, age_s=2 * DAY)


def test_read_noise_keeps_a_chip_from_its_last_digits() -> None:
    chip = Chip(compiled())
    with pytest.warns(ConvergenceWarning):
        chip.relax(images_for(chip), dynamics=FixedPoint(max_sweeps=20, tolerance=1e-7))
