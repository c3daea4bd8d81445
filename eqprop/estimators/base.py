"""What every gradient estimator offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor

from eqprop.dynamics import Equilibrium, FixedPoint
from eqprop.network import EnergyNetwork

Phase = tuple[float, Equilibrium]  # beta and where the relaxation under E + beta C ended


@dataclass(frozen=True)
class Estimate:
    """What one call of an estimator saw (the gradient itself is in ``.grad``).

    Attributes:
        loss: batch mean of the cost at the free equilibrium.
        hits: samples whose free prediction was right, of ``count``.
        free: the free equilibrium.
        nudged: the nudged equilibria, by beta; the last one where a beta was relaxed more than once.
        phases: every relaxation after the free one, in turn, with repeated and reference phases.
    """

    loss: float
    hits: int
    count: int
    free: Equilibrium
    nudged: dict[float, Equilibrium] = field(default_factory=dict)
    phases: tuple[Phase, ...] = ()

    @property
    def residual(self) -> float:
        """The largest residual of any phase."""
        return max(e.residual for e in (self.free, *(e for _, e in self.phases)))

    @property
    def converged(self) -> bool:
        return all(e.converged for e in (self.free, *(e for _, e in self.phases)))


@dataclass(frozen=True)
class Estimator(ABC):
    """Adds an estimate of d(batch mean cost)/dtheta to ``.grad`` of a network's parameters.

    Args:
        beta: nudging strength.
        nudged_dynamics: how nudged phases relax; the network's own dynamics if None.
    """

    beta: float = 0.1
    nudged_dynamics: FixedPoint | None = None

    def __post_init__(self) -> None:
        if not self.beta > 0.0:
            raise ValueError(f"beta {self.beta}: expected a positive nudging strength")

    @torch.no_grad()
    def __call__(self, network: EnergyNetwork, x: Tensor, target: Tensor) -> Estimate:
        """Run the phases on a batch: ``x`` [batch, *input_shape], ``target`` class numbers int64 [batch]."""
        free = network.relax(x)
        labels = network.spread(target)
        phases = self.contrast(network, x, target, free)
        return Estimate(
            loss=network.cost_value(free.states, labels).mean().item(),
            hits=int((network.logits(free.states).argmax(1) == labels).sum()),
            count=len(labels),
            free=free,
            nudged={beta: equilibrium for beta, equilibrium in phases if beta != 0.0},
            phases=tuple(phases),
        )

    @abstractmethod
    def contrast(self, network: EnergyNetwork, x: Tensor, target: Tensor, free: Equilibrium) -> list[Phase]:
        """Run the phases that follow ``free``, fill ``.grad``, and return them in turn (beta 0: a reference)."""

    def nudge(self, network: EnergyNetwork, x: Tensor, target: Tensor, beta: float, free: Equilibrium) -> Equilibrium:
        """The equilibrium under E + beta C, relaxed from the free one."""
        return network.relax(x, target=target, beta=beta, start=free.states, dynamics=self.nudged_dynamics)
