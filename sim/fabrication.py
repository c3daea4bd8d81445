"""A chip: program crossbars, let them age, solve wires, draw converters, give each coupling its part."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace

import numpy as np
import torch
from torch import Tensor

from mapping import Mapping
from mapping.encoding import Encoding
from mapping.fixed_point import ends, state_steps
from mapping.hardware import DIRECTIONS, Direction
from mapping.plan import MappedMatrix, Replica
from sim.array import Array, Periphery
from sim.chain import Chain
from sim.converters import ChannelErrors, Recent, Register, build_digitiser, build_driver
from sim.copies import Copies
from sim.devices import DeviceModel
from sim.devices.faults import Stuck
from sim.gaussian import NoiseStream, whole
from sim.parts import Lines
from sim.reads import Reads
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
    """Seeds of one chip's streams. Read noise and dither go on where they were when the chip is made at another age."""

    devices: int
    periphery: int
    reads: NoiseStream
    learning: int
    dither: Register
    recent: Recent = field(default_factory=Recent)

    @classmethod
    def of(cls, seed: int, chip: int) -> Streams:
        """Independent streams of chip number ``chip`` of ``seed``."""
        devices, reads, periphery, learning, dither = np.random.SeedSequence([seed, chip]).spawn(5)
        return cls(
            whole(devices), whole(periphery), NoiseStream(reads), whole(learning), Register.seeded(whole(dither))
        )

    def start(self) -> Draws:
        """Streams from their beginning, but for the reads'."""
        return Draws(*(torch.Generator().manual_seed(seed) for seed in (self.devices, self.periphery)))


@dataclass(frozen=True)
class Crossbars:
    """All crossbars of one chip as they are at an age.

    Attributes:
        seen: what terminals see of them, by direction. With separate feedback each direction has crossbars of its own,
            numbered alike.
        higher: powers and coefficients (A/V^power) of currents beyond Ohm's law, by direction.
        errors: of the ADCs at every line that a direction senses.
    """

    seen: dict[Direction, Seen]
    higher: dict[Direction, list[tuple[int, Tensor]]]
    errors: dict[Direction, ChannelErrors]


@dataclass
class Manufactured:
    """The devices of one chip, unused ones included, at an age.

    Attributes:
        conductance: siemens, [crossbars, rows, columns]; with separate feedback [2 * crossbars, rows, columns], the
            forward set, then the feedback set.
        own: the part of each device's programming error that returns at every write, or None.
        stuck: which of them never move, or None.
        errors: of the ADCs at every line that a direction senses.
    """

    conductance: Tensor
    own: Tensor | None
    stuck: Stuck | None
    errors: dict[Direction, ChannelErrors]


def manufacture(mapping: Mapping, age_s: float, draws: Draws, fabrication: Fabrication) -> Manufactured:
    """Program a chip's crossbars, let them age, fix what is stuck, give them converters."""
    target = mapping.target
    # The forward set comes first: it is the same devices whether or not there is a second one.
    sets = [program_set(mapping, age_s, draws, fabrication) for _ in range(device_sets(mapping))]
    conductance = sets[0][0] if len(sets) == 1 else torch.cat([devices for devices, _, _ in sets])
    own = [part for _, part, _ in sets if part is not None]
    stuck = joined([found for _, _, found in sets])
    sensed: dict[Direction, int] = {"forward": target.crossbar.columns, "transposed": target.crossbar.rows}
    errors = {
        way: ChannelErrors.draw(target.adc_of(way), (mapping.crossbars, sensed[way]), draws.periphery) for way in sensed
    }
    return Manufactured(conductance, torch.cat(own) if own else None, stuck, errors)


def device_sets(mapping: Mapping) -> int:
    """Sets of crossbars that a chip has: a second one where transposed reads have devices of their own."""
    return 2 if mapping.target.cell.feedback == "separate" else 1


def program_set(
    mapping: Mapping, age_s: float, draws: Draws, fabrication: Fabrication
) -> tuple[Tensor, Tensor | None, Stuck | None]:
    """One set of all crossbars, programmed and aged, the devices' own part of the errors, and what is stuck."""
    model = DeviceModel(mapping.target.device)
    programmed = model.program(mapping.conductances, draws.devices)
    fabrication.devices += programmed.conductance.numel()
    fabrication.writes += programmed.attempts * programmed.conductance.numel()
    fabrication.failed += programmed.failed
    conductance = model.age(programmed.conductance, age_s, draws.devices)
    stuck = model.stuck(conductance, draws.devices)
    return (conductance if stuck is None else stuck.stick_(conductance)), programmed.own, stuck


