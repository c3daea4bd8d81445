"""Truth: the energy as nested loops over plain floats (naive_energy), and autograd of Phi."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_energy import energy, phi
from random_networks import batch_for, networks, states_for

from eqprop import EnergyNetwork

SEEDS = st.integers(0, 2**20)


def one_sample(states: dict[str, torch.Tensor], index: int) -> dict[str, np.ndarray]:
    return {name: value[index].numpy() for name, value in states.items()}


@settings(max_examples=60)
@given(networks(pooled="anywhere"), SEEDS)
def test_phi_and_energy_are_the_sums_of_their_terms(network: EnergyNetwork, seed: int) -> None:
    states = states_for(network, batch=2, seed=seed)
    with torch.no_grad():
        found_phi, found_energy = network.phi(states), network.energy(states)
    assert found_phi.shape == found_energy.shape == (2,)
    for index in range(2):
        sample = one_sample(states, index)
        assert found_phi[index].item() == pytest.approx(phi(network, sample), rel=1e-10, abs=1e-10)
        assert found_energy[index].item() == pytest.approx(energy(network, sample), rel=1e-10, abs=1e-10)


@given(networks(pooled="anywhere"), SEEDS)
def test_layer_update_is_the_clipped_slope_of_phi(network: EnergyNetwork, seed: int) -> None:
    states = states_for(network, seed=seed)
    clamped = {name: states[name] for name in network.inputs}
    free = {name: states[name].clone().requires_grad_() for name in network.free}
    slopes = torch.autograd.grad(network.phi({**clamped, **free}).sum(), list(free.values()))
    with torch.no_grad():
        constant = network.constant_drive(clamped)
        for name, slope in zip(network.free, slopes, strict=True):
            layer = network.layers[name]
            truth = (slope / layer.stiffness).clamp(*layer.clip)
            found = network.update(name, states, constant, {}, None, 0.0)
            torch.testing.assert_close(found, truth, rtol=1e-12, atol=1e-12)


@given(networks(costs=["squared-error"]), SEEDS, st.floats(-0.4, 3.0))
def test_nudged_update_minimises_energy_plus_beta_cost_in_its_layer(
    network: EnergyNetwork, seed: int, beta: float
) -> None:
    """No other state of the layer does better: checked on random ones, since the sum is convex there."""
    _, target = batch_for(network, seed=seed)
    states = states_for(network, seed=seed)
    name = network.cost.layer
    low, high = network.layers[name].clip
    with torch.no_grad():
        constant = network.constant_drive({layer: states[layer] for layer in network.inputs})
        states[name] = network.update(name, states, constant, {}, target, beta)
        if any(edge.pool is not None for edge in network.edges_from[name]):
            return  # a pooled read is linearised: the update is a step down, not the minimum (see test_descent)
        lowest = network.energy(states) + beta * network.cost_value(states, target)
        generator = torch.Generator().manual_seed(seed)
        for size in (1e-3, 0.1, 1.0):
            noise = torch.randn(states[name].shape, dtype=torch.float64, generator=generator)
            other = {**states, name: (states[name] + size * noise).clamp(low, high)}
            assert (network.energy(other) + beta * network.cost_value(other, target) >= lowest - 1e-12).all()


@given(networks(costs=["cross-entropy"]), SEEDS, st.floats(-1.0, 1.0))
def test_cross_entropy_nudge_is_the_slope_of_the_cost(network: EnergyNetwork, seed: int, beta: float) -> None:
    _, target = batch_for(network, seed=seed)
    states = states_for(network, seed=seed)
    name, clamped = network.cost.layer, {layer: states[layer] for layer in network.inputs}
    state = states[name].clone().requires_grad_()
    logits = network.coupling("readout")(state) + network.cost.bias.detach()
    cost = -logits.log_softmax(1)[torch.arange(2), target].sum()
    (slope,) = torch.autograd.grad(network.phi({**states, name: state}).sum() - beta * cost, state)
    layer = network.layers[name]
    with torch.no_grad():
        found = network.update(name, states, network.constant_drive(clamped), {}, target, beta)
        torch.testing.assert_close(found, (slope / layer.stiffness).clamp(*layer.clip), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(network.cost_value(states, target).sum(), cost.detach())


@given(networks(), SEEDS)
def test_accumulated_gradient_is_the_batch_mean_slope_of_phi(network: EnergyNetwork, seed: int) -> None:
    states = states_for(network, batch=3, seed=seed)
    table = {name: p for name, p in network.named_parameters() if not name.startswith(("cost", "couplings.readout"))}
    truth = torch.autograd.grad(network.phi(states).mean(), list(table.values()))
    network.accumulate(states, scale=-2.5)
    for parameter, slope in zip(table.values(), truth, strict=True):
        torch.testing.assert_close(parameter.grad, -2.5 * slope, rtol=1e-12, atol=1e-12)


@given(networks())
def test_relaxations_start_from_zero_or_the_nearest_allowed_value(network: EnergyNetwork) -> None:
    for layer in network.layers.values():
        start = layer.zeros(2, torch.zeros(1, dtype=torch.float64))
        low, high = layer.clip
        assert start.unique().tolist() == [min(max(0.0, low), high)]
        assert start.shape == (2, *layer.shape)
        assert math.prod(layer.shape) == layer.size
