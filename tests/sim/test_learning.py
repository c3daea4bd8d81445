"""Truth: plain gradient descent on the ideal network, the estimator's gradients, and devices looked at one by one."""

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import mapping
from eqprop import EnergyNetwork, FixedPoint, models
from eqprop.estimators import Symmetric
from mapping import Target
from sim import Chip
from sim.learning import ChipDevices, Learner, Pulsed, Verified
from sim.learning.devices import step_in_weight
from sim.learning.products import products
from sim.pulse_trains import PulseTrains
from tests.mapping.graphs import compilations, ideal_target, images_for, networks

NUDGED = FixedPoint(max_sweeps=8, tolerance=0.0)
# Steps alike up and down, no noise, no corrupt devices: what pulses do is what they are meant to do.
EXACT_STEPS = "device.update={model: constant-step, step: 0.002, w_max: 1.0, w_min: -1.0}"


def labels_for(network: EnergyNetwork, count: int) -> Tensor:
    return torch.arange(count) % network.classes


def mlp() -> EnergyNetwork:
    network = models.mlp([12], channels=1, size=4, classes=3)
    network.dynamics = FixedPoint(max_sweeps=20, tolerance=0.0)
    return network


def compiled(*settings_: str, network: EnergyNetwork | None = None, **options: Any) -> mapping.Mapping:
    target = Target.load("ideal", (32, 32), ["cell.headroom=2", *settings_])
    return mapping.compile(network or mlp(), target, **options)


def descent_of(chip: Chip, found: list[Any]) -> dict[str, Tensor]:
    """By matrix, the sum of all products: minus the gradient, if they are right."""
    total: dict[str, Tensor] = {}
    for product in found:
        share = product.coefficient * (product.x.double().T @ product.y.double())
        total[product.matrix] = total.get(product.matrix, torch.zeros_like(share)) + share
    return total


@settings(max_examples=25, deadline=None)
@given(
    compilations(networks(), ideal_target(24, 24)),
    st.sampled_from(["difference", "states"]),
    st.sampled_from(["+-", "+--+"]),
)
def test_products_are_the_gradient_of_the_estimator(mapped: mapping.Mapping, contrast: Any, order: Any) -> None:
    network, chip = mapped.network, Chip(mapped)
    x, labels = images_for(network, 4), labels_for(network, 4)
    estimate = Symmetric(0.5, NUDGED, order)(chip, x, labels)
    found = descent_of(chip, list(products(chip, estimate, labels, contrast)))
    assert set(found) == set(mapped.matrices)
    whole = max(float(parameter.grad.norm()) for parameter in chip.parameters() if parameter.grad is not None)
    for name, matrix in mapped.matrices.items():
        coupling = chip.coupling(matrix.coupling)
        if name == matrix.coupling and hasattr(coupling.ideal, "weight"):  # type: ignore[union-attr]
            gradient = coupling.get_parameter("weight").grad
        elif name == matrix.coupling:
            continue  # a low-rank coupling multiplied out learns as a full matrix
        else:
            gradient = coupling.get_parameter(name[-1]).grad
        assert gradient is not None
        expected = gradient if name.endswith(".V") else gradient.T if name.endswith(".U") else None
        if expected is None:
            expected = matrix.lowering.to_matrix(gradient)
        assert (found[name] + expected).norm() <= 2e-4 * max(whole, float(expected.norm()))


def test_writing_every_change_exactly_is_gradient_descent() -> None:
    network = mlp()
    mapped = compiled(network=network)
    learner = Learner(Chip(mapped), Verified(threshold=0.0), Symmetric(0.3, NUDGED), rate=0.1)
    ideal = copy.deepcopy(network)
    estimator = Symmetric(0.3, NUDGED)
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        x, labels = torch.rand(6, *network.input_shape, generator=generator), labels_for(network, 6)
        learner.step(x, labels)
        ideal.zero_grad(set_to_none=True)
        estimator(ideal, x, labels)
        with torch.no_grad():
            for parameter in ideal.parameters():
                assert parameter.grad is not None
                parameter.sub_(parameter.grad, alpha=0.1)
    for name, coupling in ideal.coupling_table().items():
        start = network.coupling(name).effective_weight()
        moved = (coupling.effective_weight() - start).norm()
        found = learner.chip.mapped(name).effective_weight()
        assert moved > 0.0
        assert (found - coupling.effective_weight()).norm() <= 1e-3 * moved
    for name, bias in ideal.biases.items():
        assert torch.allclose(learner.chip.biases[name], bias, atol=1e-5)


