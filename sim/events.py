"""Events: counted while a chip simulates, or expected from mapping and schedule alone.

Two kinds of numbers. What depends on states (driven lines, V^2, joules in devices, conversions) is counted where reads
are simulated (``sim/drives.py``, ``sim/read_path.py``). What a read, sweep or phase always takes (codes to add, bytes,
clocks) is a formula, times how often it happened. docs/costs.md has all formulas.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from collections.abc import Mapping as Table
from dataclasses import dataclass, field
from typing import Literal

from eqprop import CrossEntropy
from mapping import Mapping
from mapping.device import WriteVerify
from mapping.hardware import DIRECTIONS, Direction
from mapping.memory import WORD_BYTES, state_bytes
from mapping.schedule import Read
from mapping.timing import Phase
from sim.counts import Events, total
from sim.drives import Seen
from sim.fabrication import Fabrication
from sim.read_events import Drive, ReadOf

__all__ = ["DIGITAL", "Drive", "Events", "Phases", "Work", "expected", "of_coupling", "programming_events", "total"]

Work = Literal["inference", "ep-step"]

DIGITAL = "(digital)"  # events of no coupling; parentheses, so that no coupling has this name


@dataclass
class Phases:
    """Phases that samples went through.

    Attributes:
        phases, sweeps: samples' phases and sweeps of each kind.
        answers: predictions read after a free phase.
    """

    phases: Counter[Phase] = field(default_factory=Counter)
    sweeps: Counter[Phase] = field(default_factory=Counter)
    answers: int = 0

    def relaxed(self, phase: Phase, samples: int, sweeps: int) -> None:
        """Count one relaxation of a batch."""
        self.phases[phase] += samples
        self.sweeps[phase] += samples * sweeps

    def events(self, mapping: Mapping) -> Events:
        """What the digital side did in them."""
        timing = mapping.timing
        found = Events(clocks=self.answers * (timing.inference_clocks - timing.phase_clocks("free")))
        for phase, sweeps in self.sweeps.items():
            found += sweep_events(mapping, phase) * sweeps
            found += Events(clocks=timing.prologue_clocks) * self.phases[phase]
        return found


def free_states(mapping: Mapping) -> int:
    """States that are not clamped."""
    return sum(mapping.network.layers[name].size for name in mapping.network.free)


def sweep_events(mapping: Mapping, phase: Phase) -> Events:
    """Updates of all free layers once: drive plus constant, scaled, stored; nudged, the cost's share as well."""
    states, network = free_states(mapping), mapping.network
    macs = states
    if phase == "nudged":
        macs += network.layers[network.cost.layer].size
        macs += network.classes if isinstance(network.cost, CrossEntropy) else 0
    return Events(
        additions=states,
        macs=macs,
        bytes_read=2 * WORD_BYTES * states,
        bytes_written=state_bytes(mapping.target.controller) * states,
        clocks=mapping.timing.sweep_clocks(phase),
    )


def scheduled_reads(mapping: Mapping, work: Work) -> Counter[Read]:
    """How often one sample reads what."""
    schedule, controller = mapping.schedule, mapping.target.controller
    nudged = len(controller.nudges) if work == "ep-step" else 0
    found: Counter[Read] = Counter()

    def add(rounds: Iterable[tuple[Read, ...]], times: int) -> None:
        for reads in rounds:
            for read in reads:
                found[read] += times

    add(schedule.prologue, 1 + nudged)
    for step in schedule.steps:
        add(step.rounds, controller.free_sweeps + nudged * controller.nudged_sweeps)
        add(step.nudged_rounds, nudged * controller.nudged_sweeps)
    if work == "inference":
        add(schedule.answer, 1)
    return found


def expected(mapping: Mapping, work: Work, drive: Drive | None = None, batch: int = 1) -> dict[str, Events]:
    """Events of one sample by coupling, and of the digital side (``DIGITAL``), from mapping and schedule alone.

    Args:
        work: ``inference`` (a free phase and its answer) or ``ep-step`` (free and nudged phases, and learning).
        drive: what lines are driven with.
        batch: samples that share one update of the devices' conductances.

    Raises:
        ValueError: for another work, or fewer than one sample a batch.
    """
    if work not in ("inference", "ep-step"):
        raise ValueError(f"work {work!r}: expected inference or ep-step")
    if batch < 1:
        raise ValueError(f"batch {batch}: expected >= 1")
    found = dict.fromkeys(mapping.chains, Events())
    for read, times in scheduled_reads(mapping, work).items():
        matrix = mapping.matrices[read.matrix]
        one = ReadOf(mapping, matrix, read.replica, read.direction).expected(drive or Drive())
        found[matrix.coupling] += one * times
    controller = mapping.target.controller
    phases = Phases()
    phases.relaxed("free", 1, controller.free_sweeps)
    phases.answers = int(work == "inference")
    if work == "inference":
        return {**found, DIGITAL: phases.events(mapping)}
    for name, events in learning_events(mapping, batch).items():
        found[name] += events
    for _ in controller.nudges:
        phases.relaxed("nudged", 1, controller.nudged_sweeps)
    return {**found, DIGITAL: phases.events(mapping) + between_phases(mapping)}


def learning_events(mapping: Mapping, batch: int) -> dict[str, Events]:
    """One sample's share of the update: pulses of every device, and outer products unless the devices form them."""
    learning, nudges = mapping.target.costs.learning, len(mapping.target.controller.nudges)
    found = dict.fromkeys(mapping.chains, Events())
    for matrix in mapping.matrices.values():
        low = matrix.lowering
        weights = low.rows * low.columns
        devices = weights * len(matrix.replicas) * mapping.encoding(matrix.name).devices_per_weight
        found[matrix.coupling] += Events(
            macs=nudges * weights * low.positions if learning.product == "digital" else 0,
            pulses=devices * learning.pulses_per_device / batch,
            verify_reads=devices * learning.verify_reads_per_device / batch,
        )
    return found


def between_phases(mapping: Mapping) -> Events:
    """Snapshot and its returns, capture and contrast of each pair, and the clocks of copies and pulses."""
    controller, timing = mapping.target.controller, mapping.timing
    nudges, one_copy = len(controller.nudges), state_bytes(controller) * free_states(mapping)
    copies, pairs = nudges, nudges // 2
    return Events(
        bytes_read=(copies + 3 * pairs) * one_copy,
        bytes_written=(copies + pairs) * one_copy,
        clocks=nudges * timing.copy_clocks + timing.learning_clocks,
    )


def programming_events(mapping: Mapping, fabrication: Fabrication) -> Events:
    """What programming all devices took: a pulse an attempt, each verified where the device's programming does."""
    verified = isinstance(mapping.target.device.programming, WriteVerify)
    return Events(
        pulses=fabrication.writes,
        verify_reads=fabrication.writes if verified else 0,
        programmed_devices=fabrication.devices,
    )


def of_coupling(
    mapping: Mapping, coupling: str, seen: Table[Direction, list[Seen]], direction: Direction | None = None
) -> Events:
    """Events of one coupling on one chip: ``seen`` of all copies of all its matrices, in their order."""
    found = Events()
    for way in DIRECTIONS if direction is None else (direction,):
        copies = [
            ReadOf(mapping, mapping.matrices[name], number, way)
            for name in mapping.chains[coupling]
            for number in range(len(mapping.matrices[name].replicas))
        ]
        found += total(read.counted(one) for read, one in zip(copies, seen[way], strict=True))
    return found
