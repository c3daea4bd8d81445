"""A bilinearly coupled substrate: modules of linear units between rails, joined by couplings of low rank.

E(x) = 1/2 |x|^2 - sum_(k<l) x_k^T U_kl V_kl^T x_l - b . x - x_1 . P c,   -2.5 <= x <= 2.5

Modules 1 ... K form a chain; skips join module k with module K + 1 - k, as an encoder's stages are joined with a
decoder's. With K even the innermost skip joins two neighbours, which then have two couplings (together of twice the
rank). The clamped input c drives module 1 through the dense P, and module K drives the head.

Between the rails the equilibrium is x = (1 - W)^-1 (b + P c), linear in the input, with W the symmetric matrix of all
couplings among free layers. |W|_2 <= 0.85 makes E strongly convex, with modulus at least 0.15: there is
one equilibrium, and every order of updates relaxes to it. Weights start so; training does not hold the bound.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from eqprop.couplings import Coupling, Dense, LowRank
from eqprop.dynamics import FixedPoint, States
from eqprop.edge import Edge
from eqprop.layer import Layer, clip_range
from eqprop.models.head import add_head
from eqprop.models.initial import initialise
from eqprop.network import EnergyNetwork

MODULES, UNITS, RANK = 8, 512, 16
RAILS = (-2.5, 2.5)
LARGEST_NORM = 0.85
STARTS, POWER_ITERATIONS = 8, 2000
PRECISION = 1e-5  # of the power iteration: relative change of |W| in one step
MARGIN = 1e-2  # the power iteration comes to |W| from below


def bilinear(
    units: int = UNITS,
    *,
    modules: int = MODULES,
    rank: int = RANK,
    channels: int,
    size: int,
    classes: int,
    activation: str | None = None,
    cost: str = "squared-error",
    seed: int = 0,
) -> EnergyNetwork:
    """A chain of ``modules`` layers of ``units`` units with skips; images [channels, size, size].

    Args:
        rank: of every coupling between modules; ``units`` at most (a larger one is lowered to that).
        activation: instead of the rails, see :func:`eqprop.layer.clip_range`.

    Raises:
        ValueError: for fewer than one module, unit or rank.
    """
    if modules < 1:
        raise ValueError(f"modules {modules}: expected at least 1")
    clip = RAILS if activation is None else clip_range(activation)
    layers = {"input": Layer((channels, size, size))}
    layers.update({f"h{k}": Layer((units,), clip) for k in range(1, modules + 1)})
    edges = [Edge("input_h1", "input", "h1")]
    couplings: dict[str, Coupling] = {"input_h1": Dense(layers["input"].shape, (units,))}
    joined = {f"h{k}_h{k + 1}": (k, k + 1) for k in range(1, modules)}
    joined |= {f"h{k}_h{modules + 1 - k}_skip": (k, modules + 1 - k) for k in range(1, modules // 2 + 1)}
    rank = min(rank, units)
    for name, (before, after) in joined.items():
        edges.append(Edge(name, f"h{before}", f"h{after}"))
        couplings[name] = LowRank((units,), (units,), rank)
    head = add_head(layers, edges, couplings, classes, cost)
    network = EnergyNetwork(layers, ["input"], edges, couplings, head, FixedPoint())
    # All singular values near 1 before scaling: no coupling, the head's among them, is lost beside the others.
    gains = dict.fromkeys(couplings, math.sqrt(3)) | dict.fromkeys(joined, math.sqrt(3 * rank / units))
    return hold_convex(initialise(network, gains, seed), seed)


@torch.no_grad()
def hold_convex(network: EnergyNetwork, seed: int) -> EnergyNetwork:
    """Scale all couplings among free layers by one factor, so that |W|_2 is at most 0.85 (and not below 0.84)."""
    inner = [edge.name for edge in network.edges if edge.pre not in network.inputs]
    if not inner:
        return network
    factor = LARGEST_NORM / ((1 + MARGIN) * coupling_norm(network, seed))
    for name in inner:
        factors = list(network.coupling(name).parameters())
        for parameter in factors:
            parameter.mul_(factor ** (1 / len(factors)))
    return network


@torch.no_grad()
def coupling_norm(network: EnergyNetwork, seed: int = 0) -> float:
    """|W|_2 by power iteration, from below; W is the symmetric matrix of all couplings among free layers.

    Several starts, since one alone may rest on its way for long: at an eigenvector that is not the first.
    """
    generator = torch.Generator().manual_seed(seed)
    first = next(network.parameters())
    states = {
        name: torch.randn(STARTS, *network.layers[name].shape, generator=generator, dtype=torch.float64).to(first)
        for name in network.free
    }
    norms = torch.zeros(STARTS).to(first)
    for _ in range(POWER_ITERATIONS):
        lengths = norm_of_each(states)
        states = couple(network, {name: state / lengths[:, None] for name, state in states.items()})
        before, norms = norms, norm_of_each(states)
        if bool((norms - before <= PRECISION * norms).all()):
            break
    return norms.max().item()


def couple(network: EnergyNetwork, states: States) -> States:
    """W x: by free layer, the sum of its reads."""
    reads = {name: torch.zeros_like(state) for name, state in states.items()}
    for edge in network.edges:
        if edge.pre in states:
            reads[edge.post] += network.coupling(edge.name)(states[edge.pre])
            reads[edge.pre] += network.coupling(edge.name).transpose(states[edge.post])
    return reads


def norm_of_each(states: States) -> Tensor:
    """|x| of each sample over all layers, [batch]."""
    return torch.cat(list(states.values()), dim=1).norm(dim=1)
