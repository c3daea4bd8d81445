"""From a mapping to what the controller's memories hold: the program with its operands resolved, tables, biases.

Memories are words of ``lanes`` states, sums or constants; see :mod:`hw.beats` for the places of a layer's units. Each
layer's drive is a block of sums for every read that adds to it: tiles and overlapping positions add up as ADC codes,
and an UPDATE brings the sums to the state's scale. An UPDATE (and a KEEP) leaves zeros where it took sums, so drives
need no CLEAR of their own: the linker drops it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from eqprop.edge import Edge
from hw.beats import Beat, Side, beats, beats_of, conversions, groups, side_of_columns, side_of_rows, words
from hw.link_layers import LayerLinker, Place, Row, sum_scaling
from hw.link_memories import Memories
from mapping import Mapping
from mapping.arithmetic import Scaling
from mapping.fixed_point import bus_codes, codes_of_layer, converter_codes, driving, ends
from mapping.hardware import DIRECTIONS, Direction
from mapping.lowering import ConvLowering
from mapping.plan import MappedMatrix
from mapping.program import Instruction, Opcode, assemble
from mapping.program.instructions import TRANSPOSED

DRIVE_LANES_PER_LANE = 4  # lines of a DAC beat to those of an ADC beat: a tile has more rows than weights in a row

# Flags of a linked LOOP: its count is a register.
FREE_SWEEPS, NUDGED_SWEEPS = 1, 2

NO_PULSES: Row = {"multiplier": 0, "shift": 0}  # until the host works out what a learning rate needs


@dataclass(frozen=True)
class Linked:
    """The contents of all memories as rows, and their sizes.

    Attributes:
        lanes, drive_lanes: that words and beats are made for.
        program: words with resolved operands.
        reads, drive, sense, tiles, layers, sources, contrasts: rows of the tables.
        read_names: matrix, direction and copy of each row of reads.
        contrast_names: matrix of each row of contrasts.
        biases: [words][lanes] of the constants' memory.
        places: of every layer, clamped ones too.
        sizes: fields of a ControllerConfig.
    """

    lanes: int
    drive_lanes: int
    program: tuple[Instruction, ...]
    reads: tuple[Row, ...]
    drive: tuple[Beat, ...]
    sense: tuple[Beat, ...]
    tiles: tuple[Row, ...]
    layers: tuple[Row, ...]
    sources: tuple[Row, ...]
    contrasts: tuple[Row, ...]
    read_names: tuple[tuple[str, Direction, int], ...]
    contrast_names: tuple[str, ...]
    biases: tuple[tuple[int, ...], ...]
    places: dict[str, Place]
    sizes: dict[str, int]


def link(mapping: Mapping) -> Linked:
    """All of it.

    Raises:
        ValueError: for what the controller does not do: pooling, a layer that no other free layer drives.
    """
    return Linker(mapping).linked()


class Linker:
    """The work of :func:`link`."""

    def __init__(self, mapping: Mapping) -> None:
        self.mapping, self.network = mapping, mapping.network
        for edge in self.network.edges:
            if edge.pool is not None:
                raise ValueError(f"coupling {edge.name}: max pooling: expected none, the controller does not pool yet")
        refuse_dither(mapping)
        self.memories = memories = Memories(mapping)
        self.layers = LayerLinker(memories)
        self.lanes, self.drive_lanes = memories.lanes, DRIVE_LANES_PER_LANE * memories.lanes
        self.edges: dict[str, Edge] = {edge.name: edge for edge in self.network.edges}
        self.beat_lists: dict[tuple[int, tuple[Beat, ...]], int] = {}
        self.drive_list: list[Beat] = []
        self.sense_list: list[Beat] = []

    # Reads

    def linked(self) -> Linked:
        mapping = self.mapping
        program = assemble(mapping)
        reads: list[Row] = []
        names: list[tuple[str, Direction, int]] = []
        tiles: list[Row] = []
        rows: dict[tuple[str, Direction, int], int] = {}
        for name, matrix in self.by_chain():
            for number, replica in enumerate(matrix.replicas):
                first = len(tiles)
                per_weight = mapping.encoding(name).devices_per_weight
                tiles += [
                    {"crossbar": t.crossbar, "row": t.at[0], "column": t.at[1] // per_weight} for t in replica.tiles
                ]
                for direction in ("forward", "transposed"):
                    if direction == "transposed" and self.edges[matrix.coupling].pre in self.network.inputs:
                        continue
                    rows[name, direction, number] = len(reads)
                    names.append((name, direction, number))
                    reads.append(self.read(matrix, direction, number) | {"tile_first": first})
        biases, places = self.layers.parameters()
        layers, sources = self.layers.rows(places)
        contrasts = {
            name: self.contrast(matrix, reads[rows[name, "forward", 0]]["tile_first"])
            for name, matrix in self.by_chain()
            if len(mapping.chains[matrix.coupling]) == 1
        }
        code = self.resolved(program.code, rows, [name for name, _ in self.by_chain()], list(contrasts))
        linked = Linked(
            self.lanes,
            self.drive_lanes,
            code,
            tuple(reads),
            tuple(self.drive_list),
            tuple(self.sense_list),
            tuple(tiles),
            tuple(layers),
            tuple(sources),
            tuple(contrasts.values()),
            tuple(names),
            tuple(contrasts),
            biases,
            places,
            {},
        )
        return replace(linked, sizes=self.sizes(linked))

    def by_chain(self) -> list[tuple[str, MappedMatrix]]:
        """Matrices in the order in which the program numbers them."""
        return [(name, self.mapping.matrices[name]) for chain in self.mapping.chains.values() for name in chain]

    def read(self, matrix: MappedMatrix, direction: Direction, number: int) -> Row:
        """One row of reads."""
        mapping, replica = self.mapping, matrix.replicas[number]
        rows, columns = side_of_rows(matrix.lowering), side_of_columns(matrix.lowering)
        row_spans, column_spans = ([getattr(t, key) for t in replica.tiles] for key in ("rows", "columns"))
        region = (replica.region.vertical, replica.region.horizontal)
        driven, sensed = (rows, columns) if direction == "forward" else (columns, rows)
        spans = (row_spans, column_spans) if direction == "forward" else (column_spans, row_spans)
        drive = beats(replica.tiles, driven, spans[0], self.drive_lanes)
        sense = beats(replica.tiles, sensed, spans[1], self.lanes)
        source, target = self.ends(matrix, direction)
        converter = converter_codes(mapping, matrix, direction)
        codes = ends(mapping, matrix)[direction]
        assert converter is not None
        assert codes is not None
        feeding = driving(codes, converter)
        owner, _, kind = source.rpartition(".")
        bus = self.bus_scaling(owner, matrix, direction) if kind == "bus" else Scaling(1, 0)
        return {
            "transposed": int(direction == "transposed"),
            "from_sums": int(kind == "bus"),
            "feed_first": self.memories.sums[source] if kind == "bus" else self.memories.states[source],
            "feed_words": words(driven.image, self.lanes),
            "feed_groups": driven.groups(self.lanes),
            "feed_signed": int(codes.low < 0),
            "bus_multiplier": bus.multiplier,
            "bus_shift": bus.shift,
            "dac_multiplier": feeding.multiplier,
            "dac_shift": feeding.shift,
            "dac_low": converter.low,
            "dac_high": converter.high,
            "rows": replica.region.height,
            "columns": replica.region.width,
            "conversions": conversions(replica.tiles, direction, mapping.target.adc_of(direction).sharing),
            "drive": walk(driven, region, self.drive_lanes, 0),
            "drive_first": self.listed(self.drive_list, drive),
            "drive_count": len(drive),
            "sense": walk(sensed, region, self.lanes, target),
            "sense_first": self.listed(self.sense_list, sense),
            "sense_count": len(sense),
        }

    def listed(self, beat_list: list[Beat], wanted: tuple[Beat, ...]) -> int:
        """The place of beats in a list; equal ones stand there once."""
        key = (id(beat_list), wanted)
        if key not in self.beat_lists:
            self.beat_lists[key] = len(beat_list)
            beat_list += wanted
        return self.beat_lists[key]

    def ends(self, matrix: MappedMatrix, direction: Direction) -> tuple[str, int]:
        """The buffer that a read is fed from, and the first word that its sums go to."""
        chain, edge = self.mapping.chains[matrix.coupling], self.edges[matrix.coupling]
        place = chain.index(matrix.name)
        before = f"{chain[place - 1]}.bus" if place else None
        after = f"{matrix.name}.bus" if place + 1 < len(chain) else None
        if direction == "forward":
            source, target, layer = before or f"{edge.pre}.state", after, edge.post
        else:
            source, target, layer = after or f"{edge.post}.state", before, edge.pre
        share = (matrix.coupling, direction)
        return source, self.memories.sums_of(layer, share) if target is None else self.memories.sums[target]

    def bus_scaling(self, bus: str, matrix: MappedMatrix, direction: Direction) -> Scaling:
        """Sums on a bus to its codes: of the read that came before this one in a chain."""
        chain = self.mapping.chains[matrix.coupling]
        place = chain.index(matrix.name)
        giver = self.mapping.matrices[chain[place - 1 if direction == "forward" else place + 1]]
        scale = self.mapping.matrices[bus].columns_scale
        codes = bus_codes(self.mapping, scale)
        assert codes is not None
        return sum_scaling(self.mapping, giver, direction, codes.step)

    def contrast(self, matrix: MappedMatrix, tile_first: int) -> Row:
        """One row of contrasts, of a matrix between two layers: all outputs, on the first copy's tiles."""
        edge, tiles, outputs = self.edges[matrix.coupling], matrix.replicas[0].tiles, matrix.lowering.outputs
        rows, columns = side_of_rows(matrix.lowering), side_of_columns(matrix.lowering)
        row: Row = {"rows": outputs.height, "columns": outputs.width, "tile_first": tile_first}
        row |= {"tiles": len(tiles), "copies": len(matrix.replicas), "row_rule": NO_PULSES, "column_rule": NO_PULSES}
        for key, lines, layer, side, spans in (
            ("pre", "row", edge.pre, rows, [tile.rows for tile in tiles]),
            ("post", "column", edge.post, columns, [tile.columns for tile in tiles]),
        ):
            codes, state = codes_of_layer(self.mapping, layer), self.memories.states[f"{layer}.state"]
            assert codes is not None
            listed = beats(tiles, side, spans, self.lanes)
            row |= {
                key: walk(side, (outputs.vertical, outputs.horizontal), self.lanes, state),
                f"{key}_captured": self.memories.states.get(f"{layer}.captured", state) - state,
                f"{key}_signed": int(codes.low < 0),
                f"{lines}_first": self.listed(self.sense_list, listed),
                f"{lines}_count": len(listed),
            }
        return row

    # The program

    def resolved(
        self,
        code: Iterable[Instruction],
        rows: dict[tuple[str, Direction, int], int],
        matrices: list[str],
        contrasts: list[str],
    ) -> tuple[Instruction, ...]:
        """The words as the controller runs them.

        READ has its row of reads, CONTRAST that of contrasts (where a matrix has none the word is left out), LOOP the
        register of its count, layers their number among the free ones.
        """
        layers = list(self.network.layers)
        free = {layers.index(name): number for number, name in enumerate(self.network.free)}
        buffers = list(self.mapping.memory.buffers)
        made: list[Instruction] = []
        nudged = False
        for word in code:
            if word.opcode == Opcode.CLEAR:
                name = buffers[word.index]
                if name.endswith(".bus"):
                    size = self.memories.buffer_words(name.removesuffix(".bus"), "bus")
                    made.append(replace(word, index=self.memories.sums[name], number=size))
                continue
            if word.opcode == Opcode.CONTRAST:
                if matrices[word.index] in contrasts:
                    made.append(replace(word, index=contrasts.index(matrices[word.index])))
                continue
            if word.opcode == Opcode.READ:
                direction: Direction = "transposed" if word.flags & TRANSPOSED else "forward"
                word = replace(word, index=rows[matrices[word.index], direction, word.number], number=0)
            elif word.opcode == Opcode.LOOP:
                word = replace(word, number=0, flags=NUDGED_SWEEPS if nudged else FREE_SWEEPS)
            elif word.opcode == Opcode.BETA:
                nudged = word.number != 0
            elif word.opcode == Opcode.ANSWER:
                word = replace(word, index=free[word.number], number=0)
            elif word.operation.index == "layers":
                word = replace(word, index=free[word.index])
            made.append(word)
        return tuple(made)

    def sizes(self, linked: Linked) -> dict[str, int]:
        """What a configuration must hold."""
        target = self.mapping.target
        matrices = self.mapping.matrices.values()
        images = [*self.memories.images.values(), *(side_of_columns(matrix.lowering).image for matrix in matrices)]
        return {
            "drive_lanes": self.drive_lanes,
            "program_words": len(linked.program),
            "read_rows": len(linked.reads),
            "drive_beats": len(linked.drive),
            "sense_beats": len(linked.sense),
            "tile_rows": len(linked.tiles),
            "layer_rows": len(linked.layers),
            "source_rows": len(linked.sources),
            "contrast_rows": max(1, len(linked.contrasts)),
            "contrast_positions": max(matrix.lowering.positions for matrix in matrices),
            "most_sources": max(max(row["inputs"], row["sources"]) for row in linked.layers),
            "replica_tiles": max(len(replica.tiles) for matrix in matrices for replica in matrix.replicas),
            "tile_beats": max(tile_beats(matrix, self.lanes) for matrix in matrices),
            "state_words": self.memories.states[""],
            "sum_words": self.memories.sums[""],
            "constant_words": self.memories.constants[""] + len(linked.biases),
            "code_words": max(words(image, self.drive_lanes) for image in images),
            "feed_groups": max(groups(image[0], self.lanes) for image in images),
            "image_side": max(max(image[1:]) for image in images),
            "line_bits": max(target.crossbar.rows, target.crossbar.columns).bit_length(),
        }


