"""Truth: the exact network's gradient, and for drift that of the weights at the nudged phases' mean time.

The constants are of one small network; benchmarks/gradient_laws.py has more.
"""

import math

import pytest
import torch

import mapping
from eqprop import EnergyNetwork, FixedPoint, models
from eqprop.estimators import Symmetric
from eqprop.estimators.symmetric import PhaseOrder
from mapping import Target
from sim import Chip
from sim.fidelity import Fidelity, compared, gradients, static_network
from sim.learning import ChipDevices
from tests.mapping.graphs import images_for

FREE_SWEEPS, NUDGED_SWEEPS = 30, 20
NUDGED = FixedPoint(max_sweeps=NUDGED_SWEEPS, tolerance=0.0)
# Every conductance falls by a share of 1 of what it was in 1 s, all the time.
LINEAR = [
    "device.drift={model: relaxation, interpolate: linear, ages_s: [0.0, 1.0], "
    "mean_siemens: [0.0, [0.0, -100.0e-6]], sigma_siemens: [0.0, 0.0]}",
    "device.reference_time_s=1.0e-12",
]


def mlp() -> EnergyNetwork:
    network = models.mlp([12], channels=1, size=4, classes=3)
    network.dynamics = FixedPoint(max_sweeps=FREE_SWEEPS, tolerance=0.0)
    return network


def smooth() -> EnergyNetwork:
    """Without a state at its clip range: where one is, small changes do not add up to a power law."""
    network = models.mlp([12], channels=1, size=4, classes=3, activation="linear")
    network.dynamics = FixedPoint(max_sweeps=FREE_SWEEPS, tolerance=0.0)
    return network


def compiled(*settings: str, preset: str = "ideal", network: EnergyNetwork | None = None) -> mapping.Mapping:
    return mapping.compile(network or mlp(), Target.load(preset, (24, 24), settings))


def perpendicular(row: Fidelity) -> float:
    """The part of the error that turns the gradient, over the true gradient: the tangent of a small angle."""
    return row.norm_ratio * math.sqrt(max(0.0, 1.0 - row.cosine**2))


def slope(x: list[float], y: list[float]) -> float:
    """Of a straight line through the logarithms."""
    logs = torch.tensor([x, y], dtype=torch.float64).log()
    centred = logs - logs.mean(1, keepdim=True)
    return float((centred[0] * centred[1]).sum() / centred[0].square().sum())


def seconds(mapped: mapping.Mapping, free: int, nudged: float) -> float:
    """Free phases and nudged ones, by the controller's clocks."""
    timing = mapped.timing
    phases = {"free": FREE_SWEEPS, "nudged": NUDGED_SWEEPS}
    once = {
        name: (timing.prologue_clocks + sweeps * timing.sweep_clocks(name)) / timing.target.controller.clock_hz  # type: ignore[arg-type]
        for name, sweeps in phases.items()
    }
    return free * once["free"] + nudged * once["nudged"]


def test_noise_between_phases_turns_the_gradient_by_its_share_over_beta() -> None:
    """Measured: 1.0 to 1.1 share / beta for this network (root mean square of 8 draws)."""
    network = mlp()
    x, labels = images_for(network, 16).abs_(), torch.arange(16) % 3
    ratios, turned = [], []
    for share in (0.0003, 0.003):
        settings = ["read.noise=phase", f"device.read_noise={{model: relative, fraction: {share}}}"]
        chip = Chip(compiled(*settings), seed=1)
        for beta in (0.05, 0.2):
            estimator = Symmetric(beta, NUDGED)
            truth = gradients(network, estimator, x, labels)
            rows = [compared(gradients(chip, estimator, x, labels), truth)["all"] for _ in range(8)]
            ratios.append(share / beta)
            turned.append(math.sqrt(sum(perpendicular(row) ** 2 for row in rows) / len(rows)))
    assert slope(ratios, turned) == pytest.approx(1.0, abs=0.08)
    for ratio, found in zip(ratios, turned, strict=True):
        assert 0.7 < found / ratio < 1.5


def drifted(order: PhaseOrder, share: float, beta: float) -> float:
    """How far drift by ``share`` a nudged phase turns the gradient from that of the weights at the mean time."""
    mapped = compiled(*LINEAR, network=smooth())
    speed = share / seconds(mapped, 0, 1)
    chip = Chip(mapped, drifting=True, drift_speed=speed)
    x, labels = images_for(chip, 16).abs_(), torch.arange(16) % 3
    found = gradients(chip, Symmetric(beta, NUDGED, order), x, labels)
    assert chip.age_s == pytest.approx(speed * seconds(mapped, 1, len(order)))
    middle = Chip(mapped, age_s=speed * seconds(mapped, 1, (len(order) - 1) / 2))
    return perpendicular(compared(found, gradients(static_network(middle), Symmetric(beta, NUDGED), x, labels))["all"])