def joined(sets: list[Stuck | None]) -> Stuck | None:
    """Stuck devices of all sets: all of them have some, or none has."""
    found = [stuck for stuck in sets if stuck is not None]
    if len(found) <= 1:
        return found[0] if found else None
    return Stuck(torch.cat([each.devices for each in found]), torch.cat([each.conductance for each in found]))


def seen_by_terminals(mapping: Mapping, made: Manufactured, age_s: float, solver: WireSolver) -> Crossbars:
    """Read noise at an age, wires solved, currents beyond Ohm's law."""
    target = mapping.target
    model = DeviceModel(target.device)
    sigma = None
    if target.read.noise != "off":
        sigma = model.read_sigma(made.conductance, age_s, target.read.time_s)
    seen = solver.solve(made.conductance, None if sigma is None else sigma.square())
    higher = model.current_terms(made.conductance)
    # Both sets are solved in both directions, and of each the direction that it answers is kept.
    sets: dict[Direction, slice] = {way: slice(None) for way in DIRECTIONS}
    if device_sets(mapping) == 2:
        sets = {"forward": slice(0, mapping.crossbars), "transposed": slice(mapping.crossbars, None)}
    return Crossbars(
        {way: own_part(seen[way], own) for way, own in sets.items()},
        {way: [(power, values[own]) for power, values in higher] for way, own in sets.items()},
        made.errors,
    )


def own_part(seen: Seen, own: slice) -> Seen:
    """What is seen of some of the crossbars."""
    noise = seen.noise
    return Seen(
        seen.conductance[own],
        None if seen.squared is None else seen.squared[own],
        None
        if noise is None
        else replace(noise, **{part.name: getattr(noise, part.name)[own] for part in fields(noise)}),
    )


def make_crossbars(
    mapping: Mapping, age_s: float, draws: Draws, solver: WireSolver, fabrication: Fabrication
) -> Crossbars:
    """All crossbars of a chip as they are at an age."""
    return seen_by_terminals(mapping, manufacture(mapping, age_s, draws, fabrication), age_s, solver)


def build_reads(mapping: Mapping, coupling: str, crossbars: Crossbars, streams: Streams) -> Reads:
    """What answers for a coupling on one chip: an array, copies of one, or a chain of either."""
    links = [build_copies(mapping, mapping.matrices[name], crossbars, streams) for name in mapping.chains[coupling]]
    return links[0] if len(links) == 1 else Chain(links)


def build_copies(mapping: Mapping, matrix: MappedMatrix, crossbars: Crossbars, streams: Streams) -> Reads:
    """All copies of a matrix, each in its own devices."""
    arrays = [build_array(mapping, matrix, replica, crossbars, streams) for replica in matrix.replicas]
    if len(arrays) == 1:
        return arrays[0]
    return Copies(matrix.lowering, [replica.region for replica in matrix.replicas], arrays)


def build_array(
    mapping: Mapping, matrix: MappedMatrix, replica: Replica, crossbars: Crossbars, streams: Streams
) -> Array:
    """One copy of a matrix: its part of a chip's crossbars."""
    target, encoding = mapping.target, mapping.encoding(matrix.name)
    per_weight = encoding.devices_per_weight
    lines: dict[Direction, Lines] = {}
    for direction in DIRECTIONS:
        reciprocal = target.wires.ideal and not crossbars.higher[direction] and target.cell.feedback == "same"
        if direction == "transposed" and reciprocal:
            lines[direction] = lines["forward"]  # both directions see the devices themselves
            continue
        volt_per_state = target.dac_of(direction).full_scale_volt / matrix.scale_of(direction).full_scale
        higher = tuple(
            (power, replica.gather(c, per_weight) * volt_per_state ** (power - 1))
            for power, c in crossbars.higher[direction]
        )
        lines[direction] = gathered_lines(matrix, replica, encoding, direction, crossbars.seen[direction], higher)
    kind = Array if target.cell.feedback == "same" else SeparateArray
    return kind(
        matrix.lowering.part(replica.region) if len(matrix.replicas) > 1 else matrix.lowering,
        matrix.column_spans,
        encoding,
        lines,
        {
            way: periphery(mapping, matrix, replica, way, crossbars.errors[way], streams.dither, streams.recent)
            for way in DIRECTIONS
        },
        streams.reads,
        target.read.average,
        target.read.noise == "phase",
        state_steps(mapping, matrix),
        ("transposed",) if len(matrix.replicas) > 1 else (),
    )


