"""A chip: program crossbars, let them age, solve wires, draw converters, give each coupling its part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mapping import Mapping
from mapping.bounds import converter_scales
from mapping.encoding import Encoding
from mapping.hardware import DIRECTIONS, Direction
from mapping.plan import LayerScale, MappedMatrix
from sim.array import Array, Periphery
from sim.converters import ChannelErrors, build_digitiser, build_driver
from sim.devices import DeviceModel
from sim.gaussian import NoiseStream, whole
from sim.parts import Lines
from sim.wire_noise import WireNoiseLines
from sim.wire_solver import Seen, WireSolver


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
        return Draws(*(torch.Generator().manual_seed(seed) for seed in (self.devices, self.periphery)))


@dataclass(frozen=True)
class Crossbars:
    """All crossbars of one chip as they are at an age.

    Attributes:
        seen: what terminals see of them, by direction.
        higher: powers and coefficients (A/V^power) of currents beyond Ohm's law.
        errors: of the ADCs at every line that a direction senses.
    """

    seen: dict[Direction, Seen]
    higher: list[tuple[int, Tensor]]
    errors: dict[Direction, ChannelErrors]


def make_crossbars(
    mapping: Mapping, age_s: float, draws: Draws, solver: WireSolver, fabrication: Fabrication
) -> Crossbars:
    """Program a chip's crossbars, unused devices included, let them age, solve their wires, give them converters."""
    target = mapping.target
    model = DeviceModel(target.device)
    programmed = model.program(mapping.conductances, draws.devices)
    fabrication.devices += programmed.conductance.numel()
    fabrication.writes += programmed.attempts * programmed.conductance.numel()
    fabrication.failed += programmed.failed
    conductance = model.age(programmed.conductance, age_s, draws.devices)
    conductance = model.stick_(conductance, draws.devices)
    sigma = None if target.read.noise == "off" else model.read_sigma(conductance, age_s, target.read.time_s)
    seen = solver.solve(conductance, None if sigma is None else sigma.square())
    sensed: dict[Direction, int] = {"forward": target.crossbar.columns, "transposed": target.crossbar.rows}
    errors = {
        way: ChannelErrors.draw(target.adc_of(way), (len(conductance), sensed[way]), draws.periphery) for way in sensed
    }
    return Crossbars(seen, model.current_terms(conductance), errors)


def build_array(mapping: Mapping, name: str, crossbars: Crossbars, reads: NoiseStream) -> Array:
    """One coupling's part of a chip's crossbars."""
    matrix, target, encoding = mapping.matrices[name], mapping.target, mapping.encoding(name)
    scales = dict(zip(DIRECTIONS, converter_scales(mapping.network, mapping.layers, name), strict=True))
    lines: dict[Direction, Lines] = {}
    for direction in DIRECTIONS:
        if direction == "transposed" and target.wires.ideal and not crossbars.higher:
            lines[direction] = lines["forward"]  # both directions see the devices themselves
            continue
        volt_per_state = target.dac_of(direction).full_scale_volt / scales[direction].full_scale
        higher = tuple(
            (power, mapping.matrix_of(name, c) * volt_per_state ** (power - 1)) for power, c in crossbars.higher
        )
        lines[direction] = gathered_lines(matrix, encoding, direction, crossbars.seen[direction], higher)
    return Array(
        matrix.lowering,
        matrix.column_spans,
        encoding,
        lines,
        {way: periphery(mapping, matrix, way, scales[way], crossbars.errors[way]) for way in DIRECTIONS},
        reads,
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
        wire_noise = WireNoiseLines(linear, cross, gathered_lines_of(matrix, per_weight, direction, seen.noise.gram))
    return Lines(
        matrix.gather(seen.conductance, per_weight),
        None if seen.squared is None else matrix.gather(seen.squared, per_weight),
        wire_noise,
        higher,
    )


def gathered_lines_of(
    matrix: MappedMatrix, per_weight: int, direction: Direction, values: Tensor, every: int = 1
) -> Tensor:
    """Values of sensed lines, a bank for each span of driven ones: [crossbars, ..., lines] -> [spans, ..., lines].

    ``every``: of so many neighbouring columns the first speaks for all (those of a pair share a converter).
    """
    columns = len(matrix.column_spans)
    spans: dict[int, list[Tensor]] = {}
    for number, tile in enumerate(matrix.tiles):
        if direction == "forward":
            count, start, driven = (tile.columns[1] - tile.columns[0]) * per_weight, tile.at[1], number // columns
            here = slice(start, start + count, every)
        else:
            count, start, driven = tile.rows[1] - tile.rows[0], tile.at[0], number % columns
            here = slice(start, start + count)
        spans.setdefault(driven, []).append(values[tile.crossbar, ..., here])
    return torch.stack([torch.cat(of_span, dim=-1) for of_span in spans.values()])


def periphery(
    mapping: Mapping, matrix: MappedMatrix, direction: Direction, scale: LayerScale, errors: ChannelErrors
) -> Periphery:
    """Converters of one coupling in one direction."""
    target, encoding = mapping.target, mapping.encoding(matrix.name)
    forward = direction == "forward"
    own = [tile.forward_full_scale if forward else tile.transposed_full_scale for tile in matrix.tiles]
    full_scales = torch.tensor(own).view(len(matrix.lowering.row_spans), len(matrix.column_spans))
    sensed = matrix.column_spans if forward else matrix.lowering.row_spans
    gains, offsets = (
        gathered_lines_of(matrix, encoding.devices_per_weight, direction, values, encoding.devices_per_slice)
        for values in (errors.gains, errors.offsets)
    )
    digitiser = build_digitiser(
        target.adc_of(direction),
        full_scales if forward else full_scales.T,
        [last - first for first, last in sensed],
        encoding.slices if forward else 1,
        ChannelErrors(gains, offsets),
    )
    return Periphery(build_driver(target, target.dac_of(direction), scale), digitiser)
