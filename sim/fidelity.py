"""How faithful a chip's EP gradient is: to the ideal network's, and to that of the chip's own weights.

What is off but stays the same in every phase (programming errors, drift, wires) changes the network that learns, not
how well it learns: measured against an ideal network with the chip's own weights it is harmless. Noise that differs
from phase to phase is not: it enters the gradient divided by beta.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from eqprop import Conv2d, Coupling, Dense, EnergyNetwork
from eqprop.couplings import StandIn
from eqprop.estimators import Symmetric
from sim.chip import Chip

Gradients = dict[str, Tensor]


@dataclass(frozen=True)
class Fidelity:
    """Two gradients of one coupling (or of all weights) compared.

    Attributes:
        cosine: of the angle between them.
        norm_ratio: |measured| / |true|.
    """

    cosine: float
    norm_ratio: float


class StaticReads(StandIn):
    """Exact reads of fixed weights; the local product is the ideal coupling's."""

    def __init__(self, ideal: Coupling, weight: Tensor) -> None:
        super().__init__(ideal)
        if isinstance(ideal, Conv2d):
            reads: Coupling = copy.deepcopy(ideal)
        else:
            reads = Dense(ideal.pre_shape, ideal.post_shape)
        reads.get_parameter("weight").data = weight.detach().clone()
        self.reads = reads

    def forward(self, pre: Tensor) -> Tensor:
        return self.reads(pre)

    def transpose(self, post: Tensor) -> Tensor:
        return self.reads.transpose(post)


def static_network(chip: Chip, number: int = 0) -> EnergyNetwork:
    """An ideal network with the weights that chip ``number`` has now, as its forward reads show them."""
    ideal = copy.deepcopy(chip.mapping.network)
    couplings = {
        name: StaticReads(ideal.coupling(name), chip.mapped(name).effective_weight(number))
        for name in chip.mapping.chains
    }
    network = EnergyNetwork(ideal.layers, ideal.inputs, ideal.edges, couplings, ideal.cost, chip.dynamics)
    network.biases = ideal.biases
    return network


def gradients(network: EnergyNetwork, estimator: Symmetric, x: Tensor, labels: Tensor) -> Gradients:
    """The estimate of dC/dW of every coupling, flattened and joined over its parameters, float64."""
    network.zero_grad(set_to_none=True)
    estimator(network, x, labels)
    found = {}
    for name, coupling in network.coupling_table().items():
        ideal = coupling.ideal if isinstance(coupling, StandIn) else coupling
        parts = [
            parameter.grad.flatten() for parameter in ideal.parameters(recurse=False) if parameter.grad is not None
        ]
        if parts:
            found[name] = torch.cat(parts).double()
    network.zero_grad(set_to_none=True)
    return found


def compared(measured: Gradients, true: Gradients) -> dict[str, Fidelity]:
    """Coupling by coupling, and all of them as one under the name ``all``."""
    rows = {name: fidelity(measured[name], true[name]) for name in measured}
    rows["all"] = fidelity(torch.cat(list(measured.values())), torch.cat([true[name] for name in measured]))
    return rows


def fidelity(measured: Tensor, true: Tensor) -> Fidelity:
    """NaN where either is zero throughout."""
    size, true_size = float(measured.norm()), float(true.norm())
    if size == 0.0 or true_size == 0.0:
        return Fidelity(math.nan, math.nan if true_size == 0.0 else 0.0)
    return Fidelity(float(measured @ true) / (size * true_size), size / true_size)


@dataclass(frozen=True)
class BetaChoice:
    """The nudging strength at which bias and noise of the symmetric estimator together are smallest.

        MSE(beta) = (bias_2 beta^2)^2 + noise_1^2 / beta^2,    beta* = (noise_1^2 / (2 bias_2^2))^(1/6)

    Attributes:
        beta: beta*, or ``limit`` if that is smaller.
        limit: the largest beta allowed: half the output's stiffness, since -beta makes it less stiff.
        bias_2: |g(beta) - g(0)| / beta^2 of the noise-free network.
        noise_1: beta times the standard deviation of the chip's gradient from read to read.
        gradient: norm of the noise-free gradient.
        probe: the beta at which both were measured.
    """

    beta: float
    limit: float
    bias_2: float
    noise_1: float
    gradient: float
    probe: float

    @property
    def relative_error(self) -> float:
        """Root of the MSE at ``beta`` over the gradient's norm."""
        return math.hypot(self.bias_2 * self.beta**2, self.noise_1 / self.beta) / self.gradient

    def reason(self) -> str:
        """Why, in a line."""
        bias, noise = self.bias_2 * self.beta**2 / self.gradient, self.noise_1 / self.beta / self.gradient
        why = "bias and noise balance"
        if self.noise_1 == 0.0:
            why = "no noise was measured, so any small one will do"
        elif self.beta >= self.limit:
            why = "noise asks for more, the output's stiffness forbids it"
        return f"beta {self.beta:.3g}: {why}; expected bias {bias:.2%}, noise {noise:.2%} of the gradient"


def choose_beta(chip: Chip, estimator: Symmetric, x: Tensor, labels: Tensor, probe: float = 0.1) -> BetaChoice:
    """Measure bias on the chip's own weights without noise, noise on the chip, and balance them.

    The chip's gradient is estimated twice at ``probe``: half the variance of the difference is that of one.

    Args:
        estimator: how phases relax; its beta is not looked at.
        x, labels: one batch.
    """

    def at(beta: float, network: EnergyNetwork) -> Tensor:
        found = gradients(network, Symmetric(beta, estimator.nudged_dynamics, estimator.order), x, labels)
        return torch.cat(list(found.values()))

    static = static_network(chip)
    small, large = at(probe, static), at(2.0 * probe, static)
    bias_2 = float((large - small).norm()) / (3.0 * probe**2)
    noise_1 = probe * float((at(probe, chip) - at(probe, chip)).norm()) / math.sqrt(2.0)
    layer = chip.layers[chip.cost.layer]
    limit = 0.5 * layer.stiffness
    best = (noise_1**2 / (2.0 * bias_2**2)) ** (1.0 / 6.0) if bias_2 > 0.0 else math.inf
    return BetaChoice(min(best, limit) or probe, limit, bias_2, noise_1, float(small.norm()), probe)


def table(rows: Mapping[str, Fidelity]) -> dict[str, dict[str, float | None]]:
    """As JSON: NaN is null."""
    return {
        name: {
            "cosine": None if math.isnan(row.cosine) else row.cosine,
            "norm_ratio": None if math.isnan(row.norm_ratio) else row.norm_ratio,
        }
        for name, row in rows.items()
    }
