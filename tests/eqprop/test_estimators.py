"""Truth: implicit differentiation of the equilibrium by autograd (implicit_gradient), where no nudge appears.

The cost at the equilibrium has kinks: where a unit meets the end of its clip range, and where another read becomes
the maximum of its pooling window. EP is a finite difference and exact only if none lies between its phases, so the
comparison keeps to batches whose clipped units and maxima are the same in all of them (``smooth``).
"""

import math
import statistics

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from implicit_gradient import implicit_gradient, mean_cost
from random_networks import batch_for, networks
from torch import Tensor

from eqprop import EnergyNetwork, FixedPoint, estimators, models
from eqprop.estimators import Estimate

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


def estimate(network: EnergyNetwork, name: str, beta: float, x: object, y: Tensor) -> tuple[Tensor, Estimate]:
    """The whole gradient as one vector, and the estimator's report."""
    network.dynamics = EXACT
    network.zero_grad()
    report = estimators.get(name, beta)(network, x, y)
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
