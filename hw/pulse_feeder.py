"""States of two nudged phases, tile by tile and position by position, as groups of lines for trains of pulses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from hw.contrast import MINUS
from hw.contrast_sum import extended
from hw.dac_feeder import group
from hw.delay import delayed, recalled
from hw.tables import Tables, address
from hw.walk import Walk


class PulseFeeder(Component):
    """For every tile of every copy of a matrix, at every position: its lines' states of +beta, then those of -beta.

    The present states are those of the phase of ``sign``, the captured ones those of the other sign; a clamped layer's
    are the same in both. In the padding states are 0. The groups of a tile, one for each of its beats, first those of
    rows, are given; then the next train waits for ``done``. Clocks: 6 for each group, 4 more for each train, and 1 for
    each tile, each copy and the table.

    Members:
        start, index, sign: row of the table, and the sign of beta in the present phase, 1 or -1 (3 as two bits);
            taken while not busy.
        busy: from the clock after start to the end.
        contrasts_address, contrasts_data: port of the table.
        list_address, list_data: of the sensed beats, those of rows and those of columns.
        tile_address, tile_data: of the tiles.
        state_address, state_data: of the states, two clocks from address to data.
        o: stream of groups: codes, used (a bit for each lane), is_row, and last with the last group of a train.
        line: of lane 0 of what is on ``o``, modulo its width; stride.
        row: of the table. crossbar: of the tile. minus: states of the phase of -beta. All three are held in a train.
        done: the train has ended. abort: rest from the next clock on, whatever it does.
    """

    def __init__(self, tables: Tables) -> None:
        c = tables.config
        codes = {name: field.shape for name, field in group(signed(c.state_bits + 1), c.lanes)}
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
                "o": Out(stream.Signature(data.StructLayout({**codes, "is_row": 1, "last": 1}))),
                "line": Out(c.line_bits),
                "stride": Out(c.line_bits),
                "row": Out(tables.contrasts),
                "crossbar": Out(address(c.crossbars)),
                "minus": Out(1),
                "done": In(1),
                "abort": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row, given, present_is_minus = self.row, self.o.payload, Signal()
        m.submodules.pre = pre = Walk(row.pre.shape(), len(row.rows))
        m.submodules.post = post = Walk(row.post.shape(), len(row.rows))
        begin, advance = Signal(), Signal()
        begun, advanced = delayed(m, begin, 1), delayed(m, advance, 1)
        for walk, of in ((pre, row.pre), (post, row.post)):
            m.d.comb += [
                walk.walk.eq(of),
                walk.rows.eq(row.rows),
                walk.columns.eq(row.columns),
                walk.begin.eq(begun),
                walk.advance.eq(advanced),
            ]

        # Beats of a tile begin where those of the tile before ended.
        number, row_first, row_next, column_first = (Signal.like(row.row_count) for _ in range(4))
        beat, tile_first, copy = Signal(self.list_data.shape()), Signal.like(row.tile_first), Signal.like(row.copies)
        pre_at, post_at = Signal.like(self.state_address), Signal.like(self.state_address)
        tile, tile_at, next_tile = (Signal.like(each) for each in (self.tile_data, self.tile_address, beat.tile))
        word = recalled(m, self.state_data)
        inside, of_row, ended, captured = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            self.busy.eq(1),
            self.contrasts_address.eq(self.index),
            self.list_address.eq(Mux(of_row, row.row_first, row.column_first) + number),
            self.tile_address.eq(tile_at),
            self.state_address.eq(Mux(of_row, pre_at, post_at) + beat.offset),
            captured.eq(self.minus ^ present_is_minus),
            given.used.eq(beat.mask),
            given.is_row.eq(of_row),
            given.last.eq(ended & ~of_row),
            self.stride.eq(beat.stride),
        ]
        m.d.sync += tile_at.eq(tile_first + beat.tile)
        m.d.sync += inside.eq(pre.sees(beat.down, beat.across))
        with m.FSM():

            @contextmanager
            def state(name: str) -> Iterator[None]:
                """A state that an abort ends; registers need no reset, as the next start sets them."""
                with m.State(name):
                    yield
                    with m.If(self.abort):
                        m.next = "rest"

            with state("rest"):
                m.d.comb += self.busy.eq(0)
                with m.If(self.start):
                    m.d.sync += present_is_minus.eq(self.sign == MINUS)
                    m.next = "table"
            with state("table"):
                m.d.sync += [row.eq(self.contrasts_data), tile_first.eq(self.contrasts_data.tile_first), copy.eq(1)]
                m.d.sync += [row_first.eq(0), column_first.eq(0)]
                m.next = "tile"
            with state("tile"):
                m.d.comb += begin.eq(1)
                m.d.sync += self.minus.eq(0)
                m.next = "walk"
            with state("walk"):  # the strobes go through a register, as all of both walks hang on them
                m.next = "place"
            with state("place"):
                m.d.sync += [
                    pre_at.eq(pre.address + Mux(captured, row.pre_captured, 0)),
                    post_at.eq(post.address + Mux(captured, row.post_captured, 0)),
                    of_row.eq(1),
                    number.eq(row_first),
                ]
                m.next = "ask"
            with state("ask"):
                m.d.sync += number.eq(number + 1)
                m.next = "beat"
            with state("beat"):
                m.d.sync += beat.eq(self.list_data)
                m.next = "word"
            with state("word"):  # asked for; the next beat is there, and shows whether this one is the tile's last
                m.d.sync += next_tile.eq(self.list_data.tile)
                m.next = "fetch"
            with state("fetch"):
                m.next = "keep"
            with state("keep"):
                m.d.sync += tile.eq(self.tile_data)
                m.next = "codes"
            with state("codes"):
                is_last = number == Mux(of_row, row.row_count, row.column_count)
                m.d.sync += [
                    self.crossbar.eq(tile.crossbar),
                    self.line.eq(Mux(of_row, tile.row, tile.column) + beat.line),
                    ended.eq(is_last | (next_tile != beat.tile)),
                ]
                for lane in range(len(beat.mask)):
                    x, y = (extended(word[lane], has_sign) for has_sign in (row.pre_signed, row.post_signed))
                    m.d.sync += given.codes[lane].eq(Mux(of_row, Mux(inside, x, 0), y))
                m.next = "give"
            with state("give"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready & ~ended):
                    m.d.sync += number.eq(number + 1)
                    m.next = "beat"
                with m.Elif(self.o.ready & of_row):
                    m.d.sync += [row_next.eq(number), number.eq(column_first), of_row.eq(0)]
                    m.next = "ask"
                with m.Elif(self.o.ready):
                    m.next = "train"
            with state("train"), m.If(self.done):
                m.next = "place"
                m.d.sync += self.minus.eq(~self.minus)
                with m.If(self.minus):
                    m.next = "position"
            with state("position"):
                m.d.comb += advance.eq(1)
                m.next = "walk"
                with m.If(pre.is_last):
                    m.d.sync += [row_first.eq(row_next), column_first.eq(number)]
                    m.next = "tile"
                    with m.If(row_next == row.row_count):
                        m.next = "copy"
            with state("copy"):
                m.d.sync += [
                    copy.eq(copy + 1),
                    tile_first.eq(tile_first + row.tiles),
                    row_first.eq(0),
                    column_first.eq(0),
                ]
                m.next = "tile"
                with m.If(copy == row.copies):
                    m.next = "rest"
        return m
