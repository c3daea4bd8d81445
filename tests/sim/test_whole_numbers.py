"""Truth: the golden models on Python integers, number by number, for everything digital that a chip does."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor

import mapping
from eqprop import EnergyNetwork, FixedPoint, models
from mapping import Target
from mapping.arithmetic import Scaling, SquaredErrorNudge, neuron
from mapping.dither import Lfsr, dithered
from mapping.fixed_point import state_steps
from sim import Chip
from sim.converters import Driver
from sim.read_path import Requantiser
from tests.mapping.graphs import images_for

SETTINGS = ["dac.bits=6", "adc.bits=7", "controller.state_bits=12"]


def compiled(*more: str, name: str = "hopfield-resnet", **options: Any) -> mapping.Mapping:
    network = models.build(name, classes=3, size=6, channels=1, width=0.1)
    network.dynamics = FixedPoint(max_sweeps=4, tolerance=0.0)
    return mapping.compile(network, Target.load("rram-hfo2", (24, 24), [*SETTINGS, *more]), **options)


def whole(values: Tensor, step: float) -> list[int]:
    """Codes of values; fails unless they are whole."""
    codes = (values.double() / step).flatten()
    assert torch.equal(codes, codes.round())
    return [int(code) for code in codes.tolist()]


def watched(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, seen: Callable[..., None]) -> None:
    """Let ``seen(self, arguments, result)`` look at every call of a method; arguments as they were before it."""
    original = getattr(owner, name)

    def call(self: Any, *arguments: Any) -> Any:
        before = [a.clone() if isinstance(a, Tensor) else a for a in arguments]
        lfsr = getattr(getattr(self, "dither", None), "lfsr", None)
        result = original(self, *arguments)
        seen(self, before, result, lfsr)
        return result

    monkeypatch.setattr(owner, name, call)


def places_of_feeding(shape: torch.Size, lanes: int) -> list[int]:
    """Of every element in row-major order, which number it takes: positions first, then groups of channels."""
    samples, channels = shape[:2]
    positions, per_position = math.prod(shape[2:]), math.ceil(channels / lanes) * lanes
    return [
        (sample * positions + position) * per_position + channel
        for sample in range(samples)
        for channel in range(channels)
        for position in range(positions)
    ]


@pytest.mark.parametrize("options", [{}, {"budget": 60}], ids=["one copy", "copies"])
@pytest.mark.parametrize("dither", ["false", "true"])
def test_every_digital_step_of_a_phase_is_the_golden_models(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], dither: str
) -> None:
    mapped = compiled(f"dac.dither={dither}", **options)
    assert not options or any(len(matrix.replicas) > 1 for matrix in mapped.matrices.values())
    counts = {"dac": 0, "sum": 0, "update": 0}

    def see_codes(driver: Driver, before: list[Any], result: Tensor, lfsr: Lfsr | None) -> None:
        codes, states = driver.codes, driver.states
        assert codes is not None
        assert states is not None
        limits = (codes.low, codes.high)
        scaling = Scaling.nearest(Fraction(states.step) / Fraction(codes.step))
        given = whole(before[1].contiguous(), states.step)
        if dither == "false":
            expected = [scaling.apply(code, limits) for code in given]
        else:
            assert lfsr is not None
            numbers = [int(lfsr.numbers(place, 1)) for place in places_of_feeding(before[1].shape, driver.lanes)]
            expected = [dithered(code, scaling, limits, n) for code, n in zip(given, numbers, strict=True)]
        assert whole(result.contiguous(), 1.0) == expected
        counts["dac"] += 1

    def see_sums(requantiser: Requantiser, before: list[Any], result: Tensor, _: Any) -> None:
        limits = (-(2**21), 2**21 - 1)
        expected = [requantiser.scaling.apply(code, limits) for code in whole(before[0].contiguous(), 1.0)]
        assert whole(result.contiguous(), requantiser.step) == expected
        counts["sum"] += 1

    def see_update(chip: Chip, before: list[Any], result: Tensor, _: Any) -> None:
        name, drive, _, target, beta = before
        codes, stiffness = chip.codes[name], chip.layers[name].stiffness
        assert codes is not None
        limits = (codes.low, codes.high)
        drives = whole(drive.contiguous(), codes.step)  # sums of reads and the bias, nothing between two codes
        if name == chip.cost.layer and beta != 0.0:
            nudge = SquaredErrorNudge.build(beta, stiffness, round(1.0 / codes.step))
            classes = drive.flatten(1).shape[1]
            expected = [
                nudge.apply(code, is_target=int(target[place // classes]) == place % classes, limits=limits)
                for place, code in enumerate(drives)
            ]
        else:
            inverse = Scaling.nearest(1.0 / stiffness)
            expected = [neuron(code, 0, inverse, limits) for code in drives]
        assert whole(result.contiguous(), codes.step) == expected
        counts["update"] += 1

    watched(monkeypatch, Driver, "encoded", see_codes)
    watched(monkeypatch, Requantiser, "__call__", see_sums)
    watched(monkeypatch, Chip, "minimise_", see_update)
    chip = Chip(mapped)
    x = images_for(mapped.network, 2).add_(1.0)
    free = chip.relax(x)
    for beta in (0.3, -0.3):
        chip.relax(x, target=torch.tensor([0, 2]), beta=beta, start=free.states)
    assert min(counts.values()) > 10


@pytest.mark.parametrize("name", ["hopfield-resnet", "vgg5", "bilinear"])
def test_states_of_every_layer_stay_codes(name: str) -> None:
    network = models.build(name, classes=3, size=16 if name == "vgg5" else 6, channels=1, width=0.05)
    network.dynamics = FixedPoint(max_sweeps=4, tolerance=0.0)
    mapped = mapping.compile(network, Target.load("pcm-gst", (48, 48), SETTINGS))
    chip = Chip(mapped)
    for states in (chip.relax(images_for(network, 2)).states,):
        for layer, codes in chip.codes.items():
            assert codes is not None
            found = whole(states[layer], codes.step)
            assert codes.low <= min(found) <= max(found) <= codes.high


def test_more_bits_come_closer_to_the_ideal_network() -> None:
    network: EnergyNetwork = models.build("hopfield-resnet", classes=3, size=6, channels=1, width=0.1)
    network.dynamics = FixedPoint(max_sweeps=15, tolerance=0.0)
    x = images_for(network, 4).add_(1.0)
    expected = network.relax(x).states
    errors = []
    for bits in (6, 8, 10, 12):
        settings = [f"dac.bits={bits}", f"adc.bits={bits}", f"controller.state_bits={bits + 4}"]
        chip = Chip(mapping.compile(network, Target.load("ideal", (24, 24), settings), x))
        states = chip.relax(x).states
        errors.append(max(float((states[name] - state).abs().max()) for name, state in expected.items()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0] / 16  # a factor of 64 in the steps


def test_dithered_converters_do_not_lose_what_is_smaller_than_a_step() -> None:
    network = models.mlp([20], channels=1, size=4, classes=3)
    found = {}
    for dither in ("false", "true"):
        settings = ["dac.bits=4", "controller.state_bits=12", f"dac.dither={dither}"]
        mapped = mapping.compile(network, Target.load("ideal", (32, 32), settings))
        chip = Chip(mapped)
        codes = chip.codes["h1"]
        assert codes is not None
        step = mapped.layers["h1"].full_scale / 15  # of the converter
        state = torch.full((4096, 20), 0.3 * step)
        state = codes.quantise_(state)
        answer = chip.coupling("h1_output").forward(state).mean(0)
        exact = network.coupling("h1_output").forward(state)[0].detach()
        found[dither] = float((answer - exact).norm() / exact.norm())
    assert found["false"] == pytest.approx(1.0)  # rounded to nothing
    assert found["true"] < 0.05


def test_sums_that_are_not_whole_numbers_stay_float() -> None:
    for setting in (
        "adc.range=tile",
        "dac.input=bit-serial",
        "cell={levels: 4, slices: 2}",
        "cell.encoding=offset",
        "controller.state_bits=null",
    ):
        mapped = compiled(setting)
        assert all(not state_steps(mapped, matrix) for matrix in mapped.matrices.values()), setting
        assert torch.isfinite(Chip(mapped).relax(images_for(mapped.network, 1)).states["output"]).all()


def test_another_seed_dithers_otherwise_and_a_chip_goes_on_where_it_was() -> None:
    mapped = compiled("dac.dither=true", "read.noise=off", name="mlp")
    x = images_for(mapped.network, 2)
    chip = Chip(mapped, seed=1)
    first, second = (chip.relax(x).states["h1"] for _ in range(2))
    assert torch.equal(first, Chip(mapped, seed=1).relax(x).states["h1"])
    assert not torch.equal(first, second)


@pytest.mark.parametrize("ratio", [2.0**-20, 0.37, 3.3e4, 145502.0, 1.5e7])
def test_coarse_codes_of_a_wide_range_are_requantised_too(ratio: float) -> None:
    requantiser = Requantiser.between(ratio * 2.0**-14, 2.0**-14)
    codes = torch.tensor([-130.0, -7.0, -1.0, 0.0, 1.0, 5.0, 127.0])
    expected = [min(max(code * ratio, -(2.0**21)), 2.0**21 - 1) for code in codes.tolist()]
    found = requantiser(codes.clone()) / 2.0**-14
    assert torch.allclose(found, torch.tensor(expected), rtol=2.0**-15, atol=0.5)
