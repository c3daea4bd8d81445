"""Truth: predictions made one image at a time, and counted by hand."""

import pytest
import torch

from eqprop import ConvergenceWarning, EnergyNetwork, FixedPoint, data, models
from eqprop.data import ImageSet
from eqprop.evaluation import Evaluation, evaluate


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return data.load("digits", "test").take(47, seed=1)


@pytest.fixture(scope="module")
def network() -> EnergyNetwork:
    return models.build("hopfield-resnet", width=1 / 8, seed=2)


def test_accuracy_is_the_share_of_right_answers(network: EnergyNetwork, digits: ImageSet) -> None:
    hits = 0
    for index in range(len(digits)):
        x, label = digits.batch(torch.tensor([index]))
        states = network.relax(x, dynamics=FixedPoint("coloured", 200, 1e-6)).states
        hits += int(states["output"].argmax() == label)
    result = evaluate(network, digits, batch_size=20, dynamics=FixedPoint("coloured", 200, 1e-6))
    assert result.accuracies == (hits / 47,)
    assert result.accuracy == hits / 47


@pytest.mark.parametrize(("batch_size", "batches"), [(1, 47), (20, 3), (47, 1), (100, 1)])
def test_every_image_is_seen_once_whatever_the_batch(
    network: EnergyNetwork, digits: ImageSet, batch_size: int, batches: int
) -> None:
    seen: list[int] = []
    result = evaluate(network, digits, batch_size, on_batch=seen.append)
    assert sum(seen) == result.samples == 47
    assert len(seen) == result.batches == batches
    assert max(seen) <= batch_size
    assert result.unconverged == 0
    assert 0.0 < result.residual <= network.dynamics.tolerance
    assert 1 < result.sweeps <= network.dynamics.max_sweeps
    assert result.seconds > 0.0


def test_batches_short_of_equilibrium_are_counted_and_warned_of_once(network: EnergyNetwork, digits: ImageSet) -> None:
    with pytest.warns(ConvergenceWarning, match="3 of 3 batches were not at equilibrium after 2 sweeps") as caught:
        result = evaluate(network, digits, 20, FixedPoint("coloured", 2, 1e-9))
    assert (result.unconverged, result.sweeps) == (3, 2)
    assert len(caught) == 1
    assert f"largest residual {result.residual:.3g} (tolerance 1e-09)" in str(caught[0].message)


def test_a_fixed_count_of_sweeps_is_no_reason_to_warn(network: EnergyNetwork, digits: ImageSet) -> None:
    assert evaluate(network, digits, 20, FixedPoint("coloured", 2, 0.0)).sweeps == 2


def test_evaluation_changes_no_parameter_and_fills_no_gradient(network: EnergyNetwork, digits: ImageSet) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    evaluate(network, digits)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_accuracy_is_the_mean_over_chips() -> None:
    result = Evaluation((0.5, 0.75, 1.0), samples=4, residual=0.0, sweeps=1, unconverged=0, batches=1, seconds=0.0)
    assert result.accuracy == 0.75
