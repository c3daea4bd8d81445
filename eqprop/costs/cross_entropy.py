"""Cross-entropy of a softmax readout that is not itself a state."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eqprop.costs.base import Cost, Couplings, States
from eqprop.costs.squared_error import one_hot
from eqprop.gradients import add_gradient


class CrossEntropy(Cost):
    """C = CE(W s + b, y), where ``readout`` names the coupling W and s is the state of ``layer``.

    The nudge enters the last hidden layer as -beta dC/ds (Laborieux et al. 2021): one forward and one
    transposed read of the readout a sweep. W and b learn by the ordinary gradient at the nudged states.
    """

    kind = "cross-entropy"

    def __init__(self, layer: str, readout: str, classes: int) -> None:
        super().__init__()
        self.layer = layer
        self.readout: str = readout
        self.classes = classes
        self.bias = nn.Parameter(torch.zeros(classes))

    def logits(self, states: States, couplings: Couplings) -> Tensor:
        return couplings[self.readout](states[self.layer]).flatten(1) + self.bias.detach()

    def value(self, states: States, target: Tensor, couplings: Couplings) -> Tensor:
        return F.cross_entropy(self.logits(states, couplings), target, reduction="none")

    def nudge_(
        self, drive: Tensor, state: Tensor, target: Tensor, beta: float, stiffness: float, couplings: Couplings
    ) -> Tensor:
        if beta != 0.0:
            error = self.error({self.layer: state}, target, couplings)
            drive.sub_(couplings[self.readout].transpose(error), alpha=beta)
        return drive.div_(stiffness)

    def accumulate(self, states: States, target: Tensor, couplings: Couplings, scale: float) -> None:
        error = self.error(states, target, couplings)
        readout = couplings[self.readout]
        for name, gradient in readout.gradient(states[self.layer], error).items():
            add_gradient(readout.get_parameter(name), gradient, scale / len(target))
        add_gradient(self.bias, error.sum(0), scale / len(target))

    def error(self, states: States, target: Tensor, couplings: Couplings) -> Tensor:
        """dC/dlogits = softmax(logits) - y."""
        logits = self.logits(states, couplings)
        return logits.softmax(1).sub_(one_hot(target, logits))

    def config(self) -> dict[str, Any]:
        return {"layer": self.layer, "readout": self.readout, "classes": self.classes}
