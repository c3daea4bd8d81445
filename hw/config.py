"""What the controller is built for: widths, sizes and times, derived from a mapping."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch

from hw.link import link
from hw.link_layers import averaged
from mapping import Mapping
from mapping.arithmetic import accumulator_bits
from mapping.arithmetic.contrast import contrast_bits
from mapping.dither import TAPS, Lfsr
from mapping.fixed_point import DRIVE_BITS, STATE_BITS, objections
from mapping.hardware import DIRECTIONS, Direction
from mapping.plan import MappedMatrix
from mapping.schedule import Read

# Whole numbers a field may be. Clocks are 16-bit registers; bits, those of mapping.hardware; 32-bit accumulators.
CLOCKS = (0, 2**16 - 1)
COUNTS = (1, 2**16 - 1)
ROWS = (1, 2**24)
CONVERTER = (2, 16)
RANGES: dict[str, tuple[int, int]] = {
    "state_bits": STATE_BITS,
    "dac_bits": CONVERTER,
    "adc_bits": CONVERTER,
    "transposed_dac_bits": CONVERTER,
    "transposed_adc_bits": CONVERTER,
    "accumulator_bits": (2, 32),
    "lfsr_bits": (min(TAPS), max(TAPS)),
    "lanes": COUNTS,
    "crossbars": COUNTS,
    "adc_sharing": COUNTS,
    "transposed_adc_sharing": COUNTS,
    "settle_clocks": CLOCKS,
    "transposed_settle_clocks": CLOCKS,
    "integrate_clocks": CLOCKS,
    "convert_clocks": (1, CLOCKS[1]),
    "transposed_convert_clocks": (1, CLOCKS[1]),
    "discharge_clocks": CLOCKS,
    "pulse_clocks": (1, CLOCKS[1]),
    "gap_clocks": CLOCKS,
    "average": COUNTS,
    "free_sweeps": COUNTS,
    "nudged_sweeps": COUNTS,
    "drive_lanes": COUNTS,
    "line_bits": (1, 16),
    "image_side": COUNTS,
    "feed_groups": COUNTS,
    "replica_tiles": COUNTS,
    "tile_beats": COUNTS,
    "most_sources": COUNTS,
    "program_words": ROWS,
    "read_rows": COUNTS,
    "drive_beats": ROWS,
    "sense_beats": ROWS,
    "tile_rows": ROWS,
    "layer_rows": COUNTS,
    "source_rows": COUNTS,
    "contrast_rows": COUNTS,
    "contrast_positions": ROWS,
    "state_words": ROWS,
    "sum_words": ROWS,
    "constant_words": ROWS,
    "code_words": ROWS,
}

FACTOR_BITS = 16  # of the scalings that the controller multiplies with

# Not of a mapping: round numbers for tests and examples. Times of digits are the defaults of mapping.hardware.
PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {
        "state_bits": 6, "dac_bits": 4, "adc_bits": 4, "transposed_dac_bits": 4, "transposed_adc_bits": 4,
        "accumulator_bits": 6, "lfsr_bits": 8, "dither": False, "lanes": 2, "crossbars": 2,
        "adc_sharing": 2, "transposed_adc_sharing": 2, "clock_hz": 50e6,
        "settle_clocks": 1, "transposed_settle_clocks": 1, "integrate_clocks": 2, "convert_clocks": 2,
        "transposed_convert_clocks": 2, "discharge_clocks": 1, "pulse_clocks": 2, "gap_clocks": 1, "average": 1,
        "free_sweeps": 3, "nudged_sweeps": 2, "chained": False, "drive_lanes": 4, "line_bits": 4, "image_side": 4,
        "feed_groups": 4, "replica_tiles": 4, "tile_beats": 8, "most_sources": 4, "program_words": 64, "read_rows": 8,
        "drive_beats": 32, "sense_beats": 32, "tile_rows": 8, "layer_rows": 4, "source_rows": 8, "contrast_rows": 4,
        "contrast_positions": 16, "state_words": 64, "sum_words": 64, "constant_words": 64, "code_words": 32,
    },
    "digits": {
        "state_bits": 16, "dac_bits": 8, "adc_bits": 8, "transposed_dac_bits": 8, "transposed_adc_bits": 8,
        "accumulator_bits": 16, "lfsr_bits": 16, "dither": True, "lanes": 8, "crossbars": 64,
        "adc_sharing": 16, "transposed_adc_sharing": 16, "clock_hz": 100e6,
        "settle_clocks": 10, "transposed_settle_clocks": 10, "integrate_clocks": 10, "convert_clocks": 10,
        "transposed_convert_clocks": 10, "discharge_clocks": 10, "pulse_clocks": 20, "gap_clocks": 16, "average": 1,
        "free_sweeps": 30, "nudged_sweeps": 10, "chained": False, "drive_lanes": 32, "line_bits": 8, "image_side": 8,
        "feed_groups": 64, "replica_tiles": 32, "tile_beats": 32, "most_sources": 4, "program_words": 256,
        "read_rows": 32, "drive_beats": 1024, "sense_beats": 1024, "tile_rows": 64, "layer_rows": 8, "source_rows": 32,
        "contrast_rows": 16, "contrast_positions": 64, "state_words": 4096, "sum_words": 4096, "constant_words": 2048,
        "code_words": 512,
    },
}  # fmt: skip


@dataclass(frozen=True)
class ControllerConfig:
    """A controller's numbers. Converters and their times are those of forward reads unless ``transposed_``.

    Attributes:
        state_bits: of the fixed-point states.
        accumulator_bits: of the signed sums of ADC codes of one read, wide enough never to overflow.
        lfsr_bits: of the register that dithers.
        dither: whether states are rounded to DAC codes by chance.
        lanes: ADC codes, and states, taken in each clock.
        adc_sharing, transposed_adc_sharing: lines that one ADC converts one after the other.
        settle_clocks, integrate_clocks, convert_clocks, discharge_clocks: parts of a read, as in mapping/timing.py;
            convert_clocks is of one conversion.
        pulse_clocks, gap_clocks: a programming pulse, and the rest after it.
        average: reads that are added up for each position.
        chained: whether low-rank couplings are two reads, the first one's sums driving the second.
        drive_lanes: lines of a DAC beat, a multiple of the lanes.
        line_bits: of the number of a row, or of a weight in a row of a crossbar.
        image_side: largest height or width of a layer.
        feed_groups: most words of a position of a layer.
        replica_tiles, most_sources: most tiles of a copy of a matrix, and shares of a drive.
        tile_beats: most beats of rows, or of columns, of a tile that is pulsed.
        program_words: 64-bit words of the microprogram.
        read_rows, drive_beats, sense_beats, tile_rows, layer_rows, source_rows, contrast_rows: of the tables, see
            hw/tables.py.
        contrast_positions: most positions that a gradient is added up over.
        state_words, sum_words, constant_words: of the memories, each of ``lanes`` numbers; code_words: of each of the
            two banks of DAC codes, of ``drive_lanes``.

    Raises:
        ValueError: naming the field, its value and what is expected.
    """

    state_bits: int
    dac_bits: int
    adc_bits: int
    transposed_dac_bits: int
    transposed_adc_bits: int
    accumulator_bits: int
    lfsr_bits: int
    dither: bool
    lanes: int
    crossbars: int
    adc_sharing: int
    transposed_adc_sharing: int
    clock_hz: float
    settle_clocks: int
    transposed_settle_clocks: int
    integrate_clocks: int
    convert_clocks: int
    transposed_convert_clocks: int
    discharge_clocks: int
    pulse_clocks: int
    gap_clocks: int
    average: int
    free_sweeps: int
    nudged_sweeps: int
    chained: bool
    drive_lanes: int
    line_bits: int
    image_side: int
    feed_groups: int
    replica_tiles: int
    tile_beats: int
    most_sources: int
    program_words: int
    read_rows: int
    drive_beats: int
    sense_beats: int
    tile_rows: int
    layer_rows: int
    source_rows: int
    contrast_rows: int
    contrast_positions: int
    state_words: int
    sum_words: int
    constant_words: int
    code_words: int

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise ValueError(f"{name} {value!r}: expected a whole number {low} .. {high}")
        for name in ("dither", "chained"):
            if type(getattr(self, name)) is not bool:
                raise ValueError(f"{name} {getattr(self, name)!r}: expected true or false")
        if self.lanes & self.lanes - 1:
            raise ValueError(f"lanes {self.lanes}: expected a power of two")
        if self.drive_lanes % self.lanes or self.drive_lanes & self.drive_lanes - 1:
            raise ValueError(f"drive_lanes {self.drive_lanes}: expected lanes times a power of two")
        if type(self.clock_hz) not in (int, float) or not 0.0 < self.clock_hz < math.inf:
            raise ValueError(f"clock_hz {self.clock_hz!r}: expected a number > 0")
        object.__setattr__(self, "clock_hz", float(self.clock_hz))  # 1e8 and 100000000 are one configuration
        widest = max(self.adc_bits, self.transposed_adc_bits)
        if self.accumulator_bits < widest:
            raise ValueError(f"accumulator_bits {self.accumulator_bits}: expected at least the ADC's {widest}")

    @classmethod
    def from_mapping(cls, mapping: Mapping) -> ControllerConfig:
        """The controller that runs ``mapping``.

        Raises:
            ValueError: if the mapping's digital sums are not whole numbers, or a number does not fit the controller.
        """
        refuse_floats(mapping)
        target, reads = mapping.target, mapping.timing.reads
        dac, adc = target.dac, target.adc
        back_dac, back_adc = target.dac_of("transposed"), target.adc_of("transposed")
        state_bits, widths = target.controller.state_bits, (dac.bits, adc.bits, back_dac.bits, back_adc.bits)
        assert state_bits is not None
        dac_bits, adc_bits, back_dac_bits, back_adc_bits = (bits or 0 for bits in widths)  # none is null any more
        linked = link(mapping)
        return cls(
            state_bits=state_bits,
            dac_bits=dac_bits,
            adc_bits=adc_bits,
            transposed_dac_bits=back_dac_bits,
            transposed_adc_bits=back_adc_bits,
            accumulator_bits=widest_sum(mapping),
            lfsr_bits=Lfsr.width,
            dither=dac.dither or back_dac.dither,
            lanes=target.controller.lanes,
            crossbars=mapping.crossbars,
            adc_sharing=adc.sharing,
            transposed_adc_sharing=back_adc.sharing,
            clock_hz=target.controller.clock_hz,
            settle_clocks=reads.clocks(dac.settle_s),
            transposed_settle_clocks=reads.clocks(back_dac.settle_s),
            integrate_clocks=reads.clocks(reads.integration_s),
            convert_clocks=reads.clocks(adc.time_s),
            transposed_convert_clocks=reads.clocks(back_adc.time_s),
            discharge_clocks=reads.clocks(target.read.discharge_s),
            pulse_clocks=reads.clocks(target.pulses.width_s),
            gap_clocks=reads.clocks(target.pulses.gap_s),
            average=max(averaged(mapping, direction) for direction in DIRECTIONS),
            free_sweeps=target.controller.free_sweeps,
            nudged_sweeps=target.controller.nudged_sweeps,
            chained=any(len(chain) > 1 for chain in mapping.chains.values()),
            **linked.sizes,
        )

    @property
    def code_bits(self) -> int:
        """Signed, of a DAC code of either direction, whether its states are signed or not."""
        return max(self.dac_bits, self.transposed_dac_bits) + 1

    @property
    def code_adc_bits(self) -> int:
        """Of an ADC code of either direction."""
        return max(self.adc_bits, self.transposed_adc_bits)

    @property
    def push_bits(self) -> int:
        """Signed, of beta (below 16) times the code of 1.0."""
        return self.state_bits + 5

    @property
    def constant_bits(self) -> int:
        """Signed, of a bias and the shares of all clamped inputs."""
        return DRIVE_BITS + self.most_sources.bit_length()

    @property
    def gradient_bits(self) -> int:
        """Signed, of a number of the contrast unit."""
        return contrast_bits(self.state_bits, self.contrast_positions)

    def to_json(self) -> str:
        """Canonical: keys sorted, no spaces, so that equal configurations are equal texts."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def preset(cls, name: str) -> ControllerConfig:
        """``tiny``, small enough for exhaustive tests, or ``digits``, a chip for images of 8 x 8 and 10 classes.

        Raises:
            ValueError: for another name.
        """
        if name not in PRESETS:
            raise ValueError(f"preset {name!r}: expected one of {', '.join(PRESETS)}")
        return cls(**PRESETS[name])

    @classmethod
    def from_json(cls, text: str) -> ControllerConfig:
        """The inverse of :meth:`to_json`.

        Raises:
            ValueError: for text that is no JSON object, a field too many, too few or out of range.
        """
        content = json.loads(text)
        if not isinstance(content, dict):
            raise ValueError(f"configuration {text!r}: expected a JSON object")
        known = {field.name for field in fields(cls)}
        if content.keys() != known:
            wrong = ", ".join(sorted(content.keys() ^ known))
            raise ValueError(f"configuration with unknown or missing fields {wrong}: expected exactly all of them")
        return cls(**content)

    @property
    def hash(self) -> int:
        """32 bits: the first four bytes of the SHA-256 of :meth:`to_json`, the first the highest."""
        return int.from_bytes(hashlib.sha256(self.to_json().encode()).digest()[:4], "big")


