"""Making one coupling's arrays: program devices, let them age, solve their wires, attach converters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mapping import Mapping
from mapping.bounds import converter_scales
from mapping.encoding import Encoding
from mapping.hardware import Direction
from mapping.plan import LayerScale, MappedMatrix
from sim.array import Array, Periphery
from sim.converters import build_digitiser, build_driver
from sim.devices import DeviceModel
from sim.gaussian import NoiseStream
from sim.parts import Lines
from sim.wire_noise import WireNoiseLines
from sim.wire_solver import Seen, WireSolver

DIRECTIONS: tuple[Direction, Direction] = ("forward", "transposed")


@dataclass
class Fabrication:
    """What programming the chips took.

    Attributes:
        devices: programmed, unused ones included.
        writes: attempts in all.
        failed: devices that write-verify gave up on.
    """

    devices: int = 0
    writes: float = 0.0
    failed: int = 0


@dataclass(frozen=True)
class Draws:
    """Random streams of one chip, at their start: what it is made of, and its converters' errors."""

    devices: torch.Generator
    periphery: torch.Generator
    reads: NoiseStream


@dataclass(frozen=True)
class Streams:
    """Seeds of one chip's streams. Read noise goes on from where it was when the chip is made again at another age."""

    devices: int
    periphery: int
    reads: NoiseStream

    @classmethod
    def of(cls, seed: int, chip: int) -> Streams:
        """Independent streams of chip number ``chip`` of ``seed``."""
        devices, reads, periphery = np.random.SeedSequence([seed, chip]).spawn(3)
        return cls(whole(devices), whole(periphery), NoiseStream(reads))

    def start(self) -> Draws:
        """Streams from their beginning, but for the reads'."""
        return Draws(
            torch.Generator().manual_seed(self.devices), torch.Generator().manual_seed(self.periphery), self.reads
        )


def whole(sequence: np.random.SeedSequence) -> int:
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


def build_array(
    mapping: Mapping, name: str, age_s: float, draws: Draws, solver: WireSolver, fabrication: Fabrication
) -> Array:
    """Program one coupling's crossbars, unused devices included, and let them age."""
    matrix, target = mapping.matrices[name], mapping.target
    model = DeviceModel(target.device)
    programmed = model.program(mapping.conductances[[tile.crossbar for tile in matrix.tiles]], draws.devices)
    fabrication.devices += programmed.conductance.numel()
    fabrication.writes += programmed.attempts * programmed.conductance.numel()
    fabrication.failed += programmed.failed
    conductance = model.age(programmed.conductance, age_s, draws.devices)
    conductance = model.stick_(conductance, draws.devices)
    sigma = None if target.read.noise == "off" else model.read_sigma(conductance, age_s, target.read.time_s)
    scales = dict(zip(DIRECTIONS, converter_scales(mapping.network, mapping.layers, name), strict=True))
    seen = solver.solve(name, conductance, None if sigma is None else sigma.square())
    terms = model.current_terms(conductance)
    encoding = mapping.encoding(name)
    lines: dict[Direction, Lines] = {}
    for direction in DIRECTIONS:
        volt_per_state = target.dac_of(direction).full_scale_volt / scales[direction].full_scale
        if direction == "transposed" and target.wires.ideal and not terms:
            lines[direction] = lines["forward"]  # both directions see the devices themselves
            continue
        higher = tuple((power, mapping.matrix_of(name, c) * volt_per_state ** (power - 1)) for power, c in terms)
        lines[direction] = gathered_lines(matrix, encoding, direction, seen[direction], higher)
    return Array(
        matrix.lowering,
        matrix.column_spans,
        encoding,
        lines,
        {direction: periphery(mapping, matrix, direction, scales[direction], draws) for direction in DIRECTIONS},
        draws.reads,
        target.read.average,
        target.read.noise == "phase",
    )


def gathered_lines(
    matrix: MappedMatrix,
    encoding: Encoding,
    direction: Direction,
    seen: Seen,
    higher: tuple[tuple[int, Tensor], ...],
) -> Lines:
    """A coupling's lines out of what the terminals of its crossbars see."""
    per_weight = encoding.devices_per_weight
    wire_noise = None
    if seen.noise is not None:
        linear, cross = (
            torch.stack([matrix.gather(term, per_weight) for term in values.unbind(1)])
            for values in (seen.noise.linear, seen.noise.cross)
        )
        wire_noise = WireNoiseLines(linear, cross, gathered_gram(matrix, per_weight, direction, seen.noise.gram))
    return Lines(
        matrix.gather(seen.conductance, per_weight),
        None if seen.squared is None else matrix.gather(seen.squared, per_weight),
        wire_noise,
        higher,
    )


def gathered_gram(matrix: MappedMatrix, per_weight: int, direction: Direction, gram: Tensor) -> Tensor:
    """[crossbars, terms, terms, lines] -> [spans of driven lines, terms, terms, the coupling's lines]."""
    columns = len(matrix.column_spans)
    spans: dict[int, list[Tensor]] = {}
    for number, tile in enumerate(matrix.tiles):
        if direction == "forward":
            count, start, driven = (tile.columns[1] - tile.columns[0]) * per_weight, tile.at[1], number // columns
        else:
            count, start, driven = tile.rows[1] - tile.rows[0], tile.at[0], number % columns
        spans.setdefault(driven, []).append(gram[number, :, :, start : start + count])
    return torch.stack([torch.cat(of_span, dim=-1) for of_span in spans.values()])


def periphery(
    mapping: Mapping, matrix: MappedMatrix, direction: Direction, scale: LayerScale, draws: Draws
) -> Periphery:
    """Converters of one coupling in one direction."""
    target, slices = mapping.target, mapping.encoding(matrix.name).slices
    forward = direction == "forward"
    own = [tile.forward_full_scale if forward else tile.transposed_full_scale for tile in matrix.tiles]
    full_scales = torch.tensor(own).view(len(matrix.lowering.row_spans), len(matrix.column_spans))
    sensed = matrix.column_spans if forward else matrix.lowering.row_spans
    digitiser = build_digitiser(
        target.adc_of(direction),
        full_scales if forward else full_scales.T,
        [last - first for first, last in sensed],
        slices if forward else 1,
        draws.periphery,
    )
    return Periphery(build_driver(target, target.dac_of(direction), scale), digitiser)
