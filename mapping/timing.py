"""How long reads, rounds, sweeps and phases take, in clocks of the controller.

One position of a read: DACs settle, the array integrates, ADCs convert the lines they share one after the other, lines
discharge. It is repeated for every position, every bit of bit-serial input, every averaged conversion, and, transposed,
every slice. Tiles of a replica read at once (those that share a crossbar take turns), replicas read at once, and the
codes of all of them pass through the controller's lanes: a round lasts as long as its longest read or as its codes need
to pass, whichever is longer. Layers are updated after the reads of their step, a state a lane and clock.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from eqprop import EnergyNetwork
from mapping.hardware import Direction
from mapping.plan import MappedMatrix
from mapping.schedule import Read, Round, Schedule, Step
from mapping.target import Target

INTEGRATION_S = 100e-9  # where the device has no read noise and the target says nothing: the read of ISAAC and PUMA

Phase = Literal["free", "nudged"]


@dataclass(frozen=True)
class ReadTiming:
    """Clocks and codes of array reads on a target."""

    target: Target

    def clocks(self, seconds: float) -> int:
        """Whole clocks that last at least ``seconds`` (but for the rounding of the product)."""
        return math.ceil(seconds * self.target.controller.clock_hz * (1.0 - 1e-12))

    @property
    def integration_s(self) -> float:
        """Of one array read."""
        measured = getattr(self.target.device.read_noise, "read_time_s", None)
        return self.target.read.time_s or measured or INTEGRATION_S

    def repeats(self, direction: Direction, signed: bool) -> int:
        """Array reads that one position takes, for states that are ``signed`` or not."""
        dac, planes = self.target.dac_of(direction), 1
        if dac.input == "bit-serial":
            assert dac.bits is not None
            planes = dac.bits - signed
        return planes * self.target.read.average * (self.target.cell.slices if direction == "transposed" else 1)

    def channels(self, direction: Direction, rows: int, columns: int) -> int:
        """ADC channels that sense a block of ``rows`` x ``columns`` weights in one array read."""
        return columns * self.target.cell.slices if direction == "forward" else rows

    def position_clocks(self, direction: Direction, signed: bool, rows: int, columns: int) -> int:
        """One position of a block of ``rows`` x ``columns`` weights."""
        adc, dac = self.target.adc_of(direction), self.target.dac_of(direction)
        one_after_the_other = min(self.channels(direction, rows, columns), adc.sharing)
        once = (
            self.clocks(dac.settle_s)
            + self.clocks(self.integration_s)
            + one_after_the_other * self.clocks(adc.time_s)
            + self.clocks(self.target.read.discharge_s)
        )
        return once * self.repeats(direction, signed)

    def position_codes(self, direction: Direction, signed: bool, rows: int, columns: int) -> int:
        """ADC codes of one position of a block."""
        return self.channels(direction, rows, columns) * self.repeats(direction, signed)


@dataclass(frozen=True)
class Timing:
    """Clocks of a mapping's rounds, sweeps and phases."""

    network: EnergyNetwork
    target: Target
    matrices: Mapping[str, MappedMatrix]
    schedule: Schedule

    @cached_property
    def reads(self) -> ReadTiming:
        return ReadTiming(self.target)

    def seconds(self, clocks: int) -> float:
        return clocks / self.target.controller.clock_hz

    def read_clocks(self, read: Read) -> int:
        """All positions of a read, in the arrays."""
        return read_clocks(self.reads, self.matrices[read.matrix], read)

    def read_codes(self, read: Read) -> int:
        """ADC codes of all positions of a read."""
        matrix, replica = self.matrices[read.matrix], self.matrices[read.matrix].replicas[read.replica]
        signed = matrix.scale_of(read.direction).signed
        return replica.region.positions * sum(
            self.reads.position_codes(read.direction, signed, *extent(tile.rows, tile.columns))
            for tile in replica.tiles
        )

    def round_clocks(self, reads: Round) -> int:
        """As long as the longest read, or as all codes take to pass through the lanes."""
        codes = sum(self.read_codes(read) for read in reads)
        return max(max(self.read_clocks(read) for read in reads), self.lane_clocks(codes))

    def lane_clocks(self, items: int) -> int:
        """Codes or states through the controller's lanes."""
        return -(-items // self.target.controller.lanes)

    def step_clocks(self, step: Step, phase: Phase) -> int:
        """Reads of a step, then the update of its layers."""
        rounds = step.rounds + (step.nudged_rounds if phase == "nudged" else ())
        return sum(map(self.round_clocks, rounds)) + self.update_clocks(step)

    def update_clocks(self, step: Step) -> int:
        """New states of a step's layers."""
        return self.lane_clocks(sum(self.network.layers[layer].size for layer in step.layers))

    def sweep_clocks(self, phase: Phase) -> int:
        return sum(self.step_clocks(step, phase) for step in self.schedule.steps)

    @property
    def prologue_clocks(self) -> int:
        """What a phase reads before its first sweep."""
        return sum(map(self.round_clocks, self.schedule.prologue))

    def phase_clocks(self, phase: Phase) -> int:
        """Prologue and all sweeps."""
        controller = self.target.controller
        sweeps = controller.free_sweeps if phase == "free" else controller.nudged_sweeps
        return self.prologue_clocks + sweeps * self.sweep_clocks(phase)

    @property
    def inference_clocks(self) -> int:
        """A free phase and the read of its answer."""
        return self.phase_clocks("free") + sum(map(self.round_clocks, self.schedule.answer))

    @property
    def copy_clocks(self) -> int:
        """All free states copied once: the snapshot, or its return."""
        return self.lane_clocks(sum(self.network.layers[layer].size for layer in self.network.free))

    @property
    def learning_clocks(self) -> int:
        """Pulses of one EP step: for each nudged phase a train at every position, in every crossbar a matrix has.

        Replicas take the pulses of all positions; couplings that share a crossbar take turns.
        """
        pulses = self.target.pulses
        train = pulses.train * (self.reads.clocks(pulses.width_s) + self.reads.clocks(pulses.gap_s))
        busy: dict[int, int] = {}
        for matrix in self.matrices.values():
            for tile in matrix.tiles:
                busy[tile.crossbar] = busy.get(tile.crossbar, 0) + matrix.lowering.positions * train
        return len(self.target.controller.nudges) * max(busy.values())

    @property
    def ep_step_clocks(self) -> int:
        """Free phase, snapshot, the nudged phases each from the free states, and the pulses."""
        nudged = len(self.target.controller.nudges)
        return (
            self.phase_clocks("free")
            + self.copy_clocks
            + nudged * self.phase_clocks("nudged")
            + (nudged - 1) * self.copy_clocks
            + self.learning_clocks
        )


def extent(rows: tuple[int, int], columns: tuple[int, int]) -> tuple[int, int]:
    """How many rows and columns two spans hold."""
    return rows[1] - rows[0], columns[1] - columns[0]


def read_clocks(timing: ReadTiming, matrix: MappedMatrix, read: Read) -> int:
    """All positions of a read: as long as its busiest crossbar; tiles that share one take turns."""
    replica, signed = matrix.replicas[read.replica], matrix.scale_of(read.direction).signed
    busy: dict[int, int] = {}
    for tile in replica.tiles:
        clocks = timing.position_clocks(read.direction, signed, *extent(tile.rows, tile.columns))
        busy[tile.crossbar] = busy.get(tile.crossbar, 0) + clocks
    return replica.region.positions * max(busy.values())
