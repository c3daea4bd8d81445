"""Truth: backpropagation through many sweeps of a network written down with two matrices for each coupling."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import mapping
from eqprop import Conv2d, Dense, Edge, EnergyNetwork, FixedPoint, Layer, MaxPool2d, SquaredError, models
from eqprop.couplings import StandIn
from eqprop.estimators import AdjointFixedPoint, OneSided, Symmetric
from eqprop.estimators.base import Estimator
from mapping import Target
from sim import Chip
from sim.fabrication import Fabrication, Streams, manufacture
from sim.fidelity import StaticReads
from sim.learning import ChipDevices, Homeostasis, Learner, Pulsed, Verified, known_skew, measured_skew
from sim.learning.asymmetry import directed_network, seen_weight
from sim.learning.products import products
from tests.mapping.graphs import images_for

SWEEPS = 400
SETTLED = FixedPoint(max_sweeps=SWEEPS, tolerance=0.0)
NUDGED = FixedPoint(max_sweeps=60, tolerance=0.0)
NAMES = ("input_h1", "h1_h2", "h2_output")
SEPARATE = "cell.feedback=separate"
NOISY = ("device.programming={model: gaussian, sigma_siemens: 4.0e-6}",)  # of a window of 100 uS


def mlp(widths: list[int] | None = None, gain: float = 0.9) -> EnergyNetwork:
    network = models.mlp(widths or [12, 10], channels=1, size=4, classes=3)
    network.dynamics = FixedPoint(max_sweeps=60, tolerance=0.0)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for coupling in network.coupling_table().values():
            coupling.initialise(gain, generator)
        for bias in network.biases.values():
            bias.fill_(0.3)
    return network


def compiled(*settings: str, network: EnergyNetwork | None = None, size: int = 32) -> mapping.Mapping:
    target = Target.load("ideal", (size, size), ["cell.headroom=2", *settings])
    return mapping.compile(network or mlp(), target)


def batch_for(network: EnergyNetwork, count: int = 8) -> tuple[Tensor, Tensor]:
    return images_for(network, count).abs_(), torch.arange(count) % network.classes


def true_gradient(
    network: EnergyNetwork, forward: dict[str, Tensor], transposed: dict[str, Tensor], x: Tensor, labels: Tensor
) -> Tensor:
    """dC/dW of one change that moves both matrices of a coupling alike, joined over the couplings of an mlp."""
    moves = {name: torch.zeros_like(weight, dtype=torch.float64).requires_grad_() for name, weight in forward.items()}
    there = {name: weight.double() + moves[name] for name, weight in forward.items()}
    back = {name: weight.double() + moves[name] for name, weight in transposed.items()}
    names = list(network.free)
    states = [torch.zeros(len(x), network.layers[name].size, dtype=torch.float64) for name in names]
    couplings = [edge.name for edge in network.edges]
    for _ in range(SWEEPS):
        before = [x.double().flatten(1), *states]
        states = []
        for number, name in enumerate(names):
            drive = network.biases[name].double() + before[number] @ there[couplings[number]].T
            if number + 1 < len(names):
                drive = drive + before[number + 2] @ back[couplings[number + 1]]
            states.append(drive.clamp(*network.layers[name].clip))
    loss = 0.5 * (states[-1] - F.one_hot(labels, states[-1].shape[1])).square().sum() / len(x)
    return torch.cat([grad.flatten() for grad in torch.autograd.grad(loss, list(moves.values()))])


def estimated(network: EnergyNetwork, estimator: Estimator, x: Tensor, labels: Tensor) -> Tensor:
    network.zero_grad(set_to_none=True)
    estimator(network, x, labels)
    found = [network.coupling(edge.name).get_parameter("weight").grad for edge in network.edges]
    return torch.cat([grad.flatten() for grad in found if grad is not None]).double()


def cosine(a: Tensor, b: Tensor) -> float:
    return float(a @ b / (a.norm() * b.norm()))


class TwoReads(StandIn):
    """One weight forward, another transposed."""

    def __init__(self, ideal: Dense, back: Tensor) -> None:
        super().__init__(ideal)
        self.back = StaticReads(ideal, back)

    def forward(self, pre: Tensor) -> Tensor:
        return self.ideal(pre)

    def transpose(self, post: Tensor) -> Tensor:
        return self.back.transpose(post)


def two_matrices(spread: float) -> tuple[EnergyNetwork, dict[str, Tensor], dict[str, Tensor]]:
    """A float64 network with a random relative error of every transposed weight, and both its matrices."""
    network = mlp().double()
    generator = torch.Generator().manual_seed(1)
    forward, transposed = {}, {}
    for edge in network.edges:
        coupling = network.coupling(edge.name)
        assert isinstance(coupling, Dense)
        forward[edge.name] = coupling.weight.detach().clone()
        noise = torch.randn(coupling.weight.shape, generator=generator, dtype=torch.float64)
        transposed[edge.name] = forward[edge.name] * (1.0 + spread * noise)
        network.couplings[edge.name] = TwoReads(coupling, transposed[edge.name]).double()
    network.dynamics = SETTLED
    return network, forward, transposed


def skew_of(network: EnergyNetwork, forward: dict[str, Tensor], transposed: dict[str, Tensor]) -> dict[str, Any]:
    return {
        name: StaticReads(network.coupling(name).ideal, forward[name] - transposed[name])  # type: ignore[arg-type]
        for name in NAMES[1:]
    }


@pytest.mark.parametrize("kind", ["symmetric", "one-sided", "time-matched"])
def test_corrected_phases_find_the_gradient_of_a_network_with_two_directions(kind: str) -> None:
    network, forward, transposed = two_matrices(1.0)
    x, labels = batch_for(network)
    truth = true_gradient(network, forward, transposed, x, labels)
    corrected = AdjointFixedPoint(max_sweeps=SWEEPS, tolerance=0.0, skew=skew_of(network, forward, transposed))

    def estimator(dynamics: FixedPoint) -> Estimator:
        if kind == "symmetric":
            return Symmetric(1e-3, dynamics)
        return OneSided(1e-4, dynamics, time_matched=kind == "time-matched")

    plain = estimated(network, estimator(SETTLED), x.double(), labels)
    right = estimated(network, estimator(corrected), x.double(), labels)
    assert cosine(plain, truth) < 0.99  # or the correction has nothing to show
    assert cosine(right, truth) > 0.99999
    assert float((right - truth).norm()) <= 2e-3 * float(truth.norm())


def test_a_smaller_nudge_does_not_cure_asymmetry() -> None:
    network, forward, transposed = two_matrices(0.5)
    x, labels = batch_for(network)
    truth = true_gradient(network, forward, transposed, x, labels)
    errors = [
        float((estimated(network, Symmetric(beta, SETTLED), x.double(), labels) - truth).norm())
        for beta in (1e-2, 1e-3, 1e-4)
    ]
    assert errors[2] > 0.02 * float(truth.norm())
    assert errors[2] == pytest.approx(errors[1], rel=1e-2)
    assert errors[1] == pytest.approx(errors[0], rel=5e-2)


def test_the_error_is_the_law_of_the_two_jacobians() -> None:
    # Error of the response: J^-T - J^-1 = J^-T (J - J^T) J^-1, with J written down as a matrix, sample by sample.
    network, forward, transposed = two_matrices(0.5)
    x, labels = (part[:4] for part in batch_for(network))
    x = x.double()
    corrected = AdjointFixedPoint(max_sweeps=SWEEPS, tolerance=0.0, skew=skew_of(network, forward, transposed))
    free = network.relax(x, dynamics=SETTLED).states
    beta = 1e-5
    responses = []
    for dynamics in (SETTLED, corrected):
        above, below = (
            network.relax(x, target=labels, beta=sign * beta, start=free, dynamics=dynamics).states for sign in (1, -1)
        )
        responses.append(torch.cat([(above[n] - below[n]).flatten(1) for n in network.free], 1) / (2.0 * beta))
    h, k = forward["h1_h2"].shape[1], forward["h1_h2"].shape[0]
    for sample in range(4):
        active = torch.cat(
            [
                (
                    (free[n][sample] > network.layers[n].clip[0]) & (free[n][sample] < network.layers[n].clip[1])
                ).flatten()
                for n in network.free
            ]
        ).double()
        jacobian = torch.zeros(len(active), len(active), dtype=torch.float64)
        jacobian[h : h + k, :h] = forward["h1_h2"]
        jacobian[:h, h : h + k] = transposed["h1_h2"].T
        jacobian[h + k :, h : h + k] = forward["h2_output"]
        jacobian[h : h + k, h + k :] = transposed["h2_output"].T
        on = active.bool()
        jacobian = (jacobian - torch.eye(len(active), dtype=torch.float64))[on][:, on]
        slope = torch.cat([torch.zeros(h + k, dtype=torch.float64), free["output"][sample]])
        slope[h + k + labels[sample]] -= 1.0
        slope = slope[on]
        inverse = torch.linalg.inv(jacobian)
        law = inverse.T @ (jacobian - jacobian.T) @ inverse @ slope
        found = (responses[1] - responses[0])[sample][on]
        assert float(law.norm()) > 1e-2 * float((inverse @ slope).norm())
        assert float((found - law).norm()) <= 1e-4 * float(law.norm())


def chip_truth(chip: Chip, x: Tensor, labels: Tensor) -> Tensor:
    weights = {
        way: {name: chip.mapped(name).effective_weight(0, way) for name in NAMES}  # type: ignore[arg-type]
        for way in ("forward", "transposed")
    }
    return true_gradient(chip, weights["forward"], weights["transposed"], x, labels)


def test_a_chip_with_separate_devices_is_corrected_by_what_it_knows_and_by_what_it_reads() -> None:
    mapped = compiled(SEPARATE, "device.programming={model: gaussian, sigma_siemens: 1.5e-5}")
    chip = Chip(mapped, seed=2)
    x, labels = batch_for(chip)
    truth = chip_truth(chip, x, labels)
    generator = torch.Generator().manual_seed(0)
    cosines = [
        cosine(estimated(chip, Symmetric(0.02, dynamics), x, labels), truth)
        for dynamics in (
            NUDGED,
            AdjointFixedPoint(max_sweeps=60, tolerance=0.0, skew=known_skew(chip)),
            AdjointFixedPoint(max_sweeps=60, tolerance=0.0, skew=measured_skew(chip, 100, generator)),
        )
    ]
    assert cosines[0] < 0.9
    assert cosines[1] > 0.99999
    assert cosines[2] == pytest.approx(cosines[1], abs=1e-5)


def test_gains_of_converters_are_found_by_reading() -> None:
    mapped = compiled("adc.bits=16", "transposed_adc={bits: 16, gain_sigma: 0.3, offset_sigma_lsb: 200}", size=10)
    chip = Chip(mapped, seed=4)
    assert any(len(matrix.column_spans) > 1 for matrix in mapped.matrices.values())
    known, measured = known_skew(chip), measured_skew(chip, 400, torch.Generator().manual_seed(0))
    for name in NAMES[1:]:
        there, reads = known[name], measured[name]
        assert isinstance(there, StaticReads)
        assert isinstance(reads, StaticReads)
        truth = there.reads.effective_weight()
        found = reads.reads.effective_weight()
        # Both directions of the devices are alike: what differs is the gains, which effective_weight leaves out.
        assert torch.equal(chip.mapped(name).effective_weight(), chip.mapped(name).effective_weight(0, "transposed"))
        assert truth.norm() > 0.1 * chip.mapped(name).effective_weight().norm()
        assert (found - truth).norm() <= 5e-3 * truth.norm()


def test_reads_of_a_directed_network_are_those_of_the_chip() -> None:
    errors = "{bits: 16, gain_sigma: 0.2, offset_sigma_lsb: 300}"
    mapped = compiled(SEPARATE, *NOISY, f"adc={errors}", f"transposed_adc={errors}", size=10)
    chip = Chip(mapped, seed=4)
    twin = directed_network(chip)
    generator = torch.Generator().manual_seed(0)
    for edge in chip.edges:
        for direction, layer in (("forward", edge.pre), ("transposed", edge.post)):
            states = torch.rand(50, *chip.layers[layer].shape, generator=generator).mul_(0.5)
            reads = [
                n.coupling(edge.name)(states) if direction == "forward" else n.coupling(edge.name).transpose(states)
                for n in (chip, twin)
            ]
            assert (reads[0] - reads[1]).norm() <= 2e-3 * reads[0].norm()


def test_the_forward_devices_are_the_same_with_and_without_a_second_set() -> None:
    noisy = ("device=rram-hfo2", "device.stuck.any=0.05")
    settings = {"same": compiled(*noisy), "separate": compiled(SEPARATE, *noisy)}
    made = {
        kind: manufacture(mapped, 100.0, Streams.of(3, 0).start(), Fabrication()) for kind, mapped in settings.items()
    }
    count = settings["same"].crossbars
    assert settings["separate"].crossbars == count  # the forward set alone
    assert made["separate"].conductance.shape[0] == 2 * count
    first, second = made["separate"].conductance.split(count)
    assert torch.equal(first, made["same"].conductance)
    assert not torch.equal(second, first)
    stuck = made["separate"].stuck
    assert stuck is not None
    assert torch.equal(made["separate"].conductance[stuck.devices], stuck.conductance[stuck.devices])
    assert float(stuck.devices[count:].float().mean()) == pytest.approx(0.05, abs=0.02)
    chips = {kind: Chip(mapped, seed=3, age_s=100.0) for kind, mapped in settings.items()}
    for name in NAMES:
        there, back = (
            chips["separate"].mapped(name).effective_weight(0, way)  # type: ignore[arg-type]
            for way in ("forward", "transposed")
        )
        assert torch.equal(there, chips["same"].mapped(name).effective_weight())
        lowering = settings["separate"].matrices[name].lowering
        expected = settings["separate"].encoding(name).decode(settings["separate"].matrix_of(name, second))
        assert torch.equal(back, lowering.to_weight(expected))
    assert chips["same"].asymmetry("h1_h2") == 0.0
    assert chips["separate"].asymmetry("h1_h2") > 0.0
    assert chips["separate"].programming_events.programmed_devices == 2 * count * 32 * 32


@pytest.mark.parametrize("wired", [False, True], ids=["ideal wires", "wires"])
@pytest.mark.parametrize("noise", ["fresh", "phase"])
def test_noise_and_wires_of_each_set_are_its_own(wired: bool, noise: str) -> None:
    wires = (
        "wires={row_resistance_ohm: 5, column_resistance_ohm: 5, driver_resistance_ohm: 50, sense_resistance_ohm: 9}"
    )
    common = ("device.programming={model: exact}", "device.read_noise={model: relative, fraction: 0.05}")
    own = (wires,) if wired else ()
    mapped = compiled(SEPARATE, f"read.noise={noise}", *common, *own)
    same = compiled(f"read.noise={noise}", *common, *own)
    chip, reference = Chip(mapped, seed=0), Chip(same, seed=0)
    states = torch.full((1, 10), 0.5)
    answers: dict[str, list[Tensor]] = {"separate": [], "same": []}
    deviations: list[tuple[Tensor, Tensor]] = []
    coupling, other = chip.mapped("h1_h2"), reference.mapped("h1_h2")
    for way in ("forward", "transposed"):
        # Exact writes: both sets are alike, so what each direction sees is what it sees of one set.
        assert torch.equal(coupling.effective_weight(0, way), other.effective_weight(0, way))  # type: ignore[arg-type]
    for _ in range(300):
        for each, kind in ((coupling, "separate"), (other, "same")):
            each.arrays[0].begin_phase()
            answers[kind].append(each.transpose(states))
        if noise == "phase":
            unit = coupling(torch.eye(12)), coupling.transpose(torch.eye(10)).T
            deviations.append((unit[0].T.flatten(), unit[1].T.flatten()))
    spreads = [torch.cat(answers[kind]).std(0) for kind in ("separate", "same")]
    assert float((spreads[0] / spreads[1]).mean()) == pytest.approx(1.0, abs=0.1)
    if deviations:
        there, back = (torch.stack([pair[way] for pair in deviations]) for way in (0, 1))
        there, back = there - there.mean(0), back - back.mean(0)
        assert abs(float((there * back).sum() / (there.norm() * back.norm()))) < 0.05


EXACT_STEPS = "device.update={model: constant-step, step: 0.002, w_max: 1.0, w_min: -1.0}"


@pytest.mark.parametrize("rule", ["pulses", "verify"])
def test_both_sets_learn_from_where_they_are(rule: str) -> None:
    mapped = compiled(SEPARATE, EXACT_STEPS, "cell.pair=middle", *NOISY)
    # Writes hit exactly from here on; the devices differ as they were programmed.
    chip = Chip(mapped, seed=1)
    learner = Learner(chip, Pulsed() if rule == "pulses" else Verified(0.0), Symmetric(0.3, NUDGED), rate=0.3)
    if rule == "verify":
        learner.devices.model = type(learner.devices.model)(Target.load("ideal").device)
    start = learner.devices.conductance.clone()
    before = [{name: learner.devices.weights(name, number) for name in NAMES} for number in (0, 1)]
    x, labels = batch_for(chip)
    learner.step(x, labels)
    touched = learner.devices.pulses + learner.devices.writes
    there, back = touched.split(mapped.crossbars)
    assert torch.equal(there, back)
    assert bool(there.any())
    assert torch.equal(learner.devices.conductance[touched == 0], start[touched == 0])
    for name in NAMES:
        moved = [learner.devices.weights(name, number) - before[number][name] for number in (0, 1)]
        assert moved[0].norm() > 0.0
        assert (moved[0] - moved[1]).norm() <= 1e-3 * moved[0].norm()
        lowering = mapped.matrices[name].lowering
        for number, way in enumerate(("forward", "transposed")):  # and the chip reads what was learned
            expected = lowering.to_weight(learner.devices.weights(name, number))
            assert torch.allclose(chip.mapped(name).effective_weight(0, way), expected, atol=1e-6)  # type: ignore[arg-type]


def test_devices_of_each_set_answer_pulses_in_their_own_way() -> None:
    mapped = compiled(SEPARATE, "device=ecram", "cell.pair=middle")
    learner = Learner(Chip(mapped, seed=1), Pulsed(), Symmetric(0.3, NUDGED), rate=0.3)
    before = learner.devices.conductance.clone()
    learner.step(*batch_for(learner.chip))
    pulses = learner.devices.pulses.split(mapped.crossbars)
    moved = (learner.devices.conductance - before).split(mapped.crossbars)
    assert torch.equal(*pulses)
    assert not torch.equal(*moved)
    both = cosine(moved[0].flatten().double(), moved[1].flatten().double())
    assert 0.5 < both < 0.999


def test_homeostasis_brings_both_sets_to_their_mean_and_no_further_than_asked() -> None:
    mapped = compiled(SEPARATE, "cell.pair=middle", *NOISY)
    chip = Chip(mapped, seed=1)
    devices = ChipDevices(chip)
    devices.model = type(devices.model)(Target.load("ideal").device)  # writes that hit
    before = {name: [devices.weights(name, number) for number in (0, 1)] for name in NAMES}
    rule = Homeostasis(Verified(), strength=0.25, threshold=0.02)
    assert rule.pull(devices)
    for name in NAMES:
        there, back = before[name]
        far = (there - back).abs() > 0.02 * mapped.encoding(name).largest
        assert 0 < int(far.sum()) < far.numel()
        mean = 0.5 * (there + back)
        after = [devices.weights(name, number) for number in (0, 1)]
        assert torch.allclose((after[0] - after[1])[far], 0.5 * (there - back)[far], atol=1e-5)
        assert torch.allclose((0.5 * (after[0] + after[1])), mean, atol=1e-5)
        assert torch.equal(after[0][~far], there[~far])
        assert torch.equal(after[1][~far], back[~far])
    assert Homeostasis(Verified(), strength=0.5, threshold=0.0).pull(devices)
    devices.connect()
    assert max(chip.asymmetry(name) for name in NAMES) < 1e-5


def test_homeostasis_pulls_every_so_many_batches() -> None:
    mapped = compiled(SEPARATE, "cell.pair=middle", *NOISY)
    rule = Homeostasis(Verified(threshold=10.0), every=3)  # a threshold that no change passes
    learner = Learner(Chip(mapped, seed=1), rule, Symmetric(0.3, NUDGED), rate=0.1)
    assert [learner.step(*batch_for(learner.chip)).moved for _ in range(6)] == [False, False, True, False, False, True]
    assert rule.pulled > 0


def test_products_of_a_corrected_chip_go_to_both_sets() -> None:
    mapped = compiled(SEPARATE, *NOISY)
    chip = Chip(mapped, seed=2)
    x, labels = batch_for(chip)
    corrected = AdjointFixedPoint(max_sweeps=60, tolerance=0.0, skew=known_skew(chip))
    estimate = Symmetric(0.3, corrected)(chip, x, labels)
    for product in products(chip, estimate, labels):
        assert product.matrix in mapped.matrices


def test_what_cannot_be_corrected_says_why() -> None:
    layers = {"x": Layer((1, 4, 4)), "c": Layer((2, 4, 4)), "p": Layer((2, 2, 2)), "output": Layer((3,))}
    edges = [Edge("a", "x", "c"), Edge("b", "c", "p", MaxPool2d(2, 2)), Edge("o", "p", "output")]
    couplings = {
        "a": Conv2d((1, 4, 4), 2, (3, 3), (1, 1), (1, 1)),
        "b": Conv2d((2, 4, 4), 2, (3, 3), (1, 1), (1, 1)),
        "o": Dense((2, 2, 2), (3,)),
    }
    network = EnergyNetwork(layers, ["x"], edges, couplings, SquaredError("output"), NUDGED)
    x, labels = torch.zeros(2, 1, 4, 4), torch.tensor([0, 1])
    for skew, match in (({"b": couplings["b"]}, "behind max pooling"), ({"z": couplings["o"]}, "no edge")):
        with pytest.raises(ValueError, match=match):
            Symmetric(0.1, AdjointFixedPoint(skew=skew))(network, x, labels)
    chip = Chip(compiled(network=network))
    with pytest.raises(ValueError, match="b is a convolution"):
        measured_skew(chip, 1000, torch.Generator())
    plain = Chip(compiled())
    with pytest.raises(ValueError, match="20 probes for 12 lines"):
        measured_skew(plain, 20, torch.Generator())
    with pytest.raises(ValueError, match="feedback same: expected separate"):
        Homeostasis(Verified()).pull(ChipDevices(plain))
    for settings, match in (
        ({"strength": 0.0}, "strength 0"),
        ({"threshold": -1.0}, "threshold -1"),
        ({"every": 0}, "every 0"),
    ):
        with pytest.raises(ValueError, match=match):
            Homeostasis(Verified(), **settings)  # type: ignore[arg-type]
    assert torch.equal(
        seen_weight(plain.mapped("h1_h2").arrays[0], "forward"), plain.mapped("h1_h2").effective_weight()
    )
