# amaranth: UnusedElaboratable=no
"""Truth: ``sim`` in the order of the schedule, for whole EP steps of the core, clock by clock, with read noise on."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
import torch
from core_bench import CoreBench, Run

import mapping
from eqprop import Conv2d, Coupling, Dense, Edge, EnergyNetwork, FixedPoint, Layer, SquaredError
from hw.link import Linked, link
from mapping import Target
from sim import Chip
from tb.arrays import Arrays
from tb.reference import Reference, random_samples

# Nudged phases end before they forget where they began, and are shorter than the free one.
BETA, SWEEPS = 0.75, (3, 1)
# Small crossbars, so that everything has several tiles, and tiles share words; coarse converters, so that codes clip.
SETTINGS = (
    "controller.lanes=2", "controller.state_bits=12", "dac.bits=5", "adc.bits=6", "adc.full_scale_ampere=2e-5",
)  # fmt: skip


def network() -> EnergyNetwork:
    """Convolutions with strides and padding and a skip, signed and unsigned layers, a stiff one, dense on an image."""
    couplings: dict[str, Coupling] = {
        "x_a": Conv2d((1, 3, 3), 3, 3, 1, 1),
        "a_b": Conv2d((3, 3, 3), 5, (3, 2), (2, 1), (1, 0)),
        "x_b": Conv2d((1, 3, 3), 5, (1, 2), (2, 1)),
        "a_c": Dense((3, 3, 3), (3,)),
        "b_output": Dense((5, 2, 2), (2,)),  # a beat a tile: the same sum in every clock
    }
    for number, coupling in enumerate(couplings.values()):
        coupling.initialise(1.0, torch.Generator().manual_seed(number))
    layers = {
        "x": Layer((1, 3, 3), (-1.0, 1.0)),
        "a": Layer((3, 3, 3), (0.0, 1.5), stiffness=1.25),
        "b": Layer((5, 2, 2), (-1.0, 1.0)),
        "c": Layer((3,), (0.0, 1.0)),  # a third read in a round
        "output": Layer((2,)),
    }
    made = EnergyNetwork(
        layers, ["x"], [Edge(name, *name.split("_")) for name in couplings], couplings, SquaredError("output"),
        FixedPoint(max_sweeps=2, tolerance=0.0),
    )  # fmt: skip
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for name in made.free:
            made.biases[name].add_(torch.rand(made.biases[name].shape, generator=generator) * 0.3)
    return made


@lru_cache
def compiled() -> mapping.Mapping:
    return mapping.compile(network(), Target.load("rram-hfo2", (5, 12), SETTINGS))


@lru_cache
def ran() -> tuple[Linked, Run, list[dict[str, np.ndarray]]]:
    """One EP step of the core, and what the simulator says."""
    made = compiled()
    linked = link(made)
    bench = CoreBench(made)
    x, label = next(random_samples(made, 1, seed=4))
    codes = {name: bench.codes(name).encode_(value.clone()).numpy().astype(np.int64) for name, value in x.items()}
    run = bench.run(Arrays(Chip(made, seed=0), linked), codes, label, BETA, SWEEPS)
    expected = Reference(Chip(made, seed=0), BETA, SWEEPS).step(x, label).phases
    return linked, run, expected


def test_the_network_uses_what_can_go_wrong() -> None:
    made, linked = compiled(), link(compiled())
    assert any(row["drive"]["top"] < 0 for row in linked.reads), "no padding"
    assert any(beat.turn_last and not beat.last for beat in linked.sense), "no turns"
    assert any(row["feed_signed"] for row in linked.reads)
    assert not all(row["feed_signed"] for row in linked.reads)
    assert len({len(made.matrices[name].tiles) for name in made.matrices}) > 1
    assert any(row["multiplier"] != 1 or row["shift"] for row in linked.layers), "no stiffness"
    assert {row["has_constant"] for row in linked.layers} == {0, 1}


@pytest.mark.parametrize("phase", [0, 1, 2], ids=["free", "plus", "minus"])
def test_states_after_every_phase_are_the_simulator_s(phase: int) -> None:
    _, run, expected = ran()
    wrong = {name: int((run.phases[phase][name] != states).sum()) for name, states in expected[phase].items()}
    assert wrong == dict.fromkeys(wrong, 0)


def test_phases_differ_and_states_are_not_all_at_a_limit() -> None:
    _, _, expected = ran()
    assert any((expected[1][name] != expected[2][name]).any() for name in expected[1])
    for name, states in expected[0].items():
        assert len(np.unique(states)) > min(2, states.size - 1), name


def test_lines_are_driven_and_sensed_as_the_mapping_says() -> None:
    linked, run, _ = ran()
    assert run.reads == sum(
        {0: 1, 1: SWEEPS[0], 2: SWEEPS[1]}[inside] for inside, word in looped(linked) if word == "READ"
    )


def looped(linked: Linked) -> list[tuple[int, str]]:
    """Names of the program's words, each with the flags of the loop around it, 0 without one."""
    found, inside = [], 0
    for word in linked.program:
        if word.opcode.name == "LOOP":
            inside = word.flags
        elif word.opcode.name == "END":
            inside = 0
        found.append((inside, word.opcode.name))
    return found
