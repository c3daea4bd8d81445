"""The symmetric (centered) estimator.

dC/dtheta ~ -(1 / 2 beta) [dPhi/dtheta(s^+beta) - dPhi/dtheta(s^-beta)],   bias O(beta^2)
(Laborieux et al. 2021, Scaling equilibrium propagation to deep convnets, eq. 9)
"""

from __future__ import annotations

from torch import Tensor

from eqprop.dynamics import Equilibrium
from eqprop.estimators.base import Estimator
from eqprop.network import EnergyNetwork


class Symmetric(Estimator):
    """Two nudged phases, +beta and -beta, both from the saved free state."""

    def contrast(
        self, network: EnergyNetwork, x: Tensor, target: Tensor, free: Equilibrium
    ) -> dict[float, Equilibrium]:
        nudged = {}
        for beta in (self.beta, -self.beta):
            nudged[beta] = self.nudge(network, x, target, beta, free)
            network.accumulate(nudged[beta].states, scale=-1 / (2 * beta))
            network.accumulate_cost(nudged[beta].states, target, scale=0.5)
        return nudged
