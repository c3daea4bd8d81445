"""What ``sim`` says of EP steps in the controller's order: the truth that simulations of the controller are held to."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from mapping import Mapping
from mapping.fixed_point import codes_of_layer
from sim.chip import Chip
from sim.learning.contrasts import whole_contrasts
from sim.scheduled import Scheduled
from tb.arrays import Codes
from tb.step import Step


class Reference:
    """EP steps of a chip, sample by sample; its noise goes on from step to step."""

    def __init__(self, chip: Chip, beta: float, sweeps: tuple[int, int]) -> None:
        self.chip, self.beta = chip, beta
        self.free, self.nudged = (Scheduled("coloured", count, tolerance=0.0) for count in sweeps)

    def step(self, x: dict[str, Tensor], label: int) -> Step:
        """Of one sample: inputs in their own units, without a batch."""
        batch, target = batch_of(x), torch.tensor([label])
        free = self.chip.relax(batch, dynamics=self.free).states
        phases = [free]
        for sign in self.chip.mapping.target.controller.nudges:
            beta = self.beta if sign == "+" else -self.beta
            nudged = self.chip.relax(batch, target=target, beta=beta, start=dict(free), dynamics=self.nudged)
            phases.append(nudged.states)
        answer = int(self.chip.logits(free).argmax(1))
        contrasts = whole_contrasts(self.chip, phases[1], phases[2])
        codes = [{name: self.codes(name, states[name]) for name in self.chip.free} for states in phases]
        return Step(codes, answer, {name: contrast.numpy() for name, contrast in contrasts.items()})

    def codes(self, name: str, states: Tensor) -> Codes:
        """States of a layer, [1, *shape], as codes."""
        codes = codes_of_layer(self.chip.mapping, name)
        assert codes is not None
        return np.rint(states[0].double().numpy() / codes.step).astype(np.int64)


def batch_of(x: dict[str, Tensor]) -> dict[str, Tensor]:
    """One sample as a batch."""
    return {name: value.unsqueeze(0) for name, value in x.items()}


def random_samples(mapping: Mapping, count: int, seed: int) -> Iterator[tuple[dict[str, Tensor], int]]:
    """Inputs, uniform over the range of each clamped layer's converters, and classes."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        x = {}
        for name in mapping.network.inputs:
            scale = mapping.layers[name]
            values = torch.rand(mapping.network.layers[name].shape, generator=generator)
            x[name] = (2.0 * values - 1.0 if scale.signed else values) * scale.full_scale
        yield x, int(torch.randint(mapping.network.classes, (1,), generator=generator))
