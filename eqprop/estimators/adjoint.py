"""Nudged phases of a network whose two directions of reading differ.

With forward reads F s and transposed reads B^T s of one coupling the states follow F(s) = drive - k s with a Jacobian J
that is not symmetric, and EP finds J^-1 g in place of J^-T g (g = dC/ds): an error of J^-T (J - J^T) J^-1 g whatever
the nudging strength. The nudged dynamics

    F(s) - beta g - 2 A (s - s_free),    A = (J - J^T) / 2

have the Jacobian J - 2 A = J^T at the free equilibrium (AsymEP, Scurria et al. 2026, arXiv 2602.03670), and leave
that equilibrium where it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor

from eqprop.couplings import Coupling
from eqprop.dynamics import Equilibrium, FixedPoint, States
from eqprop.network import EnergyNetwork


@dataclass(frozen=True)
class AdjointFixedPoint(FixedPoint):
    """Relaxation from a free equilibrium under the transposed Jacobian.

    Give it to an estimator as ``nudged_dynamics``: a relaxation's start is its s_free.

    Args:
        skew: by coupling name a coupling of D = F - B, the forward weight less the transposed one, with exact reads;
            couplings that are not named count as symmetric.

    Raises:
        ValueError: (on use) for a skew of a coupling behind max pooling, or of one that no edge has.
    """

    skew: Mapping[str, Coupling] = field(default_factory=dict)

    def run(
        self,
        network: EnergyNetwork,
        states: States,
        constant: States,
        target: Tensor | None = None,
        beta: float = 0.0,
    ) -> Equilibrium:
        corrected = CorrectedNetwork(network, self.skew, states)
        return super().run(cast(EnergyNetwork, corrected), states, constant, target, beta)


class CorrectedNetwork:
    """What :class:`FixedPoint` asks of a network, with -2 A (s - s_free) in every drive."""

    def __init__(self, network: EnergyNetwork, skew: Mapping[str, Coupling], free: Mapping[str, Tensor]) -> None:
        pooled = [edge.name for edge in network.edges if edge.pool is not None and edge.name in skew]
        if pooled:
            raise ValueError(f"skew of {pooled[0]}, which is behind max pooling: expected couplings without pooling")
        unknown = sorted(set(skew) - {edge.name for edge in network.edges})
        if unknown:
            raise ValueError(f"skew of {unknown[0]}: no edge has such a coupling")
        self.network, self.skew = network, skew
        self.start = dict(free)
        self.free, self.inputs, self.edges = network.free, network.inputs, network.edges
        self.edges_from = network.edges_from

    def update(
        self,
        name: str,
        states: Mapping[str, Tensor],
        constant: Mapping[str, Tensor],
        pooled_reads: States,
        target: Tensor | None,
        beta: float,
    ) -> Tensor:
        """As :meth:`EnergyNetwork.update`, with the correction among the drives that are given."""
        given = {name: constant[name] + self.correction(name, states)}
        return self.network.update(name, states, given, pooled_reads, target, beta)

    def correction(self, name: str, states: Mapping[str, Tensor]) -> Tensor:
        """-2 A (s - s_free) of one layer: -D (s_pre - ...) for edges into it, D^T (s_post - ...) for those from it."""
        total = torch.zeros_like(states[name])
        for edge in self.network.edges_into[name]:
            if edge.name in self.skew and edge.pre not in self.inputs:
                total -= self.skew[edge.name](states[edge.pre] - self.start[edge.pre])
        for edge in self.edges_from[name]:
            if edge.name in self.skew:
                total += self.skew[edge.name].transpose(states[edge.post] - self.start[edge.post])
        return total
