"""VGG5: four 3x3 convolutions with 2x2 max pooling and a dense head, the workhorse of EP on images.

Padding 1 throughout (Scellier et al. 2023), so a 32x32 image gives states of 16, 8, 4 and 2 pixels a side.
The gains are those of the published Hopfield-ResNet code; they converge as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

from eqprop.couplings import Conv2d, Coupling
from eqprop.dynamics import FixedPoint
from eqprop.edge import Edge
from eqprop.layer import Layer, clip_range
from eqprop.models.head import add_head
from eqprop.models.initial import initialise
from eqprop.network import EnergyNetwork
from eqprop.pooling import MaxPool2d

GAINS = (0.4, 0.7, 0.6, 0.3)
HEAD_GAIN = 0.6


def vgg5(
    hidden_channels: Sequence[int],
    *,
    channels: int,
    size: int,
    classes: int,
    activation: str = "relu6",
    cost: str = "squared-error",
    seed: int = 0,
) -> EnergyNetwork:
    """VGG5 with the given channels of its four hidden layers."""
    clip = clip_range(activation)
    pool = MaxPool2d()
    layers: dict[str, Layer] = {"input": Layer((channels, size, size))}
    edges: list[Edge] = []
    couplings: dict[str, Coupling] = {}
    gains: dict[str, float] = {}
    before = "input"
    for index, (width, gain) in enumerate(zip(hidden_channels, GAINS, strict=True)):
        after = f"h{index + 1}"
        name = f"{before}_{after}"
        coupling = Conv2d(layers[before].shape, width, kernel=3, stride=1, padding=1)
        layers[after] = Layer(pool.output_shape(coupling.post_shape), clip)
        edges.append(Edge(name, before, after, pool))
        couplings[name] = coupling
        gains[name] = gain
        before = after
    head = add_head(layers, edges, couplings, classes, cost)
    gains.update({name: HEAD_GAIN for name in couplings if name not in gains})
    network = EnergyNetwork(layers, ["input"], edges, couplings, head, FixedPoint())
    return initialise(network, gains, seed)
