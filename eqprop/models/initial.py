"""First weights and biases of the built-in models."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from eqprop.network import EnergyNetwork


def initialise(network: EnergyNetwork, gains: Mapping[str, float], seed: int) -> EnergyNetwork:
    """Weights U(-gain, gain) / sqrt(fan_in); biases U(-0.5, 0.5) / sqrt(fan_in of the layer's first edge)."""
    generator = torch.Generator().manual_seed(seed)
    for name, coupling in network.coupling_table().items():
        coupling.initialise(gains[name], generator)
    with torch.no_grad():
        for name, bias in network.biases.items():
            edge = network.edges_into[name][0]
            fan_in = network.coupling(edge.name).effective_weight()[0].numel()
            bias.uniform_(-0.5 / math.sqrt(fan_in), 0.5 / math.sqrt(fan_in), generator=generator)
    return network
