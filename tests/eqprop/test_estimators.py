"""Truth: implicit differentiation of the equilibrium by autograd (implicit_gradient), where no nudge appears.

The cost at the equilibrium has kinks: where a unit meets the end of its clip range, and where another read becomes
the maximum of its pooling window. EP is a finite difference and exact only if none lies between its phases, so the
comparison keeps to batches whose clipped units and maxima are the same in all of them (``smooth``).

What drifts between phases is compared with the same network held still at the phases' mean time.
"""

import copy
import math
import statistics
from dataclasses import replace
from functools import cache

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from implicit_gradient import implicit_gradient, mean_cost
from random_networks import batch_for, networks
from torch import Tensor

from eqprop import EnergyNetwork, FixedPoint, estimators, models
from eqprop.dynamics import Equilibrium
from eqprop.estimators import Estimate, OneSided, Symmetric

EXACT = FixedPoint("coloured", 3000, 1e-13)
SEEDS = st.integers(0, 2**20)


def pattern(network: EnergyNetwork, states: dict[str, Tensor]) -> list[Tensor]:
    """Which units sit at either end of their range, and which reads are the maxima of their windows."""
    found = []
    for name in network.free:
        low, high = network.layers[name].clip
        found += [states[name] <= low, states[name] >= high]
    for edge in network.edges:
        if edge.pool is not None:
            with torch.no_grad():
                read = network.coupling(edge.name)(states[edge.pre])
            found.append(edge.pool.transpose(torch.ones_like(states[edge.post]), read))
    return found


def smooth(network: EnergyNetwork, report: Estimate) -> bool:
    """Does no kink lie between the phases?"""
    patterns = [pattern(network, equilibrium.states) for equilibrium in (report.free, *report.nudged.values())]
    return all(torch.equal(a, b) for other in patterns[1:] for a, b in zip(patterns[0], other, strict=True))


def estimate(
    network: EnergyNetwork, name: str, beta: float, x: object, y: Tensor, **options: object
) -> tuple[Tensor, Estimate]:
    """The whole gradient as one vector, and the estimator's report."""
    network.dynamics = EXACT
    network.zero_grad()
    report = estimators.get(name, beta, **options)(network, x, y)
    return whole({n: p.grad for n, p in network.named_parameters()}), report


def whole(gradients: dict[str, Tensor]) -> Tensor:
    return torch.cat([gradient.flatten() for gradient in gradients.values()])


@settings(max_examples=60)
@given(networks(), SEEDS)
def test_symmetric_estimate_is_the_gradient_of_the_cost(network: EnergyNetwork, seed: int) -> None:
    x, y = batch_for(network, batch=3, seed=seed)
    found, report = estimate(network, "symmetric", 0.01, x, y)
    assume(smooth(network, report))
    truth = whole(implicit_gradient(network, report.free.states, y))
    if truth.norm() > 1e-6:
        assert torch.cosine_similarity(found, truth, dim=0) > 0.9999
    torch.testing.assert_close(found, truth, rtol=5e-3, atol=1e-3 * truth.norm().item() + 1e-9)


@pytest.mark.parametrize("cost", ["squared-error", "cross-entropy"])
@pytest.mark.parametrize(
    ("model", "shape"),
    [
        ("hopfield-resnet", {"width": 1 / 8}),
        ("mlp", {"size": 8, "width": 1 / 16}),
        ("vgg5", {"size": 16, "width": 1 / 64}),
    ],
)
def test_estimates_of_built_in_models_point_along_the_gradient(model: str, shape: dict[str, float], cost: str) -> None:
    """relu6 states from 0 up have many units at their lower end: kinks are not excluded here, and beta is smaller."""
    network = models.build(model, cost=cost, seed=1, **shape).double()
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(3, *network.input_shape, dtype=torch.float64, generator=generator)
    y = torch.tensor([0, 3, 9])
    symmetric, report = estimate(network, "symmetric", 1e-3, x, y)
    truth = whole(implicit_gradient(network, report.free.states, y))
    one_sided, _ = estimate(network, "one-sided", 1e-3, x, y)
    assert torch.cosine_similarity(symmetric, truth, dim=0) > 0.9999
    assert torch.cosine_similarity(one_sided, truth, dim=0) > 0.999
    assert symmetric.norm() / truth.norm() == pytest.approx(1.0, abs=0.01)