@pytest.mark.parametrize("trains", ["stochastic", "deterministic"])
@pytest.mark.parametrize("contrast", ["difference", "states"])
@pytest.mark.parametrize("encoding", ["differential", "offset"])
def test_pulses_move_weights_down_the_gradient(trains: Any, contrast: Any, encoding: str) -> None:
    network = mlp()
    mapped = compiled(EXACT_STEPS, "cell.pair=middle", f"cell.encoding={encoding}", network=network)
    chip = Chip(mapped)
    learner = Learner(chip, Pulsed(PulseTrains(63, trains), contrast), Symmetric(0.3, NUDGED), rate=0.0)
    before = {name: learner.devices.weights(name) for name in mapped.matrices}
    x, labels = images_for(network, 64).add_(1.0), labels_for(network, 64)
    estimate = learner.estimator(chip, x, labels)
    wanted = descent_of(chip, list(products(chip, estimate, labels, contrast)))
    # Of the products of both phases nearly all cancels: fewer pulses, or devices would meet their bounds on the way.
    rate = (400.0 if contrast == "difference" else 60.0) * step_in_weight(learner.devices, "h1_output")
    assert learner.rule.apply(learner.devices, products(chip, estimate, labels, contrast), rate)
    for name in mapped.matrices:
        moved = (learner.devices.weights(name) - before[name]).double()
        cosine = float((moved * wanted[name]).sum() / (moved.norm() * wanted[name].norm()))
        assert cosine > (0.97 if contrast == "difference" else 0.6)
        along = float((moved * wanted[name]).sum() / (rate * wanted[name].square().sum()))
        assert along == pytest.approx(1.0, abs=0.15 if contrast == "difference" else 0.35)


def test_a_device_that_only_rises_gets_no_pulse_down() -> None:
    law = "{model: constant-step, step: 0.002, w_max: 2.0, w_min: 0.0, one_sided: true}"
    mapped = compiled(f"device.update={law}")
    learner = Learner(Chip(mapped), Pulsed(), Symmetric(0.3, NUDGED), rate=0.3)
    before = learner.devices.conductance.clone()
    x = images_for(mapped.network, 8).add_(1.0)
    learner.step(x, labels_for(mapped.network, 8))
    assert bool((learner.devices.conductance >= before).all())
    assert bool((learner.devices.conductance > before).any())
    single = compiled(f"device.update={law}", "cell.encoding=offset")
    with pytest.raises(ValueError, match="expected a differential pair"):
        Learner(Chip(single), Pulsed(), Symmetric(0.3, NUDGED), rate=0.3).step(x, labels_for(mapped.network, 8))


def convolutional() -> EnergyNetwork:
    network = models.build("hopfield-resnet", classes=3, size=6, channels=1, width=0.1)
    network.dynamics = FixedPoint(max_sweeps=6, tolerance=0.0)
    return network


@pytest.mark.parametrize("rule", [Pulsed(), Verified(threshold=0.0)], ids=["pulses", "verify"])
def test_learning_reaches_every_copy_and_no_device_without_a_weight(rule: Any) -> None:
    mapped = compiled(EXACT_STEPS, "cell.pair=middle", network=convolutional(), budget=40)
    copied = [name for name, matrix in mapped.matrices.items() if len(matrix.replicas) > 1]
    assert copied
    chip = Chip(mapped)
    learner = Learner(chip, rule, Symmetric(0.3, NUDGED), rate=0.5)
    before = learner.devices.conductance.clone()
    learner.step(images_for(mapped.network, 8).add_(1.0), labels_for(mapped.network, 8))
    touched = learner.devices.pulses + learner.devices.writes
    used = torch.zeros(before.shape, dtype=torch.bool)
    for name, matrix in mapped.matrices.items():
        per_weight = mapped.encoding(name).devices_per_weight
        for replica in matrix.replicas:
            ones = torch.ones(matrix.lowering.rows, matrix.lowering.columns * per_weight, dtype=torch.bool)
            replica.scatter_(used, ones, per_weight)
    assert not bool(touched[~used].any())
    assert torch.equal(learner.devices.conductance[~used], before[~used])
    for name in copied:
        per_weight = mapped.encoding(name).devices_per_weight
        counts = [replica.gather(touched, per_weight) for replica in mapped.matrices[name].replicas]
        assert bool(counts[0].any())
        assert all(torch.equal(counts[0], other) for other in counts[1:])
        weights = [learner.devices.weights(name, number) for number in range(len(counts))]
        assert all(torch.allclose(weights[0], other, atol=1e-5) for other in weights[1:])


