"""All beats of a read, position after position: each with its place in memory and its tile's place on the crossbars."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from hw.tables import Tables, address
from hw.walk import Walk


class BeatWalk(Component):
    """Runs a list of beats once at every position of a region.

    Stages: the list's row is asked for, there, taken; its place in the image, while the tile is asked for; the tile. A
    beat a clock, without pauses between positions.

    Parameters:
        tables: layouts.
        side: ``drive`` or ``sense``.

    Members:
        begin: take ``row``, the read (held until the end), and start over; drops what is under way.
        row: of the reads' table.
        list_address, list_data, list_enable: port of the list's memory, a clock from address to data.
        tile_address, tile_data, tile_enable: port of the tiles' memory.
        o: stream of beats: crossbar, line (of lane 0) and stride, mask, inside (or in the padding), address of the
            word, turn_last (of a position's turn), finished (the last of all).
    """

    def __init__(self, tables: Tables, side: str) -> None:
        config = tables.config
        self._side, self._reads = side, tables.reads
        beat = tables.drive if side == "drive" else tables.sense
        rows = config.drive_beats if side == "drive" else config.sense_beats
        placed = data.StructLayout(
            {
                "crossbar": address(config.crossbars),
                "line": config.line_bits,
                "stride": config.line_bits,
                "mask": dict(beat)["mask"].shape,
                "inside": 1,
                "address": dict(beat)["offset"].shape,
                "turn_last": 1,
                "finished": 1,
            }
        )
        super().__init__(
            {
                "begin": In(1),
                "row": In(tables.reads),
                "list_address": Out(address(rows)),
                "list_data": In(beat),
                "list_enable": Out(1),
                "tile_address": Out(address(config.tile_rows)),
                "tile_data": In(tables.tiles),
                "tile_enable": Out(1),
                "o": Out(stream.Signature(placed)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row, beat = self.row, Signal(self.list_data.shape())
        side = getattr(row, self._side)
        first, count = getattr(row, f"{self._side}_first"), getattr(row, f"{self._side}_count")
        m.submodules.walk = walk = Walk(side.shape(), len(row.rows))
        fetching, fetched, taken, placed, given, go = (Signal() for _ in range(6))
        number = Signal.like(count)
        held, shown, tile = (Signal(shape) for shape in (*[self.o.payload.shape()] * 2, self.tile_data.shape()))
        # Lines of rows are sensed by a transposed read and driven by a forward one.
        of_rows = row.transposed if self._side == "sense" else ~row.transposed

        m.d.comb += [
            go.eq(~given | self.o.ready),
            walk.walk.eq(side),
            walk.rows.eq(row.rows),
            walk.columns.eq(row.columns),
            walk.begin.eq(self.begin),
            self.list_address.eq(first + number),
            self.list_enable.eq(go),
            self.tile_address.eq(row.tile_first + beat.tile),
            self.tile_enable.eq(go),
        ]
        finished, advance, inside = Signal(), Signal(), Signal()
        down, across = walk.top + beat.down, walk.left + beat.across
        m.d.comb += [
            advance.eq(go & taken & beat.last),
            walk.advance.eq(advance),
            finished.eq(beat.last & walk.is_last),
            inside.eq((down >= 0) & (down < side.height) & (across >= 0) & (across < side.width)),
        ]
        with m.If(go):
            m.d.sync += [fetched.eq(fetching), taken.eq(fetched), placed.eq(taken), given.eq(placed)]
            m.d.sync += [beat.eq(self.list_data), shown.eq(held), tile.eq(self.tile_data)]
            with m.If(fetching):
                m.d.sync += number.eq(number + 1)
                with m.If(number + 1 == count):
                    m.d.sync += number.eq(0)
            m.d.sync += [
                held.line.eq(beat.line),
                held.stride.eq(beat.stride),
                held.mask.eq(beat.mask),
                held.inside.eq(inside),
                held.address.eq(walk.address + beat.offset),
                held.turn_last.eq(beat.turn_last),
                held.finished.eq(finished),
            ]
            with m.If(taken & finished):  # what is being fetched belongs to no position any more
                m.d.sync += [fetching.eq(0), fetched.eq(0), taken.eq(0)]
        with m.If(self.begin):
            m.d.sync += [fetching.eq(1), number.eq(0)]
            m.d.sync += [each.eq(0) for each in (fetched, taken, placed, given)]

        m.d.comb += [
            self.o.valid.eq(given),
            self.o.payload.eq(shown),
            self.o.p.crossbar.eq(tile.crossbar),
        ]
        with m.If(of_rows):
            m.d.comb += self.o.p.line.eq(tile.row + shown.line)
        with m.Else():
            m.d.comb += self.o.p.line.eq(tile.column + shown.line)
        return m
