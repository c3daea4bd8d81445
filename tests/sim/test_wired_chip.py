"""Truth: every crossbar of a chip solved by itself with sim.wires, and what reciprocity promises."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

import mapping
from eqprop import models
from mapping.hardware import Direction
from sim import Chip
from sim.wire_solver import solves
from sim.wires import effective_conductance
from tests.mapping.graphs import images_for

WIRES = ("wires.row_resistance_ohm=40", "wires.column_resistance_ohm=60")
NOISELESS = "device.read_noise={model: none}"
DAY = 86400.0


def compiled(*overrides: str, preset: str = "pcm-gst") -> mapping.Mapping:
    network = models.build("hopfield-resnet", classes=3, size=6, width=0.1)
    network.dynamics = type(network.dynamics)(max_sweeps=6, tolerance=0.0)
    return mapping.compile(network, mapping.Target.load(preset, (24, 20), overrides))


def terminal_weights(mapped: mapping.Mapping, name: str, direction: Direction, **ends: str) -> Tensor:
    """The weights that a coupling's crossbars of exact devices show, each crossbar solved alone."""
    matrix, wires, encoding = mapped.matrices[name], mapped.target.wires, mapped.encoding(name)
    seen = [
        effective_conductance(
            crossbar.double(),
            row_resistance_ohm=wires.row_resistance_ohm,
            column_resistance_ohm=wires.column_resistance_ohm,
            driver_resistance_ohm=wires.driver_resistance_ohm,
            sense_resistance_ohm=wires.sense_resistance_ohm,
            direction=direction,
            **ends,  # type: ignore[arg-type]
        )
        for crossbar in mapped.conductances
    ]
    gathered = matrix.replicas[0].gather(torch.stack(seen), encoding.devices_per_weight)
    return matrix.lowering.to_weight(encoding.decode(gathered))


@pytest.mark.parametrize("encoding", ["differential", "offset"])
def test_reads_are_those_of_the_solved_crossbars(encoding: str) -> None:
    mapped = compiled(*WIRES, "wires.driver_resistance_ohm=100", f"cell.encoding={encoding}", preset="ideal")
    chip = Chip(mapped)
    for name, coupling in mapped.network.coupling_table().items():
        for direction in ("forward", "transposed"):
            expected = terminal_weights(mapped, name, direction)  # type: ignore[arg-type]
            found = chip.mapped(name).effective_weight(0, direction)  # type: ignore[arg-type]
            torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)
            lost = (expected - coupling.effective_weight()).norm() / expected.norm()
            assert lost > 0.003
        pre = torch.randn(2, *coupling.pre_shape, generator=torch.Generator().manual_seed(0))
        ideal = type(coupling).__new__(type(coupling))  # the same coupling with the weights that terminals show
        ideal.__dict__ = coupling.__dict__.copy()
        ideal._parameters = {"weight": torch.nn.Parameter(terminal_weights(mapped, name, "forward").float())}
        torch.testing.assert_close(chip.coupling(name).forward(pre), ideal.forward(pre).detach(), rtol=1e-3, atol=1e-4)


def test_the_same_ends_keep_both_directions_the_exact_transpose() -> None:
    chip = Chip(compiled(*WIRES, "wires.driver_resistance_ohm=30", "wires.sense_resistance_ohm=30", NOISELESS))
    assert all(chip.asymmetry(name) == 0.0 for name in chip.mapping.matrices)


@pytest.mark.parametrize(
    "setting",
    ["wires.sense_resistance_ohm=300", "wires.transposed_driven_end=far", "wires.transposed_sensed_end=far"],
)
def test_other_ends_or_terminals_make_them_differ(setting: str) -> None:
    chip = Chip(compiled(*WIRES, setting, NOISELESS))
    differences = [chip.asymmetry(name) for name in chip.mapping.matrices]
    assert max(differences) > 1e-3
    for name in chip.mapping.matrices:
        forward, transposed = (chip.mapped(name).effective_weight(0, way) for way in ("forward", "transposed"))  # type: ignore[arg-type]
        assert chip.asymmetry(name) == pytest.approx(float((forward - transposed).norm() / forward.norm()))


