"""Truth: in block-coordinate descent the energy never rises, whatever the graph.

Each block of a proper colouring is replaced by its exact minimiser. With max pooling into a nonnegative layer the
term -<s_post, P(A s_pre)> is concave in s_pre, the update minimises its tangent, and so it still goes down.
"""

import itertools

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import batch_for, networks, states_for
from torch import Tensor

from eqprop import EnergyNetwork, FixedPoint

ONE_SWEEP = FixedPoint("coloured", max_sweeps=1, tolerance=0.0)
SWEEPS = 8
ROUNDING = 1e-10

# Couplings far above a contraction too: descent needs no small weights.
STRENGTHS = st.sampled_from([0.7, 3.0])


@st.composite
def strong_and_weak_networks(draw: st.DrawFn) -> EnergyNetwork:
    # All clipped, so that energies stay bounded below at any strength.
    clips = ["hard-sigmoid", "relu6", "centred", "away from zero"]
    return draw(networks(costs=["squared-error"], clips=clips, contraction=draw(STRENGTHS)))


def energies_along_sweeps(network: EnergyNetwork, beta: float, seed: int) -> list[Tensor]:
    """E + beta C of each sample before the first sweep and after every one, from random states."""
    x, target = batch_for(network, batch=3, seed=seed)
    states = states_for(network, batch=3, seed=seed + 1) | x
    energies = []
    with torch.no_grad():
        for _ in range(SWEEPS):
            energies.append(network.energy(states) + beta * network.cost_value(states, target))
            nudge = {"target": target, "beta": beta} if beta else {}
            states = network.relax(x, start=states, dynamics=ONE_SWEEP, **nudge).states
    return energies


def assert_never_rises(energies: list[Tensor]) -> None:
    for before, after in itertools.pairwise(energies):
        assert (after <= before + ROUNDING * (1 + before.abs())).all(), (before, after)


@settings(max_examples=50)
@given(strong_and_weak_networks(), st.integers(0, 2**20))
def test_energy_never_rises_in_a_free_sweep(network: EnergyNetwork, seed: int) -> None:
    assert_never_rises(energies_along_sweeps(network, 0.0, seed))


@settings(max_examples=50)
@given(strong_and_weak_networks(), st.integers(0, 2**20), st.floats(0.01, 3.0))
def test_energy_plus_beta_cost_never_rises_in_a_nudged_sweep(network: EnergyNetwork, seed: int, beta: float) -> None:
    assert_never_rises(energies_along_sweeps(network, beta, seed))


@settings(max_examples=30)
@given(strong_and_weak_networks(), st.integers(0, 2**20), st.floats(0.01, 0.45))
def test_energy_minus_beta_cost_never_rises_below_the_stiffness(network: EnergyNetwork, seed: int, beta: float) -> None:
    """The second phase of the symmetric estimator; the softest random layer has k = 0.5."""
    assert_never_rises(energies_along_sweeps(network, -beta, seed))


@settings(max_examples=30)
@given(networks(pooled="never", costs=["squared-error"], clips=["linear"]), st.integers(0, 2**20))
def test_energy_never_rises_without_clipping(network: EnergyNetwork, seed: int) -> None:
    assert_never_rises(energies_along_sweeps(network, 0.0, seed))
