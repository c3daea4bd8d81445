"""Hopfield-ResNets: convolutional energy networks whose blocks carry a 1x1 skip.

Block n: 3x3 stride 1 into its first state, 3x3 stride 2 into its second, and a 1x1 stride-2 skip from the
block's input into the second. No pooling, no batch norm. Four blocks of 128, 256, 512 and 512 channels and a
dense head are Hopfield-ResNet13 (13 weights, 9 free states).

Gains: the published implementation's 0.6 (convolutions), 0.7 (skips) and 0.8 (head) leave the untrained free
phase short of a fixed point after 120 sweeps; 0.8 times them converges (docs/equations.md has the figures). The
couplings of the clamped input are outside the graph of free layers: their gain does not touch stability, and a
larger one lifts all states, so that the couplings inside need not grow towards instability to carry the signal.
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

CONV_GAIN, SKIP_GAIN, HEAD_GAIN = 0.48, 0.56, 0.64
INPUT_GAIN = 2.0


def hopfield_resnet(
    block_channels: Sequence[int],
    *,
    channels: int,
    size: int,
    classes: int,
    activation: str = "relu6",
    cost: str = "squared-error",
    input_gain: float = INPUT_GAIN,
    seed: int = 0,
) -> EnergyNetwork:
    """A Hopfield-ResNet with a block for each entry of ``block_channels``; images [channels, size, size]."""
    clip = clip_range(activation)
    layers: dict[str, Layer] = {"input": Layer((channels, size, size))}
    edges: list[Edge] = []
    couplings: dict[str, Coupling] = {}
    gains: dict[str, float] = {}

    def join(pre: str, post: str, width: int, kernel: int, stride: int, gain: float) -> None:
        name = f"{pre}_{post}"
        coupling = Conv2d(layers[pre].shape, width, kernel, stride, padding=kernel // 2)
        layers.setdefault(post, Layer(coupling.post_shape, clip))
        edges.append(Edge(name, pre, post))
        couplings[name] = coupling
        gains[name] = input_gain if pre == "input" else gain

    before = "input"
    for block, width in enumerate(block_channels):
        first, second = f"h{2 * block + 1}", f"h{2 * block + 2}"
        join(before, first, width, kernel=3, stride=1, gain=CONV_GAIN)
        join(first, second, width, kernel=3, stride=2, gain=CONV_GAIN)
        join(before, second, width, kernel=1, stride=2, gain=SKIP_GAIN)
        before = second
    head = add_head(layers, edges, couplings, classes, cost)
    gains.update({name: HEAD_GAIN for name in couplings if name not in gains})
    network = EnergyNetwork(layers, ["input"], edges, couplings, head, FixedPoint())
    return initialise(network, gains, seed)
