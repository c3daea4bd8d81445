"""Random energy networks and targets for properties that must hold for every one of them."""

from __future__ import annotations

import math
from typing import Any

import torch
from hypothesis import strategies as st

from eqprop import Conv2d, CrossEntropy, Dense, Edge, EnergyNetwork, FixedPoint, Layer, LowRank, MaxPool2d, SquaredError
from mapping import Mapping, Target, compile

CLIPS = [(0.0, 1.0), (-1.0, 1.0), (0.0, 6.0)]


def ideal_target(rows: int, columns: int, encoding: str = "differential", **device: Any) -> Target:
    """The ideal preset's devices and converters, with another crossbar, encoding or device entries."""
    settings = [f"cell.encoding={encoding}", *(f"device.{key}={value}" for key, value in device.items())]
    return Target.load("ideal", (rows, columns), settings)


@st.composite
def convolutions(draw: st.DrawFn, pre_shape: tuple[int, int, int] | None = None, most_channels: int = 4) -> Conv2d:
    """Any kernel, stride and padding that fit, square or not, with random weights."""
    if pre_shape is None:
        pre_shape = (draw(st.integers(1, most_channels)), draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    padding = [draw(st.integers(0, 2)) for _ in (0, 1)]
    kernel = [draw(st.integers(1, min(4, pre_shape[1 + axis] + 2 * padding[axis]))) for axis in (0, 1)]
    stride = [draw(st.integers(1, 3)) for _ in (0, 1)]
    coupling = Conv2d(pre_shape, draw(st.integers(1, most_channels)), kernel, stride, padding)
    coupling.initialise(1.0, torch.Generator().manual_seed(draw(st.integers(0, 99))))
    return coupling


@st.composite
def dense_couplings(draw: st.DrawFn) -> Dense:
    """Vectors or images on either side."""
    shapes = st.lists(st.integers(1, 5), min_size=1, max_size=3)
    coupling = Dense(draw(shapes), draw(shapes))
    coupling.initialise(1.0, torch.Generator().manual_seed(draw(st.integers(0, 99))))
    return coupling


@st.composite
def networks(draw: st.DrawFn) -> EnergyNetwork:
    """Pooled and plain convolutions, a dense or low-rank layer, a skip from the input, and either cost."""
    layers = {"x": Layer((draw(st.integers(1, 3)), draw(st.integers(2, 5)), draw(st.integers(2, 5))), (-1.0, 1.0))}
    edges: list[Edge] = []
    couplings: dict[str, Any] = {}
    before = "x"
    for number in range(draw(st.integers(0, 2))):
        name = f"c{number}"
        channels, height, width = layers[before].shape
        coupling = draw(convolutions((channels, height, width)))
        pool = None
        if min(coupling.post_shape[1:]) >= 2 and draw(st.booleans()):
            pool = MaxPool2d(2, draw(st.integers(1, 2)))
        shape = coupling.post_shape if pool is None else pool.output_shape(coupling.post_shape)
        layers[name] = Layer(shape, draw(st.sampled_from(CLIPS)))
        edges.append(Edge(f"{before}_{name}", before, name, pool))
        couplings[f"{before}_{name}"] = coupling
        before = name
    hidden = draw(st.sampled_from([(3,), (7,), (2, 2, 3)]))
    layers["h"] = Layer(hidden, draw(st.sampled_from(CLIPS)))
    for pre in {before: None, "x": None}:
        if pre == before or draw(st.booleans()):
            shape = layers[pre].shape
            edges.append(Edge(f"{pre}_h", pre, "h"))
            couplings[f"{pre}_h"] = LowRank(shape, hidden, 2) if draw(st.booleans()) else Dense(shape, hidden)
    classes = draw(st.integers(2, 4))
    cost: SquaredError | CrossEntropy
    if draw(st.booleans()):
        layers["output"] = Layer((classes,))
        edges.append(Edge("h_output", "h", "output"))
        couplings["h_output"] = Dense(hidden, (classes,))
        cost = SquaredError("output")
    else:
        couplings["readout"] = Dense(hidden, (classes,))
        cost = CrossEntropy("h", "readout", classes)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    for coupling in couplings.values():
        coupling.initialise(0.4, generator)
    # A fixed number of sweeps: two networks that compute the same must agree whether or not they have settled.
    network = EnergyNetwork(layers, ["x"], edges, couplings, cost, FixedPoint(max_sweeps=12, tolerance=0.0))
    with torch.no_grad():
        for bias in network.biases.values():
            bias.uniform_(-0.3, 0.3, generator=generator)
    return network


@st.composite
def compilations(
    draw: st.DrawFn, networks_of: st.SearchStrategy[EnergyNetwork], target: Target, **more: Any
) -> Mapping:
    """A network compiled for ``target``: packed or not, low-rank couplings kept or merged, with or without copies."""
    network = draw(networks_of)
    options = {
        "packed": draw(st.booleans()),
        "low_rank": draw(st.sampled_from(["auto", "keep", "merge"])),
        **more,
    }
    single = compile(network, target, **options)
    extra = draw(st.sampled_from([None, 0, 1, 5, 30]))
    return single if extra is None else compile(network, target, budget=single.crossbars + extra, **options)


def images_for(network: EnergyNetwork, count: int = 3, seed: int = 0) -> torch.Tensor:
    """Inputs in [-1, 1], [count, *input_shape]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, *network.input_shape, generator=generator).mul_(2).sub_(1)


def size(shape: tuple[int, ...]) -> int:
    return math.prod(shape)
