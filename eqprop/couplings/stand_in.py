"""A coupling that answers reads in place of an ideal one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from eqprop.couplings.base import Coupling


class StandIn(Coupling):
    """Reads are the subclass's own; shapes, parameters and the local product are the ideal coupling's.

    This is how measured or simulated reads enter a network: the dynamics and estimators see a coupling like
    any other, and gradients land on the ideal coupling's parameters.
    """

    kind = "stand-in"

    def __init__(self, ideal: Coupling) -> None:
        super().__init__()
        self.ideal = ideal
        self.pre_shape = ideal.pre_shape
        self.post_shape = ideal.post_shape

    def gradient(self, pre: Tensor, post: Tensor) -> dict[str, Tensor]:
        return self.ideal.gradient(pre, post)

    def get_parameter(self, target: str) -> nn.Parameter:
        return self.ideal.get_parameter(target)

    def effective_weight(self) -> Tensor:
        return self.ideal.effective_weight()

    def initialise(self, gain: float, generator: torch.Generator) -> None:
        self.ideal.initialise(gain, generator)

    def config(self) -> dict[str, Any]:
        return self.ideal.config()
