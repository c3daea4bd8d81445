"""Squared error on the output layer's own state."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from eqprop.costs.base import Cost, Couplings, States


class SquaredError(Cost):
    """C = 1/2 |o - y|^2 with y the one-hot target and o the state of ``layer``.

    With a drive h and stiffness k the nudged update is the exact minimiser of k/2 o^2 - h o + beta/2 (o - y)^2,
    o = (h + beta y) / (k + beta): the fixed point of the usual step o <- h - beta (o - y), and stable for
    every beta > -k where that step contracts only below |beta| = 1.
    """

    kind = "squared-error"

    def __init__(self, layer: str) -> None:
        super().__init__()
        self.layer = layer

    def logits(self, states: States, couplings: Couplings) -> Tensor:
        return states[self.layer].flatten(1)

    def value(self, states: States, target: Tensor, couplings: Couplings) -> Tensor:
        output = self.logits(states, couplings)
        return 0.5 * (output - one_hot(target, output)).square().sum(1)

    def nudge_(
        self, drive: Tensor, state: Tensor, target: Tensor, beta: float, stiffness: float, couplings: Couplings
    ) -> Tensor:
        if beta <= -stiffness:
            raise ValueError(f"beta {beta} with output stiffness {stiffness}: expected beta > {-stiffness}")
        drive.add_(one_hot(target, drive.flatten(1)).view(drive.shape), alpha=beta)
        return drive.div_(stiffness + beta)

    def accumulate(self, states: States, target: Tensor, couplings: Couplings, scale: float) -> None:
        """Nothing: the output layer's parameters are the network's."""

    def config(self) -> dict[str, Any]:
        return {"layer": self.layer}


def one_hot(target: Tensor, like: Tensor) -> Tensor:
    """[batch] class numbers -> [batch, classes] of ``like``'s dtype."""
    return F.one_hot(target, like.shape[1]).to(like.dtype)
