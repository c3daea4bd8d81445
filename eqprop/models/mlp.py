"""A multi-layer perceptron as an energy network: dense couplings between neighbouring layers."""

from __future__ import annotations

from collections.abc import Sequence

from eqprop.couplings import Coupling, Dense
from eqprop.dynamics import FixedPoint
from eqprop.edge import Edge
from eqprop.layer import Layer, clip_range
from eqprop.models.head import add_head
from eqprop.models.initial import initialise
from eqprop.network import EnergyNetwork

GAIN = 0.8


def mlp(
    hidden: Sequence[int],
    *,
    channels: int,
    size: int,
    classes: int,
    activation: str = "hard-sigmoid",
    cost: str = "squared-error",
    seed: int = 0,
) -> EnergyNetwork:
    """Hidden layers of the given sizes between a flattened image and the head."""
    clip = clip_range(activation)
    layers: dict[str, Layer] = {"input": Layer((channels, size, size))}
    edges: list[Edge] = []
    couplings: dict[str, Coupling] = {}
    before = "input"
    for index, units in enumerate(hidden):
        after = f"h{index + 1}"
        name = f"{before}_{after}"
        layers[after] = Layer((units,), clip)
        edges.append(Edge(name, before, after))
        couplings[name] = Dense(layers[before].shape, (units,))
        before = after
    head = add_head(layers, edges, couplings, classes, cost)
    network = EnergyNetwork(layers, ["input"], edges, couplings, head, FixedPoint())
    return initialise(network, dict.fromkeys(couplings, GAIN), seed)
