"""The symmetric (centered) estimator.

dC/dtheta ~ -(1 / 2 beta) [dPhi/dtheta(s^+beta) - dPhi/dtheta(s^-beta)],   bias O(beta^2)
(Laborieux et al. 2021, Scaling equilibrium propagation to deep convnets, eq. 9)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from eqprop.dynamics import Equilibrium
from eqprop.estimators.base import Estimator, Phase
from eqprop.network import EnergyNetwork

PhaseOrder = Literal["+-", "+--+"]
PHASE_ORDERS: tuple[PhaseOrder, ...] = get_args(PhaseOrder)


@dataclass(frozen=True)
class Symmetric(Estimator):
    """Nudged phases of both signs, each from the saved free state.

    Couplings that drift by a share kappa from phase to phase add O(kappa / beta) to ``+-``, since its two signs see
    different couplings. In ``+--+`` both signs have the same mean time: what is linear in time cancels, and
    O(kappa^2 / beta) is left beside the gradient of the couplings at that mean time.

    Args:
        order: the signs of the nudged phases in turn; the phases of one sign count equal shares.

    Raises:
        ValueError: for another order.
    """

    order: PhaseOrder = "+-"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order not in PHASE_ORDERS:
            raise ValueError(f"order {self.order!r}: expected one of {', '.join(PHASE_ORDERS)}")

    def contrast(self, network: EnergyNetwork, x: Tensor, target: Tensor, free: Equilibrium) -> list[Phase]:
        share = 2 / len(self.order)  # of one phase among those of its sign
        phases: list[Phase] = []
        for sign in self.order:
            beta = self.beta if sign == "+" else -self.beta
            nudged = self.nudge(network, x, target, beta, free)
            network.accumulate(nudged.states, scale=-share / (2 * beta))
            network.accumulate_cost(nudged.states, target, scale=0.5 * share)
            phases.append((beta, nudged))
        return phases