def test_stuck_devices_never_move_and_the_chip_reads_what_was_learned() -> None:
    mapped = compiled("device=rram-hfo2", "device.stuck.any=0.1", "read.noise=off")
    chip = Chip(mapped, seed=3, age_s=3600.0)
    learner = Learner(chip, Verified(threshold=0.0), Symmetric(0.3, NUDGED), rate=0.3)
    stuck = learner.devices.made.stuck
    assert stuck is not None
    before = learner.devices.conductance.clone()
    for name in mapped.chains:  # the devices that learn are those the chip had
        assert torch.allclose(
            chip.mapped(name).effective_weight(),
            mapped.matrices[name].lowering.to_weight(learner.devices.weights(name)),
            atol=1e-6,
        )
    learner.step(images_for(mapped.network, 8).add_(1.0), labels_for(mapped.network, 8))
    after = learner.devices.conductance
    assert torch.equal(after[stuck.devices], before[stuck.devices])
    assert bool((after != before).any())
    for name in mapped.chains:
        expected = mapped.matrices[name].lowering.to_weight(learner.devices.weights(name))
        assert torch.allclose(chip.mapped(name).effective_weight(), expected, atol=1e-6)


def test_small_changes_are_seen_behind_wires() -> None:
    """Wires are solved again for changes below what drift may do to a solution that is kept."""
    wires = ["wires.row_resistance_ohm=1", "wires.column_resistance_ohm=1", "wires.keep_within=0.5"]
    mapped = compiled("device=rram-hfo2", "read.noise=off", *wires)
    chip = Chip(mapped)
    before = {name: chip.mapped(name).effective_weight() for name in mapped.chains}
    learner = Learner(chip, Verified(threshold=0.0), Symmetric(0.3, NUDGED), rate=0.01)
    assert learner.step(images_for(mapped.network, 8).add_(1.0), labels_for(mapped.network, 8)).moved
    for name in mapped.chains:
        assert not torch.equal(chip.mapped(name).effective_weight(), before[name])


def test_devices_keep_their_own_responses_and_errors_when_they_are_written() -> None:
    programming = "device.programming={model: gaussian, sigma_siemens: 2.0e-6, device_to_device: 1.0}"
    mapped = compiled("device.update=capacitor", programming, "cell.pair=middle")
    devices = ChipDevices(Chip(mapped, seed=2))
    once = devices.conductance.clone()
    everywhere = torch.ones(once.shape, dtype=torch.bool)
    devices.write(everywhere, mapped.conductances)  # all of the error is the device's own: it comes back
    assert torch.allclose(devices.conductance, once, atol=1e-10)
    devices.pulse(torch.ones_like(once))
    responses = devices.responses
    devices.write(everywhere, mapped.conductances)
    devices.pulse(torch.ones_like(once))
    assert responses is not None
    assert devices.responses is responses


def test_small_changes_add_up_until_they_are_written() -> None:
    mapped = compiled()
    rule = Verified(threshold=0.2)
    learner = Learner(Chip(mapped), rule, Symmetric(0.3, NUDGED), rate=0.02)
    x, labels = images_for(mapped.network, 8).add_(1.0), labels_for(mapped.network, 8)
    steps = 0
    while not learner.step(x, labels).moved:
        steps += 1
        assert int(learner.devices.writes.sum()) == 0
        assert steps < 500
    assert steps > 3
    assert 0 < int((learner.devices.writes > 0).sum()) < learner.devices.writes.numel()


def test_learning_is_the_same_for_a_seed_and_another_for_another() -> None:
    found = []
    for seed in (1, 1, 2):
        mapped = compiled("device=ecram", "cell.pair=middle", "adc.bits=8", "dac.bits=8")
        learner = Learner(Chip(mapped, seed=seed), Pulsed(), Symmetric(0.3, NUDGED), rate=0.05)
        learner.step(images_for(mapped.network, 8).add_(1.0), labels_for(mapped.network, 8))
        found.append(learner.devices.conductance)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_what_cannot_learn_says_why() -> None:
    mapped = compiled()
    x, labels = images_for(mapped.network, 4), labels_for(mapped.network, 4)
    with pytest.raises(ValueError, match="2 chips: expected one"):
        ChipDevices(Chip(mapped, chips=2))
    with pytest.raises(ValueError, match="device ideal has no update law"):
        Learner(Chip(mapped), Pulsed(), Symmetric(0.3, NUDGED), 0.1).step(x, labels)
    sliced = compiled(EXACT_STEPS, "cell={levels: 4, slices: 2}")
    with pytest.raises(ValueError, match="several slices cannot learn by pulses"):
        Learner(Chip(sliced), Pulsed(), Symmetric(0.3, NUDGED), 0.1).step(x, labels)
    with pytest.raises(ValueError, match="threshold -1"):
        Verified(-1.0)
