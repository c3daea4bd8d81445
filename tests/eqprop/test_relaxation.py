"""Truth: a contraction has one fixed point, so every order must end there; sweeps and residuals are counted by hand."""

import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from implicit_gradient import synchronous_sweep
from random_networks import batch_for, networks
from torch import Tensor

from eqprop import ConvergenceWarning, EnergyNetwork, FixedPoint, models
from eqprop.ordering import ORDERS

SEEDS = st.integers(0, 2**20)


def resnet() -> tuple[EnergyNetwork, Tensor, Tensor]:
    network = models.build("hopfield-resnet", width=0.125).double()
    x = torch.rand(3, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return network, x, torch.tensor([1, 2, 3])


@settings(max_examples=50)
@given(networks(pooled="never"), SEEDS, st.sampled_from([0.0, 0.2, -0.2]))
def test_all_orders_reach_the_same_equilibrium(network: EnergyNetwork, seed: int, beta: float) -> None:
    x, target = batch_for(network, seed=seed)
    nudge = {"target": target, "beta": beta} if beta else {}
    ends = [network.relax(x, dynamics=FixedPoint(order, 2000, 1e-13), **nudge) for order in ORDERS]
    for end in ends[1:]:
        for name in network.layers:
            torch.testing.assert_close(end.states[name], ends[0].states[name], rtol=0, atol=1e-11)


@settings(max_examples=50)
@given(networks(pooled="never"), SEEDS)
def test_the_equilibrium_is_a_fixed_point_of_every_layer(network: EnergyNetwork, seed: int) -> None:
    x, _ = batch_for(network, seed=seed)
    end = network.relax(x, dynamics=FixedPoint("coloured", 2000, 1e-13))
    assert end.converged
    for name, again in synchronous_sweep(network, end.states, create_graph=False).items():
        torch.testing.assert_close(end.states[name], again, rtol=0, atol=1e-11)


def test_max_pooling_may_leave_several_equilibria() -> None:
    """Not a promise but a limit to know: orders may settle on other maxima, and then each end is a fixed point."""
    network = models.build("vgg5", size=16, width=1 / 64, seed=1).double()
    x = torch.rand(3, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ends = [network.relax(x, dynamics=FixedPoint(order, 2000, 1e-13)).states for order in ORDERS]
    for end in ends:
        for name, again in synchronous_sweep(network, end, create_graph=False).items():
            torch.testing.assert_close(end[name], again, rtol=0, atol=1e-11)
    assert (network.energy(ends[0]) - network.energy(ends[2])).abs().max() > 1e-6


@pytest.mark.parametrize("order", ORDERS)
def test_it_stops_at_the_first_sweep_within_the_tolerance(order: str) -> None:
    network, x, _ = resnet()
    end = network.relax(x, dynamics=FixedPoint(order, 500, 1e-6))
    assert end.converged
    assert end.residual <= 1e-6
    before = network.relax(x, dynamics=FixedPoint(order, end.sweeps - 1, 0.0))
    assert before.sweeps == end.sweeps - 1
    assert before.residual > 1e-6
    assert not before.converged


@pytest.mark.parametrize("order", ORDERS)
def test_residuals_are_the_largest_moves_of_the_last_sweep(order: str) -> None:
    network, x, _ = resnet()
    before, after = (network.relax(x, dynamics=FixedPoint(order, count, 0.0)) for count in (4, 5))
    moves = {name: (after.states[name] - before.states[name]).abs().max().item() for name in network.free}
    assert after.residuals == moves
    assert after.residual == max(moves.values())


def test_tolerance_zero_makes_every_sweep_even_when_nothing_moves() -> None:
    network, x, _ = resnet()
    end = network.relax(x, dynamics=FixedPoint("coloured", 300, 0.0))
    assert end.sweeps == 300
    resting = network.relax(torch.zeros_like(x), start=end.states, dynamics=FixedPoint("coloured", 7, 0.0))
    assert resting.sweeps == 7
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    still = network.relax(x, dynamics=FixedPoint("coloured", 5, 0.0))
    assert (still.sweeps, still.residual, still.converged) == (5, 0.0, True)


def test_running_out_of_sweeps_warns_with_figures() -> None:
    network, x, target = resnet()
    with pytest.warns(ConvergenceWarning) as caught:
        end = network.relax(x, dynamics=FixedPoint("odd-even", 3, 1e-9))
    assert not end.converged
    worst = max(end.residuals, key=end.residuals.get)
    (message,) = [str(warning.message) for warning in caught]
    assert "after 3 sweeps" in message
    assert f"layer {worst} still moved by {end.residual:.3g}" in message
    assert "tolerance 1e-09, order odd-even, beta 0" in message
    with pytest.warns(ConvergenceWarning, match=r"beta -0\.25"):
        network.relax(x, target=target, beta=-0.25, dynamics=FixedPoint("coloured", 2, 1e-9))


@given(networks(pooled="never"), SEEDS, st.integers(1, 12), st.sampled_from([1e-1, 1e-3]))
def test_it_warns_exactly_when_it_did_not_converge(
    network: EnergyNetwork, seed: int, sweeps: int, tolerance: float
) -> None:
    x, _ = batch_for(network, seed=seed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        end = network.relax(x, dynamics=FixedPoint("synchronous", sweeps, tolerance))
    assert [warning.category for warning in caught] == ([] if end.converged else [ConvergenceWarning])
    assert end.converged == (end.residual <= tolerance)


def test_a_state_that_is_not_a_number_never_counts_as_converged() -> None:
    network, x, _ = resnet()
    with torch.no_grad():
        network.coupling("input_h1").get_parameter("weight")[0, 0, 0, 0] = math.nan
    with pytest.warns(ConvergenceWarning, match="still moved by nan"):
        assert not network.relax(x, dynamics=FixedPoint("coloured", 4, 1e-3)).converged


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_an_input_that_is_not_finite_is_refused_by_name(value: float) -> None:
    network, x, _ = resnet()
    x[0, 0, 0, 0] = value
    with pytest.raises(ValueError, match="input input has NaN or infinite values: expected finite numbers"):
        network.relax(x)


@settings(max_examples=30)
@given(networks(), SEEDS)
def test_reads_of_clamped_inputs_are_made_once(network: EnergyNetwork, seed: int) -> None:
    calls = dict.fromkeys(network.couplings, 0)

    def count(name: str) -> None:
        def hook(*_: object) -> None:
            calls[name] += 1

        network.coupling(name).register_forward_hook(hook)

    for name in calls:
        count(name)
    x, target = batch_for(network, seed=seed)
    network.relax(x, target=target, beta=0.1, dynamics=FixedPoint("coloured", 5, 0.0))
    for edge in network.edges:
        # A pooled read is also needed before its pre layer's first update, for the transposed direction.
        expected = {1} if edge.pre in network.inputs else {5, 5 + (edge.pool is not None)}
        assert calls[edge.name] in expected


def test_a_pooled_convolution_is_read_once_a_sweep() -> None:
    """Both directions of a pooled edge start from the same read; it is made again only after its pre layer moved."""
    network = models.build("vgg5", size=16, width=1 / 64)
    calls = []
    network.coupling("h1_h2").register_forward_hook(lambda *_: calls.append(1))
    network.relax(torch.rand(1, 3, 16, 16), dynamics=FixedPoint("coloured", 6, 0.0))
    assert len(calls) == 7  # the first sweep needs it before h1 moves, every sweep after


def test_start_states_are_used_and_left_as_they_were() -> None:
    network, x, target = resnet()
    free = network.relax(x, dynamics=FixedPoint("coloured", 500, 1e-12))
    saved = {name: state.clone() for name, state in free.states.items()}
    again = network.relax(x, start=free.states, dynamics=FixedPoint("coloured", 500, 1e-11))
    assert again.sweeps == 1
    network.relax(x, target=target, beta=0.5, start=free.states, dynamics=FixedPoint("coloured", 500, 1e-12))
    for name, state in saved.items():
        assert torch.equal(free.states[name], state)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"order": "random"}, "order 'random'"),
        ({"max_sweeps": 0}, "max_sweeps 0"),
        ({"tolerance": -1e-9}, "tolerance -1e-09"),
        ({"tolerance": math.nan}, "tolerance nan"),
    ],
)
def test_impossible_dynamics_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FixedPoint(**arguments)
