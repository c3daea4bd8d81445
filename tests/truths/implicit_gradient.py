"""dC/dtheta of an equilibrium without any nudge: autograd and the implicit function theorem.

At s = F(s, theta) = clip(dPhi/ds / k) the gradient is dC/dtheta = lambda^T dF/dtheta + (direct part), where
lambda = dC/ds + (dF/ds)^T lambda. Both fixed points are found by plain iteration, which converges because the
networks are contractive. It is what backpropagation through infinitely many sweeps computes.

A network with max pooling may have several equilibria, one for each choice of maxima: ``start`` says which is meant.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from eqprop import EnergyNetwork

PRECISION = 1e-14
MOST_SWEEPS = 3000


def implicit_gradient(network: EnergyNetwork, start: Mapping[str, Tensor], target: Tensor) -> dict[str, Tensor]:
    """By parameter name, the gradient of the batch mean of the cost at the free equilibrium nearest to ``start``."""
    names = list(network.free)
    x = {name: start[name] for name in network.inputs}
    states = {name: start[name] for name in names}
    for _ in range(MOST_SWEEPS):
        moved = synchronous_sweep(network, {**x, **states}, create_graph=False)
        change = max((moved[name] - states[name]).abs().max().item() for name in names)
        states = moved
        if change < PRECISION:
            break
    assert change < PRECISION
    states = {name: value.requires_grad_() for name, value in states.items()}
    moved = synchronous_sweep(network, {**x, **states}, create_graph=True)
    cost = mean_cost(network, states, target)
    wanted = [states[name] for name in names]
    outputs = [moved[name] for name in names]
    kept = {"retain_graph": True, "allow_unused": True, "materialize_grads": True}
    direct = torch.autograd.grad(cost, wanted, **kept)
    adjoint = list(direct)
    for _ in range(MOST_SWEEPS):
        back = torch.autograd.grad(outputs, wanted, adjoint, **kept)
        following = [d + b for d, b in zip(direct, back, strict=True)]
        change = max((new - old).abs().max().item() for new, old in zip(following, adjoint, strict=True))
        adjoint = following
        if change < PRECISION:
            break
    assert change < PRECISION
    table = dict(network.named_parameters())
    through_states = torch.autograd.grad(outputs, list(table.values()), adjoint, **kept)
    at_the_cost = torch.autograd.grad(cost, list(table.values()), **kept)
    return {name: a + b for name, a, b in zip(table, through_states, at_the_cost, strict=True)}


def synchronous_sweep(network: EnergyNetwork, states: Mapping[str, Tensor], *, create_graph: bool) -> dict[str, Tensor]:
    """clip(dPhi/ds / k) of every free layer, by autograd of Phi."""
    free = {name: states[name] if create_graph else states[name].detach().requires_grad_() for name in network.free}
    phi = network.phi({**states, **free}).sum()
    slopes = torch.autograd.grad(phi, list(free.values()), create_graph=create_graph)
    return {
        name: torch.clamp(slope / network.layers[name].stiffness, *network.layers[name].clip)
        for name, slope in zip(free, slopes, strict=True)
    }


def mean_cost(network: EnergyNetwork, states: Mapping[str, Tensor], target: Tensor) -> Tensor:
    """1/2 |o - y|^2 or -log softmax(W s + b)_y, batch mean."""
    state = states[network.cost.layer]
    if network.cost.readout is None:
        output = state.flatten(1)
        return 0.5 * (output - F.one_hot(target, output.shape[1])).square().sum() / len(target)
    logits = network.coupling(network.cost.readout)(state) + network.cost.bias
    return -logits.log_softmax(1)[torch.arange(len(target)), target].mean()
