"""The one-sided estimator.

dC/dtheta ~ -(1 / beta) [dPhi/dtheta(s^beta) - dPhi/dtheta(s^free)],   bias O(beta)
(Scellier and Bengio 2017)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from eqprop.dynamics import Equilibrium
from eqprop.estimators.base import Estimator, Phase
from eqprop.network import EnergyNetwork


@dataclass(frozen=True)
class OneSided(Estimator):
    """One nudged phase, compared with the free one.

    A free phase that stopped a distance e short of its equilibrium goes on settling in the nudged phase, and
    O(e / beta) of that looks like a gradient: it may well point uphill. A time-matched reference settles as far.

    Args:
        time_matched: compare with the free phase continued for as many sweeps as the nudged phase made, so that
            what both still had to settle cancels.

    Raises:
        ValueError: if ``time_matched`` is not a bool.
    """

    time_matched: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.time_matched, bool):
            raise ValueError(f"time_matched {self.time_matched!r}: expected True or False")

    def contrast(self, network: EnergyNetwork, x: Tensor, target: Tensor, free: Equilibrium) -> list[Phase]:
        nudged = self.nudge(network, x, target, self.beta, free)
        phases = [(self.beta, nudged)]
        reference = free
        if self.time_matched:
            reference = self.continued(network, x, free, nudged.sweeps)
            phases.append((0.0, reference))
        network.accumulate(nudged.states, scale=-1 / self.beta)
        network.accumulate(reference.states, scale=1 / self.beta)
        network.accumulate_cost(nudged.states, target, scale=1.0)
        return phases

    def continued(self, network: EnergyNetwork, x: Tensor, free: Equilibrium, sweeps: int) -> Equilibrium:
        """The free phase gone on with for exactly ``sweeps`` sweeps of the nudged phases' dynamics."""
        dynamics = self.nudged_dynamics or network.dynamics
        exactly = replace(dynamics, max_sweeps=sweeps, tolerance=0.0)  # 0: no stop before the sweeps are made
        reference = network.relax(x, start=free.states, dynamics=exactly)
        return replace(reference, converged=reference.residual <= dynamics.tolerance)
