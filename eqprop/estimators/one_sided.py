"""The one-sided estimator.

dC/dtheta ~ -(1 / beta) [dPhi/dtheta(s^beta) - dPhi/dtheta(s^free)],   bias O(beta)
(Scellier and Bengio 2017)
"""

from __future__ import annotations

from torch import Tensor

from eqprop.dynamics import Equilibrium
from eqprop.estimators.base import Estimator
from eqprop.network import EnergyNetwork


class OneSided(Estimator):
    """One nudged phase, compared with the free one."""

    def contrast(
        self, network: EnergyNetwork, x: Tensor, target: Tensor, free: Equilibrium
    ) -> dict[float, Equilibrium]:
        nudged = self.nudge(network, x, target, self.beta, free)
        network.accumulate(nudged.states, scale=-1 / self.beta)
        network.accumulate(free.states, scale=1 / self.beta)
        network.accumulate_cost(nudged.states, target, scale=1.0)
        return {self.beta: nudged}