def refuse_floats(mapping: Mapping) -> None:
    """The controller adds whole numbers: refuse whatever needs another rule.

    Raises:
        ValueError: naming the target's key, its value and what is expected.
    """
    for direction in DIRECTIONS:
        for key, value, expected in objections(mapping.target, direction):
            raise ValueError(
                f"target {mapping.target.name}: {key} {value}: expected {expected}, for sums of whole numbers"
            )
    if mapping.network.cost.readout is not None:
        raise ValueError(
            f"readout {mapping.network.cost.readout}: its softmax is not whole numbers: expected the squared-error cost"
        )


def scheduled(mapping: Mapping) -> Iterator[Read]:
    """Every read of a phase and of the answer, copies and repetitions too."""
    schedule = mapping.schedule
    steps = [one for step in schedule.steps for one in (*step.rounds, *step.nudged_rounds)]
    return (read for one in (*schedule.prologue, *steps, *schedule.answer) for read in one)


def terms(mapping: Mapping, matrix: MappedMatrix, direction: Direction) -> int:
    """Most ADC codes that meet in one sum: tiles along the driven lines, overlapping positions, averaged reads.

    Copies answer for different outputs: a forward sum is one copy's. A transposed sum may meet positions of several.
    """
    tiles = matrix.replicas[0].tiles
    average = averaged(mapping, direction)
    if direction == "forward":
        return len({tile.rows for tile in tiles}) * average
    return len({tile.columns for tile in tiles}) * average * overlaps(matrix)


def overlaps(matrix: MappedMatrix) -> int:
    """Most positions whose transposed reads meet in one element: 1 but for convolutions."""
    lowering = matrix.lowering
    columns = lowering.columns_of(torch.ones(1, *lowering.shapes[1]))
    once = torch.ones(1, lowering.rows, *columns.shape[2:])
    return int(lowering.overlap_add(once).max())


def widest_sum(mapping: Mapping) -> int:
    """Bits of the widest sum of codes that any read of the schedule adds up."""
    found = 0
    for name, direction in sorted({(read.matrix, read.direction) for read in scheduled(mapping)}):
        bits = mapping.target.adc_of(direction).bits
        assert bits is not None
        found = max(found, accumulator_bits(bits, terms(mapping, mapping.matrices[name], direction)))
    return found