def test_far_ends_are_the_ones_that_were_asked_for() -> None:
    mapped = compiled(*WIRES, "wires.transposed_driven_end=far", "wires.transposed_sensed_end=far", preset="ideal")
    chip = Chip(mapped)
    for name in mapped.matrices:
        expected = terminal_weights(mapped, name, "transposed", driven_end="far", sensed_end="far")
        found = chip.mapped(name).effective_weight(0, "transposed")
        torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)


def test_solved_wires_are_found_again(tmp_path: Path) -> None:
    mapped = compiled(*WIRES)
    x = images_for(mapped.network)
    counts: list[list[int]] = [[], []]
    states = []
    for counted in counts:
        chip = Chip(mapped, seed=4, wire_cache=tmp_path, on_solved=counted.append)
        states.append(chip.relax(x).states)
    expected = solves(mapped.target.wires, noisy=True) * mapped.crossbars
    assert sum(counts[0]) == sum(counts[1]) == expected
    assert len(counts[1]) == 1  # all at once: nothing was solved
    assert len(list(tmp_path.iterdir())) == 1
    assert all(torch.equal(state, states[1][name]) for name, state in states[0].items())


def test_a_damaged_solution_is_solved_again(tmp_path: Path) -> None:
    mapped = compiled(*WIRES)
    first = Chip(mapped, wire_cache=tmp_path)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:40])
    second = Chip(mapped, wire_cache=tmp_path)
    for name in mapped.matrices:
        assert torch.equal(*(chip.mapped(name).effective_weight() for chip in (first, second)))


def test_other_devices_or_wires_are_other_solutions(tmp_path: Path) -> None:
    for overrides, seed in ((WIRES, 0), (WIRES, 1), ((*WIRES, "wires.sense_resistance_ohm=1"), 0)):
        Chip(compiled(*overrides), seed=seed, wire_cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def test_little_drift_keeps_the_solution_and_says_how_wrong_it_can_be() -> None:
    counted: list[int] = []
    mapped = compiled(*WIRES, NOISELESS, "wires.keep_within=0.01")
    chip = Chip(mapped, on_solved=counted.append)
    solved, before = sum(counted), weights(chip)
    assert chip.wire_error_bound == 0.0
    chip.set_age(0.5)  # 20 s were the reference: 2.5 % later, exponents of at most 0.3 move devices by less than 1 %
    assert sum(counted) == solved
    assert 0.0 < chip.wire_error_bound < 0.2
    truth = Chip(mapped, age_s=0.5)
    for name, kept in weights(chip).items():
        assert torch.equal(kept, before[name])
        assert (kept - weights(truth)[name]).norm() <= chip.wire_error_bound * truth_norm(truth, name)
    chip.set_age(DAY)
    assert sum(counted) == 2 * solved
    fresh = weights(Chip(mapped, age_s=DAY))
    assert all(torch.equal(weight, fresh[name]) for name, weight in weights(chip).items())


def test_a_chip_set_to_an_age_is_the_chip_made_at_that_age() -> None:
    mapped = compiled("adc.gain_sigma=0.02", "device.stuck.any=0.01")
    chip = Chip(mapped, seed=3, chips=2)
    chip.set_age(DAY)
    other = Chip(mapped, seed=3, chips=2, age_s=DAY)
    assert chip.age_s == DAY
    for name in mapped.matrices:
        for number in (0, 1):
            found, expected = (made.mapped(name).arrays[number] for made in (chip, other))
            assert torch.equal(found.effective_weight(), expected.effective_weight())
            gains = [array.periphery["forward"].digitiser.gains for array in (found, expected)]  # type: ignore[union-attr]
            assert torch.equal(*gains)
    with pytest.raises(ValueError, match="expected seconds >= 0"):
        chip.set_age(-1.0)


def weights(chip: Chip) -> dict[str, Tensor]:
    return {name: chip.mapped(name).effective_weight() for name in chip.mapping.matrices}


def truth_norm(chip: Chip, name: str) -> float:
    """The norm that the bound is a fraction of: all the conductances, in weight units."""
    conductance = chip.mapped(name).arrays[0].lines["forward"].conductance
    return float(conductance.norm()) * 2**0.5 * chip.mapping.encoding(name).weight_per_siemens
