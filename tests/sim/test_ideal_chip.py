"""Truth: the ideal network itself. With exact devices and converters, a chip computes the same."""

import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import mapping
from eqprop import ConvergenceWarning, FixedPoint, estimators, models
from eqprop.data.image_set import ImageSet
from eqprop.evaluation import evaluate
from sim import Chip
from tests.mapping.graphs import compilations, ideal_target, images_for, networks

some = settings(max_examples=30)
kinds = st.sampled_from(["differential", "offset"])
sides = st.integers(2, 40)


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm().clamp(min=1e-12))


@st.composite
def compiled(draw: st.DrawFn) -> mapping.Mapping:
    """Any network on any crossbar, packed or not, with copies or without, low-rank couplings kept or merged."""
    return draw(compilations(networks(), ideal_target(draw(sides), draw(sides), draw(kinds))))


@settings(max_examples=60)
@given(compiled(), st.integers(1, 3))
def test_reads_are_the_networks_in_both_directions(mapped: mapping.Mapping, chips: int) -> None:
    network, chip = mapped.network, Chip(mapped, chips=chips)
    generator = torch.Generator().manual_seed(0)
    for name, coupling in network.coupling_table().items():
        pre = torch.randn(2 * chips, *coupling.pre_shape, generator=generator)
        post = torch.randn(2 * chips, *coupling.post_shape, generator=generator)
        mapped = chip.coupling(name)
        assert relative(mapped.forward(pre), coupling.forward(pre).detach()) <= 1e-5
        assert relative(mapped.transpose(post), coupling.transpose(post).detach()) <= 1e-5
        assert relative(mapped.effective_weight(), coupling.effective_weight()) <= 1e-5


@some
@given(compiled())
def test_equilibria_and_predictions_are_the_networks(mapped: mapping.Mapping) -> None:
    network, chip = mapped.network, Chip(mapped)
    images = images_for(network, 4)
    expected, found = network.relax(images), chip.relax(images)
    for name, state in expected.states.items():
        assert (found.states[name] - state).abs().max() <= 1e-4
    logits = network.logits(expected.states).detach()
    assert (chip.logits(found.states) - logits).abs().max() <= 1e-4
    # Where two classes tie to rounding, either answer is right.
    top = logits.topk(2, dim=1).values
    clear = top[:, 0] - top[:, 1] > 1e-3
    assert torch.equal(chip.predict(images)[0][clear], network.predict(images)[0][clear])


@pytest.mark.parametrize("cost", ["squared-error", "cross-entropy"])
@pytest.mark.parametrize("model", ["mlp", "vgg5", "hopfield-resnet"])
@pytest.mark.parametrize("kind", ["differential", "offset"])
def test_gradients_on_an_ideal_chip_are_the_networks(model: str, cost: str, kind: str) -> None:
    size, width = (16, 0.02) if model == "vgg5" else (8, 0.1)
    network = models.build(model, classes=3, size=size, width=width, cost=cost)
    network.dynamics = FixedPoint(max_sweeps=40, tolerance=0.0)
    chip = Chip(mapping.compile(network, ideal_target(16, 16, kind)))
    images, labels = images_for(network, 6).add_(1), torch.arange(6) % 3
    # Small gradients are differences of large products: a strong nudge keeps them above float32 rounding.
    estimate = estimators.get("symmetric", beta=0.5 if cost == "squared-error" else 5.0)
    ideal, measured = estimate(network, images, labels), estimate(chip, images, labels)
    assert measured.loss == pytest.approx(ideal.loss, rel=1e-5)
    assert measured.hits == ideal.hits
    pairs = [(network.biases[name], chip.biases[name]) for name in network.free]
    for name, coupling in network.coupling_table().items():
        pairs.append((coupling.get_parameter("weight"), chip.coupling(name).get_parameter("weight")))
    pairs += list(zip(network.cost.parameters(), chip.cost.parameters(), strict=True))
    whole = torch.cat([expected.grad.flatten() for expected, _ in pairs if expected.grad is not None]).norm()
    for expected, found in pairs:
        assert expected.grad is not None
        assert found.grad is not None
        assert (found.grad - expected.grad).norm() <= 1e-4 * whole


def test_learning_on_a_chip_leaves_the_mapping_alone() -> None:
    network = models.build("mlp", classes=3, size=4, width=0.02)
    mapped = mapping.compile(network, mapping.Target.load("pcm-gst", (16, 16)))
    chip = Chip(mapped)
    before = mapped.conductances.clone()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimators.get("symmetric")(chip, images_for(network), torch.tensor([0, 1, 2]))
    assert all(parameter.grad is None for parameter in mapped.network.parameters())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert any(parameter.grad is not None for parameter in chip.parameters())
    assert torch.equal(mapped.conductances, before)


@pytest.mark.parametrize("cost", ["squared-error", "cross-entropy"])
def test_a_pooled_network_evaluates_on_chips(cost: str) -> None:
    network = models.build("vgg5", classes=3, size=16, width=0.02, cost=cost)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (10, 3, 16, 16), generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, 3, (10,), generator=generator)
    data = ImageSet("random", images, labels, ("a", "b", "c"), 255.0, (0.5,) * 3, (0.5,) * 3)
    expected = evaluate(network, data, batch_size=5)
    found = evaluate(Chip(mapping.compile(network, ideal_target(32, 32)), chips=2), data, batch_size=5)
    assert found.accuracies == expected.accuracies * 2
    noisy = Chip(mapping.compile(network, mapping.Target.load("rram-hfo2", (32, 32))), chips=2, age_s=3600.0)
    with pytest.warns(ConvergenceWarning, match="batches were not at equilibrium"):
        assert len(evaluate(noisy, data, batch_size=5, dynamics=FixedPoint(max_sweeps=5)).accuracies) == 2