class SeparateArray(Array):
    """An array whose transposed reads are answered by devices of their own."""

    def begin_phase(self) -> None:
        """Draw frozen read noise anew: one deviation for each device of either direction."""
        if not self.frozen or self.lines["forward"].squared_siemens is None:
            return
        seen = {}
        for direction, lines in self.lines.items():
            assert lines.squared_siemens is not None
            course = self.stream.draw(lines.conductance.numel()).mul_(math.sqrt(2.0)).view_as(lines.conductance)
            deviation = lines.squared_siemens.sqrt().mul_(course)
            seen[direction] = Lines(lines.conductance + deviation, higher=lines.higher)
        self.build(seen)


def gathered_lines(
    matrix: MappedMatrix,
    replica: Replica,
    encoding: Encoding,
    direction: Direction,
    seen: Seen,
    higher: tuple[tuple[int, Tensor], ...],
) -> Lines:
    """A copy's lines out of what the terminals of its crossbars see."""
    per_weight = encoding.devices_per_weight
    wire_noise = None
    if seen.noise is not None:
        linear, cross = (
            torch.stack([replica.gather(term, per_weight) for term in values.unbind(1)])
            for values in (seen.noise.linear, seen.noise.cross)
        )
        wire_noise = WireNoiseLines(
            linear, cross, gathered_lines_of(matrix, replica, per_weight, direction, seen.noise.gram)
        )
    return Lines(
        replica.gather(seen.conductance, per_weight),
        None if seen.squared is None else replica.gather(seen.squared, per_weight),
        wire_noise,
        higher,
    )


def gathered_lines_of(
    matrix: MappedMatrix, replica: Replica, per_weight: int, direction: Direction, values: Tensor, every: int = 1
) -> Tensor:
    """Values of sensed lines, a bank for each span of driven ones: [crossbars, ..., lines] -> [spans, ..., lines].

    ``every``: of so many neighbouring columns the first speaks for all (those of a pair share a converter).
    """
    columns = len(matrix.column_spans)
    spans: dict[int, list[Tensor]] = {}
    for number, tile in enumerate(replica.tiles):
        if direction == "forward":
            count, start, driven = (tile.columns[1] - tile.columns[0]) * per_weight, tile.at[1], number // columns
            here = slice(start, start + count, every)
        else:
            count, start, driven = tile.rows[1] - tile.rows[0], tile.at[0], number % columns
            here = slice(start, start + count)
        spans.setdefault(driven, []).append(values[tile.crossbar, ..., here])
    return torch.stack([torch.cat(of_span, dim=-1) for of_span in spans.values()])


def periphery(
    mapping: Mapping,
    matrix: MappedMatrix,
    replica: Replica,
    direction: Direction,
    errors: ChannelErrors,
    dither: Register,
    recent: Recent,
) -> Periphery:
    """Converters of one copy of a matrix in one direction."""
    target, encoding = mapping.target, mapping.encoding(matrix.name)
    forward = direction == "forward"
    own = [tile.forward_full_scale if forward else tile.transposed_full_scale for tile in replica.tiles]
    full_scales = torch.tensor(own).view(len(matrix.lowering.row_spans), len(matrix.column_spans))
    sensed = matrix.column_spans if forward else matrix.lowering.row_spans
    gains, offsets = (
        gathered_lines_of(matrix, replica, encoding.devices_per_weight, direction, values, encoding.devices_per_slice)
        for values in (errors.gains, errors.offsets)
    )
    digitiser = build_digitiser(
        target.adc_of(direction),
        full_scales if forward else full_scales.T,
        [last - first for first, last in sensed],
        encoding.slices if forward else 1,
        ChannelErrors(gains, offsets),
    )
    driven = ends(mapping, matrix)[direction]
    driver = build_driver(target, target.dac_of(direction), matrix.scale_of(direction), driven, dither, recent)
    return Periphery(driver, digitiser)
