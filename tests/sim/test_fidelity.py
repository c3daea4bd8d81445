"""Truth: eqprop's estimator on the ideal network, gradients drawn again and again, a scan of beta."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import pairwise

import pytest
import torch
from torch import Tensor

import mapping
from eqprop import Conv2d, Dense, Edge, EnergyNetwork, FixedPoint, Layer, LowRank, MaxPool2d, SquaredError, models
from eqprop.estimators import Symmetric
from mapping import Target
from sim import Chip
from sim.fidelity import BetaChoice, Gradients, choose_beta, compared, fidelity, gradients, static_network, table
from tests.mapping.graphs import images_for

FREE = FixedPoint(max_sweeps=40, tolerance=0.0)
NUDGED = FixedPoint(max_sweeps=30, tolerance=0.0)
ESTIMATOR = Symmetric(0.5, NUDGED)
PHASE_NOISE = ["read.noise=phase", "device.read_noise={model: relative, fraction: 0.01}"]


def every_kind() -> EnergyNetwork:
    """A strided and a pooled convolution, a 1x1 skip, a low-rank and dense couplings, all close to the output."""
    layers = {
        "x": Layer((2, 8, 8), (-1.0, 1.0)),
        "strided": Layer((3, 4, 4), (-1.0, 1.0)),
        "pooled": Layer((3, 4, 4), (-1.0, 1.0)),
        "h": Layer((9,), (-1.0, 1.0)),
        "output": Layer((3,)),
    }
    couplings = {
        "x_strided": Conv2d((2, 8, 8), 3, (3, 3), (2, 2), (1, 1)),
        "x_pooled": Conv2d((2, 8, 8), 3, (3, 3), (1, 1), (1, 1)),
        "strided_pooled": Conv2d((3, 4, 4), 3, (1, 1), (1, 1), (0, 0)),
        "strided_h": LowRank((3, 4, 4), (9,), 2),
        "pooled_h": Dense((3, 4, 4), (9,)),
        "h_output": Dense((9,), (3,)),
    }
    edges = [Edge(name, *name.split("_"), MaxPool2d(2, 2) if name == "x_pooled" else None) for name in couplings]
    generator = torch.Generator().manual_seed(2)
    for coupling in couplings.values():
        coupling.initialise(0.5, generator)
    return EnergyNetwork(layers, ["x"], edges, couplings, SquaredError("output"), FREE)


def mlp() -> EnergyNetwork:
    network = models.mlp([12], channels=1, size=4, classes=3)
    network.dynamics = FREE
    return network


def batch(network: EnergyNetwork, count: int = 16) -> tuple[Tensor, Tensor]:
    return images_for(network, count).abs_(), torch.arange(count) % network.classes


def compiled(network: EnergyNetwork, *settings: str) -> mapping.Mapping:
    return mapping.compile(network, Target.load("ideal", (24, 24), settings), low_rank="keep")


def joined(found: Gradients) -> Tensor:
    return torch.cat(list(found.values()))


@pytest.mark.parametrize("build", [every_kind, mlp])
@pytest.mark.parametrize("order", ["+-", "+--+"])
def test_an_ideal_chip_has_the_ideal_networks_gradient(build: Callable[[], EnergyNetwork], order: str) -> None:
    network = build()
    x, labels = batch(network)
    estimator = replace(ESTIMATOR, order=order)
    expected = gradients(network, estimator, x, labels)
    chip = Chip(compiled(network))
    assert set(expected) == set(network.couplings)
    for found in (gradients(chip, estimator, x, labels), gradients(static_network(chip), estimator, x, labels)):
        for name, gradient in expected.items():
            assert (found[name] - gradient).norm() <= 1e-5 * gradient.norm(), name


def test_gradients_are_what_the_estimator_leaves_behind() -> None:
    network = every_kind()
    x, labels = batch(network)
    found = gradients(network, ESTIMATOR, x, labels)
    assert all(parameter.grad is None for parameter in network.parameters())  # and leave nothing behind themselves
    ESTIMATOR(network, x, labels)
    for name, coupling in network.coupling_table().items():
        expected = [p.grad.flatten() for p in coupling.parameters() if p.grad is not None]
        assert torch.equal(found[name], torch.cat(expected).double())


@pytest.mark.parametrize("build", [every_kind, mlp])
def test_programming_errors_change_the_network_not_how_it_learns(build: Callable[[], EnergyNetwork]) -> None:
    network = build()
    x, labels = batch(network)
    mapped = compiled(network, "device.programming={model: gaussian, sigma_siemens: [3.0e-6]}")
    chip = Chip(mapped, seed=1)
    measured = gradients(chip, ESTIMATOR, x, labels)
    to_own = compared(measured, gradients(static_network(chip), ESTIMATOR, x, labels))
    to_ideal = compared(measured, gradients(network, ESTIMATOR, x, labels))
    assert set(to_own) == {*network.couplings, "all"}
    for name, row in to_own.items():
        assert row.cosine > 0.9999, name
        assert row.norm_ratio == pytest.approx(1.0, abs=1e-3)
        assert to_ideal[name].cosine < 0.9999, name


def test_another_chip_of_a_batch_has_its_own_weights() -> None:
    mapped = compiled(mlp(), "device.programming={model: gaussian, sigma_siemens: [3.0e-6]}")
    chips = Chip(mapped, seed=1, chips=2)
    for number in (0, 1):
        alone = static_network(Chip(mapped, seed=1, first=number))
        network = static_network(chips, number)
        for name, coupling in network.coupling_table().items():
            assert torch.equal(coupling.effective_weight(), alone.coupling(name).effective_weight())


def test_more_bits_come_closer_to_the_gradient() -> None:
    """Two bits more in states and converters divide steps by four. Measured: .318, .111, .032, .0082."""
    network = every_kind()
    x, labels = batch(network, 64)
    expected = joined(gradients(network, ESTIMATOR, x, labels))
    errors = []
    for bits in (6, 8, 10, 12):
        settings = [f"dac.bits={bits}", f"adc.bits={bits}", f"controller.state_bits={bits + 4}"]
        found = joined(gradients(Chip(compiled(network, *settings)), ESTIMATOR, x, labels))
        errors.append(float((found - expected).norm() / expected.norm()))
    assert errors == sorted(errors, reverse=True)
    for coarse, fine in pairwise(errors):
        assert 2.5 < coarse / fine < 5.0


@cache
def noisy() -> tuple[Chip, Tensor, Tensor, BetaChoice]:
    """A chip whose devices read 1 % off, otherwise in every phase, and the beta chosen for it."""
    network = mlp()
    x, labels = batch(network, 32)
    chip = Chip(compiled(network, *PHASE_NOISE), seed=1)
    return chip, x, labels, choose_beta(chip, ESTIMATOR, x, labels)


def draws(beta: float, count: int = 24) -> Tensor:
    chip, x, labels, _ = noisy()
    return torch.stack([joined(gradients(chip, Symmetric(beta, NUDGED), x, labels)) for _ in range(count)])


def exact(beta: float) -> Tensor:
    chip, x, labels, _ = noisy()
    return joined(gradients(static_network(chip), Symmetric(beta, NUDGED), x, labels))


def test_bias_and_noise_are_those_measured_directly() -> None:
    *_, choice = noisy()
    at_zero = exact(0.02)  # bias (0.02 / 0.2)^2 = 1 % of that below
    for beta in (0.1, 0.2):
        bias = float((exact(beta) - at_zero).norm())
        assert choice.bias_2 * beta**2 == pytest.approx(bias, rel=0.1)
        found = draws(beta)
        noise = float((found - found.mean(0)).square().sum(1).mean().mul(24 / 23).sqrt())
        assert choice.noise_1 / beta == pytest.approx(noise, rel=0.3)  # from one difference
    assert choice.gradient == pytest.approx(float(at_zero.norm()), rel=0.03)  # taken at the probe, with its bias


def test_the_beta_chosen_is_the_best_of_a_scan() -> None:
    """The mean squared error to the gradient at small beta, 16 noisy estimates each, over betas 1.25 apart."""
    *_, choice = noisy()
    truth = exact(0.02)
    errors = {}
    for step in range(-3, 4):
        beta = choice.beta * 1.25**step
        errors[beta] = float((draws(beta, 16) - truth).square().sum(1).mean().sqrt())
    best = min(errors, key=lambda beta: errors[beta])
    assert choice.beta < choice.limit  # so that it is the balance that is tested
    assert 1 / 1.5 < best / choice.beta < 1.5
    assert errors[choice.beta] < 1.1 * errors[best]
    assert choice.relative_error * float(truth.norm()) == pytest.approx(errors[choice.beta], rel=0.3)


def test_more_noise_asks_for_more_beta_until_the_output_forbids_it() -> None:
    network = mlp()
    x, labels = batch(network, 32)
    chosen = []
    for share in (0.0002, 0.002, 0.02, 0.8):
        settings = ["read.noise=phase", f"device.read_noise={{model: relative, fraction: {share}}}"]
        chosen.append(choose_beta(Chip(compiled(network, *settings), seed=2), ESTIMATOR, x, labels))
    betas = [choice.beta for choice in chosen]
    assert betas == sorted(betas)
    # the sixth root of 10 squared
    assert betas[1] / betas[0] == pytest.approx(10 ** (1 / 3), rel=0.05)
    assert betas[-1] == chosen[-1].limit == 0.5
    assert "the output's stiffness forbids it" in chosen[-1].reason()


def test_the_reason_says_beta_and_both_errors() -> None:
    choice = BetaChoice(beta=0.25, limit=0.5, bias_2=0.16, noise_1=0.005, gradient=0.5, probe=0.1)
    assert choice.reason() == "beta 0.25: bias and noise balance; expected bias 2.00%, noise 4.00% of the gradient"
    assert choice.relative_error == pytest.approx(math.hypot(0.02, 0.04))


def test_norm_ratios_and_gradients_that_are_zero() -> None:
    one, zero = torch.tensor([3.0, 4.0]).double(), torch.zeros(2).double()
    found = compared({"a": 2 * one, "b": one.flip(0), "c": zero, "d": one}, {"a": one, "b": one, "c": one, "d": zero})
    assert (found["a"].cosine, found["a"].norm_ratio) == pytest.approx((1.0, 2.0))
    assert (found["b"].cosine, found["b"].norm_ratio) == pytest.approx((24 / 25, 1.0))
    assert math.isnan(found["c"].cosine)  # no direction
    assert found["c"].norm_ratio == 0.0
    assert math.isnan(found["d"].cosine)
    assert math.isnan(found["d"].norm_ratio)
    assert math.isnan(fidelity(zero, zero).norm_ratio)
    assert found["all"].norm_ratio == pytest.approx(math.sqrt((100 + 25 + 25) / (25 + 25 + 25)))
    assert table(found)["c"] == {"cosine": None, "norm_ratio": 0.0}
    assert table(found)["d"] == {"cosine": None, "norm_ratio": None}
