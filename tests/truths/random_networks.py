"""Random energy networks for property tests: any graph, every coupling, clip range, stiffness and cost.

The couplings are scaled so that the update is a contraction (see ``tame``); a pooled edge between two free layers
still lets the maxima move, and then nothing promises one equilibrium alone.
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from hypothesis import strategies as st
from torch import Tensor

from eqprop import Conv2d, Coupling, CrossEntropy, Dense, Edge, EnergyNetwork, Layer, LowRank, MaxPool2d, SquaredError
from eqprop.costs import Cost

Draw = Callable[..., int]
Shape = tuple[int, ...]

CLIPS = {
    "linear": (-math.inf, math.inf),
    "hard-sigmoid": (0.0, 1.0),
    "relu6": (0.0, 6.0),
    "relu": (0.0, math.inf),
    "centred": (-0.5, 0.5),
    "away from zero": (0.25, 2.0),
}
COSTS = ("squared-error", "cross-entropy")
STIFFNESSES = (0.5, 1.0, 1.0, 2.0)
CLASSES = 3


@st.composite
def shapes(draw: Draw) -> Shape:
    """Image layers [channels, height, width] and flat ones, seldom square."""
    if draw(st.booleans()):
        return draw(st.integers(1, 3)), draw(st.integers(1, 5)), draw(st.integers(1, 5))
    return (draw(st.integers(1, 6)),)


@st.composite
def convolutions(draw: Draw, pre: Shape) -> Conv2d:
    """Any kernel, stride and padding that fit the image layer ``pre``, different on the two axes."""
    padding = [draw(st.integers(0, 2)) for _ in range(2)]
    kernel = [draw(st.integers(1, min(4, size + 2 * pad))) for size, pad in zip(pre[1:], padding, strict=True)]
    stride = [draw(st.integers(1, 3)) for _ in range(2)]
    return Conv2d(pre, draw(st.integers(1, 3)), kernel, stride, padding)


@st.composite
def pools(draw: Draw, shape: Shape) -> MaxPool2d:
    return MaxPool2d(kernel=draw(st.integers(1, min(3, *shape[1:]))), stride=draw(st.integers(1, 3)))


@st.composite
def joints(draw: Draw, pre: Shape, post: Shape | None, pooled: bool) -> tuple[Coupling, MaxPool2d | None]:
    """A coupling out of ``pre``, pooled or not; into ``post`` if that is given."""
    image = len(pre) == 3
    if post is not None:
        fits = image and len(post) == 3 and pre[1:] == post[1:]
        kind = draw(st.sampled_from(["dense", "low-rank", *(["conv2d"] if fits else [])]))
        if kind == "conv2d":
            half = draw(st.integers(0, 1))
            return Conv2d(pre, post[0], 2 * half + 1, 1, half), None
    else:
        kind = draw(st.sampled_from(["dense", "low-rank", *(["conv2d", "conv2d"] if image else [])]))
        if kind == "conv2d":
            coupling = draw(convolutions(pre))
            pool = draw(pools(coupling.post_shape)) if pooled and draw(st.booleans()) else None
            return coupling, pool
        post = draw(shapes())
    return (Dense(pre, post) if kind == "dense" else LowRank(pre, post, draw(st.integers(1, 3)))), None


@st.composite
def networks(
    draw: Draw,
    *,
    costs: Sequence[str] = COSTS,
    clips: Sequence[str] = tuple(CLIPS),
    stiffnesses: Sequence[float] = STIFFNESSES,
    pooled: Literal["never", "into nonnegative layers", "anywhere"] = "into nonnegative layers",
    most_layers: int = 4,
    contraction: float = 0.7,
) -> EnergyNetwork:
    """A float64 network of 1 to ``most_layers`` free layers on one or two clamped ones.

    Skips, several edges between the same two layers, and edges that point back are all among them.

    Args:
        costs, clips, stiffnesses: what to choose from.
        pooled: where max-pooled convolutions may point. The energy falls in every sweep only if the states
            after the pooling are nonnegative.
        contraction: bound of the update's Lipschitz constant (without pooled edges and without a nudge).
    """
    inputs = [f"x{n}" for n in range(draw(st.integers(1, 2)))]
    layers = {name: Layer(draw(shapes())) for name in inputs}
    edges: list[Edge] = []
    couplings: dict[str, Coupling] = {}

    def join(pre: str, post: str, coupling: Coupling, pool: MaxPool2d | None) -> None:
        name = f"{pre}_{post}_{len(edges)}"
        edges.append(Edge(name, pre, post, pool))
        couplings[name] = coupling

    free = [f"h{n}" for n in range(1, draw(st.integers(1, most_layers)) + 1)]
    for name in free:
        pre = draw(st.sampled_from(list(layers)))
        coupling, pool = draw(joints(layers[pre].shape, None, pooled != "never"))
        shape = coupling.post_shape if pool is None else pool.output_shape(coupling.post_shape)
        nonnegative = pool is not None and pooled == "into nonnegative layers"
        allowed = [clip for clip in clips if not nonnegative or CLIPS[clip][0] >= 0.0]
        layers[name] = Layer(shape, CLIPS[draw(st.sampled_from(allowed))], draw(st.sampled_from(stiffnesses)))
        join(pre, name, coupling, pool)
    for _ in range(draw(st.integers(0, most_layers))):
        post = draw(st.sampled_from(free))
        pre = draw(st.sampled_from([name for name in layers if name != post]))
        join(pre, post, *draw(joints(layers[pre].shape, layers[post].shape, False)))
    cost = draw(heads(layers, free, couplings, costs))
    network = EnergyNetwork(layers, inputs, edges, couplings, cost).double()
    return tame(network, contraction, seed=draw(st.integers(0, 2**20)))


@st.composite
def heads(
    draw: Draw, layers: dict[str, Layer], free: list[str], couplings: dict[str, Coupling], costs: Sequence[str]
) -> Cost:
    """A cost on any free layer; a cross-entropy brings its readout into ``couplings``."""
    layer = draw(st.sampled_from(free))
    if draw(st.sampled_from(costs)) == "squared-error":
        return SquaredError(layer)
    shape = layers[layer].shape
    couplings["readout"] = Dense(shape, (CLASSES,)) if draw(st.booleans()) else LowRank(shape, (CLASSES,), 2)
    return CrossEntropy(layer, "readout", CLASSES)


def as_matrix(coupling: Coupling) -> Tensor:
    """A as it acts, [post_size, pre_size]: what it answers to each unit vector."""
    size = math.prod(coupling.pre_shape)
    with torch.no_grad():
        return coupling(torch.eye(size, dtype=torch.float64).view(size, *coupling.pre_shape)).flatten(1).T


@torch.no_grad()
def tame(network: EnergyNetwork, contraction: float, seed: int) -> EnergyNetwork:
    """Draw the parameters and scale each coupling so that the couplings at any layer add up to ``contraction`` k.

    The largest norm of a row of blocks bounds the norm of the whole symmetric coupling matrix, and clipping moves
    no two states apart. Edges from clamped layers only need to be moderate.
    """
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.uniform_(-0.5, 0.5, generator=generator)
    inner = [edge for edge in network.edges if edge.pre not in network.inputs]
    degree = max((sum(name in (edge.pre, edge.post) for edge in inner) for name in network.free), default=1)
    softest = min(network.layers[name].stiffness for name in network.free)
    for name, coupling in network.coupling_table().items():
        limit = contraction * softest / max(degree, 1) if name in {edge.name for edge in inner} else 1.0
        norm = as_matrix(coupling).norm().item()
        factors = list(coupling.parameters())
        for factor in factors:
            factor.mul_((limit / max(norm, 1e-9)) ** (1 / len(factors)))
    return network


def classes_of(network: EnergyNetwork) -> int:
    return CLASSES if network.cost.readout else network.layers[network.cost.layer].size


def batch_for(network: EnergyNetwork, batch: int = 2, seed: int = 0) -> tuple[dict[str, Tensor], Tensor]:
    """Inputs in [-1, 1] for every clamped layer, and labels."""
    generator = torch.Generator().manual_seed(seed)
    x = {
        name: torch.rand(batch, *network.layers[name].shape, dtype=torch.float64, generator=generator) * 2 - 1
        for name in network.inputs
    }
    return x, torch.randint(0, classes_of(network), (batch,), generator=generator)


def states_for(network: EnergyNetwork, batch: int = 2, seed: int = 0) -> dict[str, Tensor]:
    """Any states inside the clip ranges, and inputs: not an equilibrium."""
    generator = torch.Generator().manual_seed(seed)
    states, _ = batch_for(network, batch, seed)
    for name in network.free:
        low, high = (max(min(limit, 2.0), -2.0) for limit in network.layers[name].clip)
        noise = torch.rand(batch, *network.layers[name].shape, dtype=torch.float64, generator=generator)
        states[name] = low + (high - low) * noise
    return states
