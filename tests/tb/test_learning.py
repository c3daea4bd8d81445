"""Truth: ``sim``'s states, trains and devices, sample by sample; for pulses that a rate needs, figures by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

import mapping
from eqprop import models
from hw.config import ControllerConfig
from hw.link import link
from mapping import Mapping, Target
from sim import Chip
from sim.learning.devices import ChipDevices
from sim.learning.products import Product
from sim.learning.pulsed import Pulsed
from sim.learning.registers import RegisterTrains
from tb.host import Host
from tb.learning import Follower, LearningLoop, LearningReference
from tb.loop import FastLoop
from tb.pulses import Counts
from tb.reference import random_samples
from tests.tb.cases import QUICK, biased

RATE, BETA, SWEEPS = 0.2, 0.25, (3, 2)
SETTINGS = ("cell.pair=middle", "cell.headroom=4", "device.update=capacitor")


def perceptron(*settings: str) -> Mapping:
    """Dense layers whose devices can be pulsed, on several tiles."""
    network = biased(models.build("mlp", classes=3, size=4, channels=1, width=0.03))
    return mapping.compile(network, Target.load("rram-hfo2", (12, 12), [*QUICK, *SETTINGS, *settings]))


def convolutions() -> Mapping:
    network = biased(models.build("hopfield-resnet", classes=3, size=4, width=0.05))
    return mapping.compile(network, Target.load("rram-hfo2", (16, 16), [*QUICK, *SETTINGS]))


def no_counts(made: Mapping) -> Counts:
    return Counts.none(ControllerConfig.from_mapping(made))


@pytest.mark.slow
@pytest.mark.parametrize(("make", "fixed"), [(perceptron, True), (convolutions, False)])
def test_a_chip_taught_by_the_controller_is_the_chip_that_sim_teaches(make, fixed: bool) -> None:  # type: ignore[no-untyped-def]
    made = make()
    chip, twin = Chip(made, seed=0), Chip(made, seed=0)
    loop = FastLoop(made, chip)
    trains = RegisterTrains(15, fixed, loop.config.lanes, 1.0)
    taught = LearningLoop(loop, chip, trains, RATE, BETA, SWEEPS)
    truth = LearningReference(twin, loop.linked, loop.config, trains, RATE, BETA, SWEEPS)
    before = taught.follower.devices.conductance.clone()
    for x, label in random_samples(made, 4, seed=1):
        step, counts = taught.step(x, label)
        expected_step, wanted = truth.step(x, label)
        assert step.difference(expected_step) == ""
        assert counts.equals(wanted)
        assert counts.up.any()
        assert counts.down.any()
    found, expected = taught.follower, truth.follower
    assert torch.equal(found.devices.conductance, expected.devices.conductance)
    assert not torch.equal(found.devices.conductance, before)
    for name, bias in found.chip.biases.items():
        assert torch.equal(bias, expected.chip.biases[name])
        assert not torch.equal(bias, made.network.biases[name])


@pytest.mark.parametrize("settings", [(), ("cell.pair=minimum", "device.update=pcm-onesided")])
def test_devices_get_the_pulses_that_a_rule_of_sim_gives_them(settings: tuple[str, ...]) -> None:
    made = perceptron(*settings)
    follower, other = Follower(Chip(made, seed=0), RATE, BETA), ChipDevices(Chip(made, seed=0))
    counts, generator = no_counts(made), torch.Generator().manual_seed(0)
    wanted: dict[str, torch.Tensor] = {}
    for name, matrix in made.matrices.items():
        rows, columns = matrix.lowering.rows, matrix.lowering.columns
        up, down = torch.randint(3, (2, rows, columns), generator=generator)
        wanted[name] = torch.stack((up, down)).float()
        for tile in matrix.replicas[0].tiles:
            lines = np.arange(*tile.rows), np.arange(*tile.columns)
            counts.add(
                tile.crossbar,
                tile.at[0] + lines[0] - tile.rows[0],
                tile.at[1] // made.encoding(name).devices_per_weight + lines[1] - tile.columns[0],
                up.numpy()[np.ix_(*lines)],
                down.numpy()[np.ix_(*lines)],
            )
    states = {name: np.zeros(made.network.layers[name].shape, np.int64) for name in made.network.free}
    follower.follow(counts, states, states)
    Pulsed(Given(wanted)).apply(other, [Product(name, torch.zeros(1), torch.zeros(1), 1.0) for name in wanted], RATE)
    assert torch.equal(follower.devices.pulses, other.pulses)
    assert torch.equal(follower.devices.conductance, other.conductance)


class Given(RegisterTrains):
    """Trains that give what a test says, matrix after matrix."""

    def __init__(self, counts: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.counts = iter(counts.values())

    def up_and_down(self, *_: object, **__: object) -> tuple[torch.Tensor, torch.Tensor]:
        up, down = next(self.counts)
        return up, down


def test_biases_go_down_the_gradient_of_the_symmetric_estimate() -> None:
    made = convolutions()
    chip = Chip(made, seed=0)
    follower, draw = Follower(chip, RATE, BETA), np.random.default_rng(0)
    plus, minus = (
        {name: draw.integers(0, 200, made.network.layers[name].shape) for name in chip.free} for _ in range(2)
    )
    for parameter in chip.parameters():
        parameter.grad = None
    clamped = {name: torch.zeros(1, *chip.layers[name].shape) for name in chip.inputs}
    for states, beta in ((plus, BETA), (minus, -BETA)):
        values = {
            name: torch.from_numpy(codes * follower.step_of(name)).float()[None] for name, codes in states.items()
        }
        chip.accumulate({**clamped, **values}, -1.0 / (2.0 * beta))
    wanted = {name: bias - RATE * bias.grad for name, bias in chip.biases.items()}
    follower.follow(no_counts(made), plus, minus)
    for name, bias in chip.biases.items():
        torch.testing.assert_close(bias, wanted[name], rtol=1e-5, atol=1e-6)


def test_gains_ask_for_the_pulses_that_a_rate_needs() -> None:
    made = perceptron()
    follower = Follower(Chip(made, seed=0), RATE, BETA)
    for edge in made.network.edges:
        device, encoding = made.target.device, made.encoding(edge.name)
        # Both devices of a pair move by a step, in a window of g_max - g_min for w from -1 to 1.
        siemens = 0.005 * (device.g_max_siemens - device.g_min_siemens) / 2.0
        weight_per_pulse = 2.0 * siemens * encoding.weight_per_siemens
        both_at_full = 1.0 / (follower.step_of(edge.pre) * follower.step_of(edge.post))
        pulses = follower.gains()[edge.name] * both_at_full
        assert pulses == pytest.approx(RATE / (2.0 * BETA) / weight_per_pulse, rel=1e-6)


def test_devices_that_no_pulse_moves_are_refused() -> None:
    made = perceptron()
    device = made.target.device.model_copy(update={"update": None})
    made = dataclasses.replace(made, target=made.target.model_copy(update={"device": device}))
    with pytest.raises(ValueError, match="no update law"):
        Follower(Chip(made, seed=0), RATE, BETA)


def test_biases_on_the_bus_are_those_that_the_image_has() -> None:
    made = convolutions()
    linked, config = link(made), ControllerConfig.from_mapping(made)
    host = Host(made, linked, config)
    loaded = next(write for write in host.loading() if write.address == host.map.base("constant"))
    for write in host.biases_write(dict(made.network.biases.items())):
        first = (write.address - loaded.address) // 4
        assert loaded.words[first : first + len(write.words)] == write.words
        assert any(write.words)