def tile_beats(matrix: MappedMatrix, lanes: int) -> int:
    """Most beats of rows, or of columns, of a tile."""
    rows, columns = side_of_rows(matrix.lowering), side_of_columns(matrix.lowering)
    ends = [(side, span) for t in matrix.replicas[0].tiles for side, span in ((rows, t.rows), (columns, t.columns))]
    return max(len(beats_of(0, side, span, lanes)) for side, span in ends)


def refuse_dither(mapping: Mapping) -> None:
    """Where the simulator dithers in another order than the controller feeds.

    Raises:
        ValueError: for dither with copies of a matrix, or with a dense coupling into an image.
    """
    if not any(mapping.target.dac_of(direction).dither for direction in DIRECTIONS):
        return
    for name, matrix in mapping.matrices.items():
        _, height, width = side_of_columns(matrix.lowering).image
        dense = not isinstance(matrix.lowering, ConvLowering)
        if len(matrix.replicas) > 1 or (dense and height * width > 1):
            raise ValueError(
                f"dac.dither true: matrix {name} has {len(matrix.replicas)} copies and {height} x {width} positions: "
                "expected one copy, and vectors behind dense couplings"
            )


def walk(side: Side, region: tuple[tuple[int, int], tuple[int, int]], lanes: int, first: int) -> Row:
    """How a window goes over a side's image; see :meth:`hw.tables.Tables.walk`. Addresses may be negative."""
    _, height, width = side.image
    top, left = side.origin(region)
    per_position = side.groups(lanes)
    return {
        "height": height,
        "width": width,
        "top": top,
        "left": left,
        "down": side.step[0],
        "across": side.step[1],
        "base": first + (top * width + left) * per_position,
        "base_across": side.step[1] * per_position,
        "base_down": side.step[0] * width * per_position,
    }
