"""Learning with the controller in the loop: its pulses move the devices that its next reads see.

Every sample is a step of its own. Weights never leave the arrays; biases are the host's, who writes them after
each step.
"""

from __future__ import annotations

import copy

import torch

from hw.config import ControllerConfig
from hw.link import Linked
from mapping.fixed_point import codes_of_layer
from sim.chip import Chip
from sim.learning.devices import ChipDevices, pulsed_law, step_in_weight
from sim.learning.pulsed import of_devices, pulse_in_turn
from sim.learning.registers import RegisterTrains
from tb.arrays import Codes
from tb.loop import FastLoop
from tb.pulses import Counts, PulseCounter, golden
from tb.reference import Reference, batch_of
from tb.step import Step

Sample = dict[str, torch.Tensor]


class Follower:
    """What of a chip learns: its devices, and the digital biases.

    Args:
        chip: one chip; its devices learn from what they are now, and its reads follow them.
        rate: learning rate of weights and biases, for the gradient of one sample.
        beta: of the nudged phases.

    Raises:
        ValueError: for more than one chip, and for devices without an update law.
    """

    def __init__(self, chip: Chip, rate: float, beta: float) -> None:
        self.chip, self.strength = chip, rate / (2.0 * beta)
        self.one_sided = pulsed_law(chip.mapping).one_sided
        self.devices = ChipDevices(chip)

    def step_of(self, layer: str) -> float:
        """What a code of a layer's states means."""
        codes = codes_of_layer(self.chip.mapping, layer)
        assert codes is not None
        return codes.step

    def gains(self) -> dict[str, float]:
        """By matrix, wanted pulses where the codes of both sides are 1: strength x y / (what a pulse changes)."""
        mapping = self.chip.mapping
        return {
            edge.name: self.strength
            * self.step_of(edge.pre)
            * self.step_of(edge.post)
            / step_in_weight(self.devices, edge.name)
            for edge in mapping.network.edges
            if len(mapping.chains[edge.name]) == 1
        }

    @torch.no_grad()
    def follow(self, counts: Counts, plus: dict[str, Codes], minus: dict[str, Codes]) -> None:
        """Move devices by what they met, up before down, and biases by strength (s+ - s-).

        Args:
            plus, minus: codes of free layers after the phases of +beta and of -beta.
        """
        if pulse_in_turn(self.devices, self.signed(counts.up, 1), self.signed(counts.down, -1)):
            self.devices.connect()
        for name, bias in self.chip.biases.items():
            change = plus[name] - minus[name]
            by_channel = torch.from_numpy(change.reshape(len(change), -1).sum(1)).double()
            bias.add_(by_channel.mul_(self.strength * self.step_of(name)).float())

    def signed(self, counts: Codes, sign: int) -> torch.Tensor:
        """Of devices, the feedback set's too: what raises (1) or lowers (-1) weights [crossbars, rows, weights]."""
        mapping, shape = self.chip.mapping, self.devices.conductance.shape
        encoding = mapping.encoding(next(iter(mapping.matrices)))
        weights = -(-shape[2] // encoding.devices_per_weight)
        moved = torch.from_numpy(sign * counts[:, : shape[1], :weights]).float()
        pulses = of_devices(encoding, moved, self.one_sided)[:, :, : shape[2]]
        return pulses.repeat(shape[0] // len(pulses), 1, 1)


class LearningLoop:
    """The controller teaches the chip that it runs on.

    Args:
        loop: a controller on the arrays of ``chip``.
        trains: how lines pulse, of codes (``step`` 1), as the controller begins.
        sweeps: of the free phase and of each nudged one.
    """

    def __init__(
        self, loop: FastLoop, chip: Chip, trains: RegisterTrains, rate: float, beta: float, sweeps: tuple[int, int]
    ) -> None:
        self.loop, self.beta, self.sweeps = loop, beta, sweeps
        self.follower = Follower(chip, rate, beta)
        loop.carry_out(loop.host.trains(trains, self.follower.gains()))

    def step(self, x: Sample, label: int) -> tuple[Step, Counts]:
        """Learn from one sample, inputs in their own units: the EP step, and what devices met in it."""
        loop = self.loop
        loop.pulses = PulseCounter(loop.config)
        step, counts = loop.step(x, label, self.beta, self.sweeps, gradients=False, pulses=True), loop.pulses.counts
        self.follower.follow(counts, *step.phases[1:])
        loop.carry_out(loop.host.biases_write(dict(self.follower.chip.biases.items())))
        return step, counts


class LearningReference:
    """What ``sim`` says of the same steps on another chip of the same seed."""

    def __init__(
        self,
        chip: Chip,
        linked: Linked,
        config: ControllerConfig,
        trains: RegisterTrains,
        rate: float,
        beta: float,
        sweeps: tuple[int, int],
    ) -> None:
        self.linked, self.config, self.trains = linked, config, copy.deepcopy(trains)
        self.reference, self.follower = Reference(chip, beta, sweeps), Follower(chip, rate, beta)
        self.gains = self.follower.gains()

    def step(self, x: Sample, label: int) -> tuple[Step, Counts]:
        """The EP step, and pulses."""
        chip = self.follower.chip
        step = self.reference.step(x, label)
        clamped = {name: self.reference.codes(name, value) for name, value in chip.clamp(batch_of(x)).items()}
        plus, minus = ({**states, **clamped} for states in step.phases[1:])
        counts = golden(chip.mapping, self.linked, self.config, self.trains, self.gains, plus, minus)
        self.follower.follow(counts, *step.phases[1:])
        return step, counts
