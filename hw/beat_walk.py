"""All beats of a read, position after position: each with its place in memory and its tile's place on the crossbars."""

from __future__ import annotations

from amaranth import Module, Mux, ResetInserter, Signal
from amaranth.lib import data, stream
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import Component, In, Out

from hw.delay import delayed
from hw.tables import Tables, address
from hw.walk import Walk

QUEUE = 8  # beats: from asking for one to giving it, and on


class BeatWalk(Component):
    """Runs a list of beats once at every position of a region.

    Stages: the list's row is asked for, there, taken; its place in the image, while the tile is asked for; the tile. A
    beat a clock, without pauses between positions. Nothing in them waits: what comes out goes to a queue, and no more
    is asked for than it has room for.

    Parameters:
        tables: layouts.
        side: ``drive`` or ``sense``.

    Members:
        begin: take ``row``, the read (held until the end), and start over; drops what is under way.
        row: of the reads' table.
        list_address, list_data: port of the list's memory, a clock from address to data.
        tile_address, tile_data: port of the tiles' memory.
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
                "tile_address": Out(address(config.tile_rows)),
                "tile_data": In(tables.tiles),
                "o": Out(stream.Signature(placed)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row, beat = self.row, delayed(m, self.list_data, 1)
        side = getattr(row, self._side)
        first, count = getattr(row, f"{self._side}_first"), getattr(row, f"{self._side}_count")
        m.submodules.walk = walk = Walk(side.shape(), len(row.rows))
        fetching, asking, fetched, taken, placed, given, freed = (Signal() for _ in range(7))
        number, room = Signal.like(count), Signal(range(QUEUE + 1), init=QUEUE)
        held = Signal(self.o.payload.shape(), reset_less=True)
        shown, tile = delayed(m, held, 1), delayed(m, self.tile_data, 1)
        # Lines of rows are sensed by a transposed read and driven by a forward one.
        of_rows = row.transposed if self._side == "sense" else ~row.transposed
        queue = SyncFIFO(width=self.o.payload.shape().size, depth=QUEUE)
        m.submodules.queue = ResetInserter(self.begin)(queue)

        m.d.comb += [
            asking.eq(fetching & (room != 0)),
            walk.walk.eq(side),
            walk.rows.eq(row.rows),
            walk.columns.eq(row.columns),
            walk.begin.eq(self.begin),
            self.list_address.eq(first + number),
            self.tile_address.eq(row.tile_first + beat.tile),
        ]
        finished = Signal()
        m.d.comb += [
            walk.advance.eq(taken & beat.last),
            finished.eq(beat.last & walk.is_last),
        ]
        m.d.sync += [
            fetched.eq(asking),
            taken.eq(fetched),
            placed.eq(taken),
            given.eq(placed),
            held.line.eq(beat.line),
            held.stride.eq(beat.stride),
            held.mask.eq(beat.mask),
            held.inside.eq(walk.sees(beat.down, beat.across)),
            held.address.eq(walk.address + beat.offset),
            held.turn_last.eq(beat.turn_last),
            held.finished.eq(finished),
            freed.eq(self.o.valid & self.o.ready),
            room.eq(room - asking + freed),
        ]
        with m.If(asking):
            m.d.sync += number.eq(Mux(number + 1 == count, 0, number + 1))
        with m.If(taken & finished):  # what is being fetched belongs to no position any more
            m.d.sync += [fetching.eq(0), fetched.eq(0), taken.eq(0)]
        with m.If(self.begin):
            m.d.sync += [fetching.eq(1), number.eq(0), room.eq(QUEUE)]
            m.d.sync += [each.eq(0) for each in (fetched, taken, placed, given, freed)]

        whole = Signal(self.o.payload.shape())
        m.d.comb += [
            whole.eq(shown),
            whole.crossbar.eq(tile.crossbar),
            whole.line.eq(Mux(of_rows, tile.row, tile.column) + shown.line),
            queue.w_en.eq(given),
            queue.w_data.eq(whole),
            self.o.valid.eq(queue.r_rdy),
            self.o.payload.eq(queue.r_data),
            queue.r_en.eq(self.o.ready),
        ]
        return m