BETAS = (0.01, 0.02, 0.04, 0.08, 0.16)
CURVED = {"clips": ["linear"], "stiffnesses": [1.0], "pooled": "never"}


def slope_of_bias(name: str, network: EnergyNetwork, x: object, y: Tensor, truth: Tensor) -> float:
    """Least-squares slope of log |estimate - gradient| over log beta."""
    errors = [(estimate(network, name, beta, x, y)[0] - truth).norm().item() for beta in BETAS]
    slope, _ = statistics.linear_regression([math.log(beta) for beta in BETAS], [math.log(error) for error in errors])
    return slope


@pytest.mark.parametrize(("name", "order"), [("one-sided", 1.0), ("symmetric", 2.0)])
@pytest.mark.parametrize("cost", ["squared-error", "cross-entropy"])
def test_bias_falls_with_the_estimators_order_in_beta(name: str, order: float, cost: str) -> None:
    """Linear states have no kink at any beta, and s(beta) is still curved: (k + beta) or the softmax sees to it."""
    slopes: list[float] = []

    @settings(max_examples=12, database=None)
    @given(networks(costs=[cost], **CURVED), SEEDS)
    def measure(network: EnergyNetwork, seed: int) -> None:
        x, y = batch_for(network, batch=3, seed=seed)
        truth = whole(implicit_gradient(network, network.relax(x, dynamics=EXACT).states, y))
        slopes.append(slope_of_bias(name, network, x, y, truth))

    measure()
    assert len(slopes) >= 10
    assert sum(slopes) / len(slopes) == pytest.approx(order, abs=0.15)


def resnet(cost: str = "squared-error") -> tuple[EnergyNetwork, Tensor, Tensor]:
    network = models.build("hopfield-resnet", width=1 / 8, cost=cost).double()
    generator = torch.Generator().manual_seed(3)
    x = torch.rand(8, 1, 8, 8, dtype=torch.float64, generator=generator)
    return network, x, torch.randint(0, 10, (8,), generator=generator)


@pytest.mark.parametrize("name", sorted(estimators.KINDS))
@pytest.mark.parametrize("cost", ["squared-error", "cross-entropy"])
def test_gradients_accumulate_as_autograds_do(name: str, cost: str) -> None:
    network, x, y = resnet(cost)
    estimator = estimators.get(name, 0.1)
    estimator(network, x, y)
    once = {n: p.grad.clone() for n, p in network.named_parameters()}
    estimator(network, x, y)
    for n, parameter in network.named_parameters():
        torch.testing.assert_close(parameter.grad, 2 * once[n], rtol=1e-9, atol=1e-12)
        assert parameter.grad.shape == parameter.shape


