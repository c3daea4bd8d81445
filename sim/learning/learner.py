"""The loop of learning in place: phases on the chip, products of its states, devices moved, and again."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from eqprop.estimators import Symmetric
from sim.chip import Chip
from sim.learning.devices import ChipDevices
from sim.learning.products import products
from sim.learning.rule import Rule


@dataclass(frozen=True)
class Step:
    """What one batch showed.

    Attributes:
        loss: mean cost at the free equilibria, before learning from them.
        hits, count: right answers, of how many.
        moved: whether any device changed.
    """

    loss: float
    hits: int
    count: int
    moved: bool


class Learner:
    """EP on a chip: the phases run on its arrays, the rule moves its devices, biases are digital.

    Args:
        chip: one chip; its devices learn from what they are now.
        rule: how devices follow.
        estimator: a symmetric one, of either order.
        rate: learning rate of weights; ``bias_rate`` of biases (the same if None).
        momentum: of the biases' digital updates.
    """

    def __init__(
        self, chip: Chip, rule: Rule, estimator: Symmetric, rate: float, bias_rate: float | None = None
    ) -> None:
        self.chip, self.rule, self.estimator, self.rate = chip, rule, estimator, rate
        self.bias_rate = rate if bias_rate is None else bias_rate
        self.devices = ChipDevices(chip)

    @torch.no_grad()
    def step(self, x: Tensor, labels: Tensor) -> Step:
        """Learn from one batch: x [batch, *input_shape], labels int64 [batch]."""
        chip = self.chip
        for parameter in chip.parameters():
            parameter.grad = None
        estimate = self.estimator(chip, x, labels)
        moved = self.rule.apply(self.devices, products(chip, estimate, labels, self.rule.contrast), self.rate)
        if moved:
            self.devices.connect()
        for parameter in (*chip.biases.values(), *chip.cost.parameters()):
            if parameter.grad is not None:
                parameter.sub_(parameter.grad, alpha=self.bias_rate)
        return Step(estimate.loss, estimate.hits, estimate.count, moved)
