"""Events of array reads: of what arrays saw, or of one read of one sample by formula; see docs/costs.md."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mapping import Mapping
from mapping.hardware import Direction
from mapping.lowering import ConvLowering, Lowering
from mapping.memory import WORD_BYTES, state_bytes
from mapping.plan import MappedMatrix, Replica
from mapping.schedule import Read
from mapping.timing import ReadTiming, extent, read_clocks
from mapping.traffic import inputs_seen
from sim.counts import Events
from sim.drives import Drives, Seen


@dataclass(frozen=True)
class Drive:
    """What lines are driven with, where no simulation says it.

    Attributes:
        active: share of lines with a drive that is not zero.
        mean_square: mean of (V / full scale)^2 of those; bit-serial lines are at full scale.
    """

    active: float = 0.5
    mean_square: float = 1.0 / 3.0


@dataclass(frozen=True)
class ReadOf:
    """One direction of one copy of a matrix: formulas of its events."""

    mapping: Mapping
    matrix: MappedMatrix
    number: int
    direction: Direction

    @property
    def replica(self) -> Replica:
        return self.matrix.replicas[self.number]

    @property
    def lowering(self) -> Lowering:
        whole = self.matrix.lowering
        return whole.part(self.replica.region) if len(self.matrix.replicas) > 1 else whole

    @property
    def timing(self) -> ReadTiming:
        return ReadTiming(self.mapping.target)

    @property
    def serial(self) -> bool:
        return self.mapping.target.dac_of(self.direction).input == "bit-serial"

    @property
    def repeats(self) -> int:
        """Array reads of a tile at one position."""
        return self.timing.repeats(self.direction, self.matrix.scale_of(self.direction).signed)

    @property
    def planes(self) -> int:
        """Bits that are driven one after the other."""
        slices = self.mapping.target.cell.slices if self.direction == "transposed" else 1
        return self.repeats // (slices * self.mapping.target.read.average)

    @property
    def volt_per_state(self) -> float:
        return self.mapping.target.dac_of(self.direction).full_scale_volt / self.full_scale

    @property
    def full_scale(self) -> float:
        return self.matrix.scale_of(self.direction).full_scale

    @property
    def lines(self) -> Tensor:
        """Physical lines behind each row (one in each column of tiles) or column (its devices, in each row of tiles).

        Transposed, each slice's lines are driven in an array read of their own.
        """
        spans = self.matrix.column_spans if self.direction == "forward" else self.lowering.row_spans
        devices = 1 if self.direction == "forward" else self.mapping.encoding(self.matrix.name).devices_per_weight
        count = self.lowering.rows if self.direction == "forward" else self.lowering.columns
        return torch.full((count,), float(len(spans) * devices), dtype=torch.float64)

    def counted(self, seen: Seen) -> Events:
        """Events of what an array saw."""
        drives, average = seen.drives, self.mapping.target.read.average
        samples, rest = divmod(drives.reads, self.planes)
        assert rest == 0
        active = squares = 0.0
        if drives.active is not None and drives.squares is not None:
            drives.settle()
            lines = drives.per_drive(self.lines)
            active, squares = float(drives.active @ lines), float(drives.squares @ lines)
        made = seen.made * average // seen.averaged
        own = self.driven(active * average, squares * average, drives.dissipated * average, made)
        return own + Events(adc_clipped=seen.clipped * average // seen.averaged) + self.always() * samples

    def expected(self, drive: Drive) -> Events:
        """Events of one sample, with ``drive`` on every line that is not beyond the image."""
        average = self.mapping.target.read.average
        devices = self.replica.gather(
            self.mapping.conductances, self.mapping.encoding(self.matrix.name).devices_per_weight
        )
        drives = Drives(self.lowering, self.mapping.encoding(self.matrix.name), self.direction)
        times = self.planes * average * drive.active
        square = (1.0 if self.serial else drive.mean_square) * self.full_scale**2
        lines = float(drives.per_drive(self.lines).sum()) * times
        siemens = float(drives.per_drive(drives.summed(devices)).sum()) * times
        adc = self.mapping.target.adc_of(self.direction)
        made = 0 if adc.bits is None else self.codes
        return self.driven(lines, lines * square, siemens * square, made) + self.always()

    def driven(self, lines: float, squares: float, dissipated: float, made: int) -> Events:
        """Events of drives and conversions."""
        crossbar, bits = self.mapping.target.crossbar, self.mapping.target.adc_of(self.direction).bits
        cells = crossbar.columns if self.direction == "forward" else crossbar.rows
        return Events(
            driven_lines=lines,
            bit_lines=lines if self.serial else 0,
            charged_cell_volt2=squares * self.volt_per_state**2 * cells,
            device_read_j=dissipated * self.volt_per_state**2 * self.timing.integration_s,
            adc_conversions=made,
            adc_steps=made * 2**bits if bits is not None else 0,
        )

    @property
    def codes(self) -> int:
        """Channels that sense, over all array reads of one sample."""
        signed = self.matrix.scale_of(self.direction).signed
        return self.replica.region.positions * sum(
            self.timing.position_codes(self.direction, signed, *extent(tile.rows, tile.columns))
            for tile in self.replica.tiles
        )

    def always(self) -> Events:
        """What one sample takes whatever its states are."""
        seconds = self.mapping.target.dac_of(self.direction).settle_s + self.timing.integration_s
        return Events(
            array_reads=self.replica.region.positions * len(self.replica.tiles) * self.repeats,
            sensed_s=self.codes * seconds,
            busy_clocks=read_clocks(self.timing, self.matrix, Read(self.matrix.name, self.direction, self.number)),
        ) + digital_of_read(self)


def digital_of_read(read: ReadOf) -> Events:
    """Additions, multiplications and memory of one read of one copy for one sample; see docs/costs.md."""
    target, matrix, replica = read.mapping.target, read.matrix, read.replica
    positions, lowering = replica.region.positions, read.lowering
    forward = read.direction == "forward"
    inputs = sum(inputs_seen(matrix, replica, tile) for tile in replica.tiles)
    outputs = sum((tile.columns[1] - tile.columns[0]) * positions for tile in replica.tiles)
    driven, sums = (inputs, outputs) if forward else (outputs, inputs)
    chain = read.mapping.chains[matrix.coupling]
    from_bus = matrix.name != (chain[0] if forward else chain[-1])
    width = WORD_BYTES if from_bus else state_bytes(target.controller)
    if forward:
        answer = lowering.columns * positions
    else:  # copies' shares are added before they are scaled, once
        answer = math.prod(matrix.lowering.shapes[0]) if read.number == 0 else 0
    additions, macs = read.codes, answer if target.adc_of(read.direction).range == "coupling" else sums
    if target.cell.encoding == "offset":  # the drive's sum behind each output, its product with the offset, taken off
        behind = (
            lowering.columns * positions if not forward else math.prod(lowering.shapes[0]) + taps(lowering) * positions
        )
        additions += behind + (lowering.columns if forward else lowering.rows) * positions
        macs += positions
    return Events(
        additions=additions,
        macs=macs,
        bytes_read=driven * width + sums * WORD_BYTES,
        bytes_written=sums * WORD_BYTES,
    )


def taps(lowering: Lowering) -> int:
    """Kernel taps; 1 of a dense matrix."""
    return lowering.taps if isinstance(lowering, ConvLowering) else 1