def test_the_gradient_is_the_mean_over_the_batch() -> None:
    network, x, y = resnet()
    both, _ = estimate(network, "symmetric", 0.1, x, y)
    halves = [estimate(network, "symmetric", 0.1, x[part], y[part])[0] for part in (slice(0, 4), slice(4, 8))]
    torch.testing.assert_close(both, (halves[0] + halves[1]) / 2, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("cost", ["squared-error", "cross-entropy"])
@pytest.mark.parametrize(
    "optimizer", [lambda p: torch.optim.SGD(p, lr=0.03, momentum=0.9), lambda p: torch.optim.Adam(p, lr=0.003)]
)
def test_torch_optimizers_lower_the_loss(optimizer: object, cost: str) -> None:
    network, x, y = resnet(cost)
    steps = optimizer(network.parameters())
    network.dynamics = FixedPoint("coloured", max_sweeps=500)
    estimator = estimators.get("symmetric", 0.1)
    losses = []
    for _ in range(15):
        steps.zero_grad()
        losses.append(estimator(network, x, y).loss)
        steps.step()
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize(("name", "betas"), [("one-sided", {0.25}), ("symmetric", {0.25, -0.25})])
def test_the_estimate_reports_what_the_phases_saw(name: str, betas: set[float]) -> None:
    network, x, y = resnet()
    network.dynamics = FixedPoint("coloured", 200, 1e-8)
    report = estimators.get(name, 0.25, FixedPoint("coloured", 300, 1e-7))(network, x, y)
    assert set(report.nudged) == betas
    assert report.loss == pytest.approx(mean_cost(network, report.free.states, y).item(), rel=1e-12)
    assert report.count == 8
    assert report.hits == int((report.free.states["output"].argmax(1) == y).sum())
    assert report.converged
    assert report.residual == max(e.residual for e in (report.free, *report.nudged.values()))
    assert report.free.residual <= 1e-8 < report.residual <= 1e-7


def test_nudging_moves_the_output_towards_the_target_and_away_from_it() -> None:
    network, x, y = resnet()
    report = estimators.get("symmetric", 0.25)(network, x, y)
    free = mean_cost(network, report.free.states, y)
    assert mean_cost(network, report.nudged[0.25].states, y) < free < mean_cost(network, report.nudged[-0.25].states, y)


@pytest.mark.parametrize("beta", [0.0, -0.1, math.nan])
def test_beta_must_be_positive(beta: float) -> None:
    with pytest.raises(ValueError, match="expected a positive nudging strength"):
        estimators.get("symmetric", beta)


def test_unknown_estimators_are_refused() -> None:
    with pytest.raises(ValueError, match="estimator 'centered': expected one of symmetric, one-sided"):
        estimators.get("centered")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("symmetric", {"order": "++"}, r"order '\+\+': expected one of \+-, \+--\+"),
        ("symmetric", {"order": None}, "order None: expected one of"),
        ("one-sided", {"time_matched": "yes"}, "time_matched 'yes': expected True or False"),
        ("one-sided", {"time_matched": 1}, "time_matched 1: expected True or False"),
        ("one-sided", {"order": "+-"}, "estimator 'one-sided': no option order: expected time_matched"),
        ("symmetric", {"time_matched": True}, "estimator 'symmetric': no option time_matched: expected order"),
        ("symmetric", {"orders": "+-", "abba": 1}, "no option abba, orders: expected order"),
    ],
)
def test_options_of_another_estimator_and_impossible_values_are_refused(
    name: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        estimators.get(name, 0.1, **options)


def test_options_reach_the_estimator_and_leave_positional_arguments_alone() -> None:
    dynamics = FixedPoint("coloured", 7)
    assert estimators.get("symmetric", 0.2, dynamics, order="+--+") == Symmetric(0.2, dynamics, "+--+")
    assert estimators.get("one-sided", 0.2, dynamics, time_matched=True) == OneSided(0.2, dynamics, True)
    assert estimators.get("symmetric", 0.2, dynamics) == Symmetric(0.2, dynamics, "+-")
    assert estimators.get("one-sided", 0.2, dynamics) == OneSided(0.2, dynamics, False)


@settings(max_examples=30)
@given(networks(), SEEDS)
def test_without_drift_both_orders_of_the_nudged_phases_give_one_gradient(network: EnergyNetwork, seed: int) -> None:
    x, y = batch_for(network, batch=3, seed=seed)
    plain, _ = estimate(network, "symmetric", 0.05, x, y)
    palindrome, _ = estimate(network, "symmetric", 0.05, x, y, order="+--+")
    torch.testing.assert_close(palindrome, plain, rtol=1e-12, atol=1e-12)


class Drifting(EnergyNetwork):
    """Couplings that lose a share ``kappa`` of their first values with every relaxation."""

    def __init__(self, network: EnergyNetwork, kappa: float) -> None:
        super().__init__(
            network.layers, network.inputs, network.edges, network.coupling_table(), network.cost, network.dynamics
        )
        self.biases = network.biases
        self.kappa = kappa
        self.relaxations: list[tuple[float, object, Equilibrium]] = []

    def forward_read(self, *arguments: object) -> Tensor:
        return (1 - self.kappa * len(self.relaxations)) * super().forward_read(*arguments)

    def transposed_read(self, *arguments: object) -> Tensor:
        return (1 - self.kappa * len(self.relaxations)) * super().transposed_read(*arguments)

    def relax(self, x: Tensor, **settings: object) -> Equilibrium:
        found = super().relax(x, **settings)
        self.relaxations.append((settings.get("beta", 0.0), settings.get("start"), found))
        return found


def held_at(network: EnergyNetwork, kappa: float, time: float) -> EnergyNetwork:
    """The network as ``Drifting`` has it at a time counted in relaxations."""
    still = copy.deepcopy(network)
    with torch.no_grad():
        for coupling in still.couplings.values():
            coupling.weight.mul_(1 - kappa * time)
    return still


def linear_network() -> tuple[EnergyNetwork, Tensor, Tensor]:
    network = models.mlp([10, 8], channels=1, size=3, classes=3, activation="linear", seed=1).double()
    network.dynamics = EXACT
    x = torch.rand(4, 1, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return network, x, torch.tensor([0, 1, 2, 0])


KAPPAS = (1e-4, 3e-4, 1e-3, 3e-3)


@pytest.mark.parametrize(("order", "mean_time", "power"), [("+-", 1.5, 1.0), ("+--+", 2.5, 2.0)])
def test_what_drift_adds_falls_with_its_power(order: str, mean_time: float, power: float) -> None:
    network, x, y = linear_network()
    errors = []
    for kappa in KAPPAS:
        found, _ = estimate(Drifting(network, kappa), "symmetric", 0.01, x, y, order=order)
        still, _ = estimate(held_at(network, kappa, mean_time), "symmetric", 0.01, x, y)
        errors.append(((found - still).norm() / still.norm()).item())
    slope, _ = statistics.linear_regression([math.log(k) for k in KAPPAS], [math.log(error) for error in errors])
    assert slope == pytest.approx(power, abs=0.05)


def test_a_palindrome_of_phases_still_finds_the_gradient_of_drifting_couplings() -> None:
    """Measured at kappa = 1e-2, beta = 0.01: cosine 0.36 for +-, 0.9965 for +--+ (at 3e-3: 0.871 and 0.99997)."""
    network, x, y = linear_network()
    cosines = {}
    for order, mean_time in (("+-", 1.5), ("+--+", 2.5)):
        found, _ = estimate(Drifting(network, 1e-2), "symmetric", 0.01, x, y, order=order)
        still = held_at(network, 1e-2, mean_time)
        truth = whole(implicit_gradient(still, still.relax(x).states, y))
        cosines[order] = torch.cosine_similarity(found, truth, dim=0)
    assert cosines["+-"] < 0.5
    assert cosines["+--+"] > 0.99


def test_each_sign_is_relaxed_twice_from_the_free_state_and_the_last_of_each_is_reported() -> None:
    network, x, y = linear_network()
    drifting = Drifting(network, 1e-3)
    _, report = estimate(drifting, "symmetric", 0.01, x, y, order="+--+")
    assert [beta for beta, _, _ in drifting.relaxations] == [0.0, 0.01, -0.01, -0.01, 0.01]
    assert all(start is report.free.states for _, start, _ in drifting.relaxations[1:])
    found = [equilibrium for _, _, equilibrium in drifting.relaxations]
    assert set(report.nudged) == {0.01, -0.01}
    assert report.nudged[-0.01] is found[3]
    assert report.nudged[0.01] is found[4]
    assert [equilibrium for _, equilibrium in report.phases] == found[1:]


@cache
def settling_network() -> tuple[EnergyNetwork, Tensor, Tensor, Tensor]:
    """A network that needs some 40 sweeps, a batch, and the gradient."""
    network = models.build("bilinear", modules=4, units=12, rank=4, size=3, classes=3, seed=2).double()
    generator = torch.Generator().manual_seed(2)
    x = torch.rand(16, 1, 3, 3, dtype=torch.float64, generator=generator)
    y = torch.randint(0, 3, (16,), generator=generator)
    return network, x, y, whole(implicit_gradient(network, network.relax(x, dynamics=EXACT).states, y))


def unfinished(free_sweeps: int, nudged_sweeps: int, name: str, **options: object) -> float:
    """Cosine with the gradient when the phases stop after so many sweeps, far from equilibrium."""
    network, x, y, truth = settling_network()
    network.zero_grad()
    network.dynamics = FixedPoint("coloured", free_sweeps, 0.0)
    estimators.get(name, 0.01, FixedPoint("coloured", nudged_sweeps, 0.0), **options)(network, x, y)
    found = whole({n: p.grad for n, p in network.named_parameters()})
    return torch.cosine_similarity(found, truth, dim=0).item()


@pytest.mark.parametrize("nudged_sweeps", [5, 20])
@pytest.mark.parametrize("free_sweeps", [3, 5, 10])
def test_unfinished_relaxation_turns_a_one_sided_estimate_round_unless_time_matched(
    free_sweeps: int, nudged_sweeps: int
) -> None:
    """Measured with 20 nudged sweeps: naive -0.66, -0.70, -0.69; time-matched and symmetric above 0.999."""
    assert unfinished(free_sweeps, nudged_sweeps, "one-sided") < -0.3
    assert unfinished(free_sweeps, nudged_sweeps, "one-sided", time_matched=True) > 0.97
    assert unfinished(free_sweeps, nudged_sweeps, "symmetric") > 0.97


def test_enough_free_sweeps_cure_the_naive_one_sided_estimate() -> None:
    assert unfinished(60, 20, "one-sided") > 0.99


def test_the_reference_makes_as_many_sweeps_as_the_nudged_phase_did() -> None:
    network, x, y = linear_network()
    network.dynamics = FixedPoint("coloured", 200, 1e-6)
    nudged_dynamics = FixedPoint("odd-even", 150, 1e-3)
    report = estimators.get("one-sided", 0.25, nudged_dynamics, time_matched=True)(network, x, y)
    (beta, nudged), (zero, reference) = report.phases
    assert (beta, zero) == (0.25, 0.0)
    assert report.nudged == {0.25: nudged}
    assert 1 < nudged.sweeps < 150
    assert reference.sweeps == nudged.sweeps
    assert reference.converged
    assert report.converged
    continued = network.relax(x, start=report.free.states, dynamics=FixedPoint("odd-even", nudged.sweeps, 0.0))
    assert all(torch.equal(reference.states[n], continued.states[n]) for n in network.layers)


@pytest.mark.parametrize("cost", ["squared-error", "cross-entropy"])
def test_time_matching_changes_nothing_at_equilibrium(cost: str) -> None:
    network, x, y = resnet(cost)
    naive, _ = estimate(network, "one-sided", 0.1, x, y)
    matched, _ = estimate(network, "one-sided", 0.1, x, y, time_matched=True)
    torch.testing.assert_close(matched, naive, rtol=1e-9, atol=1e-10)


def test_reference_and_repeated_phases_count_as_phases_that_must_converge() -> None:
    network, x, y = linear_network()
    report = estimators.get("one-sided", 0.1, FixedPoint("coloured", 3, 0.0), time_matched=True)(network, x, y)
    astray = replace(report.free, converged=False, residuals={"h1": 9.0})
    report = replace(report, free=replace(report.free, converged=True), phases=((0.0, astray),))
    assert report.residual == 9.0
    assert not report.converged