def test_drift_between_phases_cancels_in_the_order_that_mirrors_itself() -> None:
    """``+-``: share / beta. ``+--+``: share^2 / beta. Measured for this network: 0.75 and 0.76 times that."""
    shares = [0.003, 0.01, 0.03]
    plain, mirrored = ([drifted(order, share, 0.1) for share in shares] for order in ("+-", "+--+"))
    assert slope(shares, plain) == pytest.approx(1.0, abs=0.1)
    assert slope(shares, mirrored) == pytest.approx(2.0, abs=0.15)
    assert plain[1] > 30 * mirrored[1]
    assert drifted("+-", 0.01, 0.05) == pytest.approx(2 * plain[1], rel=0.1)
    assert drifted("+--+", 0.01, 0.05) == pytest.approx(2 * mirrored[1], rel=0.2)


def test_ages_add_up_by_the_sweeps_really_made() -> None:
    mapped = compiled(preset="pcm-gst")
    chip = Chip(mapped, age_s=5.0, drifting=True, drift_speed=1e4)
    x = images_for(chip, 2)
    free = chip.relax(x, dynamics=FixedPoint(max_sweeps=50, tolerance=1e-2))
    timing = mapped.timing
    assert free.sweeps < 50
    expected = 5.0 + 1e4 * timing.seconds(timing.prologue_clocks + free.sweeps * timing.sweep_clocks("free"))
    assert chip.age_s == pytest.approx(expected)
    fresh = Chip(mapped, age_s=5.0).coupling("h1_output").effective_weight()
    older = Chip(mapped, age_s=expected).coupling("h1_output").effective_weight()
    assert not torch.equal(fresh, older)
    assert torch.equal(chip.coupling("h1_output").effective_weight(), fresh)  # as the phase had them
    chip.relax(x, target=torch.tensor([0, 1]), beta=0.1, start=free.states, dynamics=NUDGED)
    assert torch.equal(chip.coupling("h1_output").effective_weight(), older)
    expected += 1e4 * timing.seconds(timing.prologue_clocks + NUDGED_SWEEPS * timing.sweep_clocks("nudged"))
    assert chip.age_s == pytest.approx(expected)
    chip.set_age(1.0)  # the clock is set
    assert chip.age_s == 1.0


def test_nothing_changes_where_nothing_drifts() -> None:
    x, labels = images_for(mlp(), 4).abs_(), torch.tensor([0, 1, 2, 0])
    settings = ["read.noise=phase", "device.read_noise={model: relative, fraction: 0.01}", "adc.bits=8", "dac.bits=8"]
    mapped = compiled(*settings, "device.programming={model: gaussian, sigma_siemens: [3.0e-6]}")
    still, running = Chip(mapped, seed=1), Chip(mapped, seed=1, drifting=True, drift_speed=1e6)
    estimator = Symmetric(0.1, NUDGED, "+--+")
    expected, found = (gradients(chip, estimator, x, labels) for chip in (still, running))
    assert all(torch.equal(found[name], gradient) for name, gradient in expected.items())
    assert running.age_s > still.age_s == 0.0
    assert running.events().as_dict() == pytest.approx(still.events().as_dict())
    for way in ("forward", "transposed"):
        assert running.conversions("h1_output", way).made == still.conversions("h1_output", way).made > 0  # type: ignore[arg-type]


def test_one_seed_drifts_one_way() -> None:
    one, other = (Chip(compiled(preset="pcm-gst"), seed=3, drifting=True, drift_speed=1e6) for _ in range(2))
    x = images_for(one, 2)
    for _ in range(2):
        assert torch.equal(one.relax(x).states["h1"], other.relax(x).states["h1"])


def test_a_chip_that_drifts_cannot_be_given_learned_devices() -> None:
    chip = Chip(compiled("device.update=rpu-ideal"), drifting=True)
    devices = ChipDevices(chip)
    with pytest.raises(ValueError, match="drifting"):
        devices.connect()


@pytest.mark.parametrize("speed", [-1.0, math.inf, math.nan])
def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="drift_speed"):
        Chip(compiled(), drifting=True, drift_speed=speed)
