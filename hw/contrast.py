"""The contrast unit: states of two nudged phases, multiplied and added up over positions, become gradients."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from hw.contrast_sum import ContrastSum
from hw.delay import delayed
from hw.tables import Tables, address

MINUS = 3  # -1, the sign of beta, in two bits


class Contrast(Component):
    """For every row i and column j of a matrix: the sum over positions of x+_i y+_j - x-_i y-_j.

    The present states are those of the phase of ``sign``, the captured ones those of the other sign; a clamped layer's
    are the same in both. In the padding states are 0. See :class:`ContrastSum`.

    A beat to ``gradient`` for each tile, each of its rows, each of its beats of columns, in the order of the beats'
    lists: beats of rows, their lanes, beats of columns. While each is taken at once, busy for

        2 + 7 beats of rows + lanes left out before the last of each + 5 rows + gradients (4 positions + 11)

    clocks.

    Members:
        start, index, sign: row of the table, and the sign of beta in the present phase, 1 or -1 (3 as two bits);
            taken while not busy.
        busy: from the clock after start to the end.
        contrasts_address, contrasts_data: port of the table.
        list_address, list_data: of the sensed beats, those of rows and those of columns.
        tile_address, tile_data: of the tiles.
        state_address, state_data: of the states, two clocks from address to data.
        gradient: stream of beats: matrix (row of the table), crossbar, line of the row, line of lane 0's column (modulo
            its width) and stride, mask, and ``lanes`` values, whole numbers in codes of both layers. What is offered
            is held until it is taken, or until a reset.
    """

    def __init__(self, tables: Tables) -> None:
        c = self._config = tables.config
        self._contrasts, self._sum = tables.contrasts, ContrastSum(tables)
        given = data.StructLayout(
            {
                "matrix": address(c.contrast_rows),
                "crossbar": address(c.crossbars),
                "row": c.line_bits,
                "column": c.line_bits,
                "stride": c.line_bits,
                "mask": c.lanes,
                "values": data.ArrayLayout(signed(c.gradient_bits), c.lanes),
            }
        )
        super().__init__(
            {
                "start": In(1),
                "index": In(16),
                "sign": In(2),
                "busy": Out(1),
                "contrasts_address": Out(address(c.contrast_rows)),
                "contrasts_data": In(tables.contrasts),
                "list_address": Out(address(c.sense_beats)),
                "list_data": In(tables.sense),
                "tile_address": Out(address(c.tile_rows)),
                "tile_data": In(tables.tiles),
                "state_address": Out(address(c.state_words)),
                "state_data": In(data.ArrayLayout(c.state_bits, c.lanes)),
                "gradient": Out(stream.Signature(given)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row, minus, given = Signal(self._contrasts, reset_less=True), Signal(), self.gradient.payload
        beat = delayed(m, self.list_data, 1)
        of_row, of_column = (Signal(self.list_data.shape(), reset_less=True) for _ in range(2))
        lines, lane, corner = Signal.like(beat.mask), Signal(range(self._config.lanes)), Signal.like(given.column)
        # Numbers of beats in their lists. Columns of a tile begin where those of the tile before ended.
        row_beat, column, column_first = Signal.like(row.row_count), *(Signal.like(row.column_count) for _ in "ab")
        ended, tile = Signal(), Signal(self.tile_data.shape())
        tile_at = Signal.like(self.tile_address)
        m.d.sync += [
            tile_at.eq(row.tile_first + beat.tile),
            ended.eq((column == row.column_count) | (beat.tile != of_row.tile)),
        ]
        m.submodules.sum = adding = self._sum
        m.d.comb += [
            adding.row.eq(row),
            adding.of_row.eq(of_row),
            adding.of_column.eq(of_column),
            adding.lane.eq(lane),
            adding.minus.eq(minus),
            adding.state_data.eq(self.state_data),
            self.state_address.eq(adding.state_address),
            given.values.eq(adding.values),
        ]

        m.d.comb += [
            self.busy.eq(1),
            self.contrasts_address.eq(self.index),
            self.list_address.eq(row.column_first + column),
            self.tile_address.eq(tile_at),
        ]
        # A beat is there two clocks after its address; whether it is still of the tile is known one later.
        with m.FSM():
            with m.State("rest"):
                m.d.comb += self.busy.eq(0)
                with m.If(self.start):
                    m.d.sync += [given.matrix.eq(self.index), minus.eq(self.sign == MINUS)]
                    m.next = "table"
            with m.State("table"):
                m.d.sync += [row.eq(self.contrasts_data), row_beat.eq(0), column.eq(0)]
                m.next = "rows"
            with m.State("rows"):
                m.d.comb += self.list_address.eq(row.row_first + row_beat)
                m.d.sync += row_beat.eq(row_beat + 1)
                m.next = "row"
                with m.If(row_beat == row.row_count):
                    m.next = "rest"
            with m.State("row"):
                m.next = "turn"
            with m.State("turn"):
                m.d.sync += [of_row.eq(beat), lines.eq(beat.mask), lane.eq(0)]
                with m.If((row_beat == 1) | (beat.tile != of_row.tile)):
                    m.d.sync += column_first.eq(column)
                m.next = "tile"
            with m.State("tile"):
                m.next = "place"
            with m.State("place"):
                m.d.sync += tile.eq(self.tile_data)
                m.next = "line"
            with m.State("line"):
                m.d.sync += [
                    given.crossbar.eq(tile.crossbar),
                    given.row.eq(tile.row + of_row.line),
                    corner.eq(tile.column),
                ]
                m.next = "lane"
            with m.State("lane"):
                m.d.sync += column.eq(Mux(lines.any(), column_first, column))
                with m.If(lines[0]):
                    m.next = "columns"
                with m.Elif(lines.any()):
                    self._next_lane(m, lines, lane, of_row)
                with m.Else():
                    m.next = "rows"
            with m.State("columns"):
                m.next = "fetch"
            with m.State("fetch"):
                m.next = "compare"
            with m.State("compare"):
                m.next = "column"
            with m.State("column"):
                m.d.sync += [
                    of_column.eq(beat),
                    given.column.eq(corner + beat.line),
                    given.stride.eq(beat.stride),
                    given.mask.eq(beat.mask),
                ]
                with m.If(ended):
                    self._next_lane(m, lines, lane, of_row)
                    m.next = "lane"
                with m.Else():
                    m.d.sync += column.eq(column + 1)
                    m.next = "begin"
            with m.State("begin"):
                m.d.comb += adding.begin.eq(1)
                m.next = "give"
            with m.State("give"):
                m.d.comb += self.gradient.valid.eq(~adding.busy)
                with m.If(self.gradient.valid & self.gradient.ready):
                    m.next = "column"
        return m

    def _next_lane(self, m: Module, lines: Signal, lane: Signal, of_row: Any) -> None:
        m.d.sync += [
            lines.eq(lines >> 1),
            lane.eq(lane + 1),
            self.gradient.p.row.eq(self.gradient.p.row + of_row.stride),
        ]
