"""Fixed-point relaxation: sweeps of exact layer updates until nothing moves."""

from __future__ import annotations

import math
import warnings
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from eqprop.ordering import ORDERS, Order, blocks

if TYPE_CHECKING:
    from eqprop.network import EnergyNetwork

States = dict[str, Tensor]


class ConvergenceWarning(UserWarning):
    """A relaxation ran out of sweeps before its tolerance was met."""


@dataclass(frozen=True)
class Equilibrium:
    """Where a relaxation ended.

    Attributes:
        states: every layer's state, clamped inputs included, [batch, *shape].
        residuals: by free layer, the largest |change| of any state in the last sweep.
        sweeps: sweeps made.
        converged: whether every residual was at most the tolerance (False when the tolerance is 0 and the
            states still moved).
    """

    states: States
    residuals: dict[str, float]
    sweeps: int
    converged: bool

    @property
    def residual(self) -> float:
        """The largest residual of any layer."""
        return max(self.residuals.values())


@dataclass(frozen=True)
class FixedPoint:
    """Sweeps of s_n <- clip(h_n / k_n), the exact minimiser of the energy in layer n.

    Attributes:
        order: which layers are updated together, see :func:`eqprop.ordering.blocks`.
        max_sweeps: most sweeps made; one sweep updates every free layer once.
        tolerance: stop once no state moved by more than this in a sweep. 0 asks for exactly
            ``max_sweeps`` sweeps, as hardware with a fixed count makes them.
    """

    order: Order = "coloured"
    max_sweeps: int = 100
    tolerance: float = 1e-4

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise ValueError(f"order {self.order!r}: expected one of {', '.join(ORDERS)}")
        if not isinstance(self.max_sweeps, int) or self.max_sweeps < 1:
            raise ValueError(f"max_sweeps {self.max_sweeps}: expected a whole number >= 1")
        if not self.tolerance >= 0.0:
            raise ValueError(f"tolerance {self.tolerance}: expected >= 0")

    def config(self) -> dict[str, Any]:
        return asdict(self)

    def run(
        self,
        network: EnergyNetwork,
        states: States,
        constant: States,
        target: Tensor | None = None,
        beta: float = 0.0,
    ) -> Equilibrium:
        """Relax ``states`` (changed in place, inputs among them) under E + beta C.

        Args:
            constant: by free layer, the part of its drive that no sweep changes (bias and clamped inputs).
            target: class numbers [batch], needed when beta is not 0.
        """
        order = blocks(self.order, network.free, network.edges)
        pooled_reads: dict[str, Tensor] = {}
        residuals: dict[str, float] = {}
        sweep = 0
        while sweep < self.max_sweeps:
            sweep += 1
            moved: dict[str, Tensor] = {}
            for block in order:
                updates = {name: network.update(name, states, constant, pooled_reads, target, beta) for name in block}
                for name, update in updates.items():
                    moved[name] = torch.dist(update, states[name], p=float("inf"))
                    states[name] = update
                    for edge in network.edges_from[name]:
                        pooled_reads.pop(edge.name, None)
            values = torch.stack([moved[name] for name in network.free]).tolist()
            residuals = dict(zip(network.free, values, strict=True))
            if self.tolerance > 0.0 and all(value <= self.tolerance for value in values):
                break
        converged = all(value <= self.tolerance for value in residuals.values())
        if not converged and self.tolerance > 0.0:
            worst = max(residuals, key=lambda name: (math.isnan(residuals[name]), residuals[name]))
            warnings.warn(
                f"not at equilibrium after {sweep} sweeps: layer {worst} still moved by {residuals[worst]:.3g} "
                f"(tolerance {self.tolerance:g}, order {self.order}, beta {beta:g})",
                ConvergenceWarning,
                stacklevel=3,
            )
        return Equilibrium(states, residuals, sweep, converged)
