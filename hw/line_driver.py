"""Driving: codes of a layer to the DACs of the lines that see them, position by position."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from hw.beat_walk import BeatWalk
from hw.tables import Tables, address


class LineDriver(Component):
    """Loads the DACs for one turn of one position, waits until the arrays took them, and loads the next.

    DACs have two registers: what is loaded takes the place of what is driven with ``applied``, and lines that were not
    loaded are at rest then. Codes from beyond the image are 0.

    Members:
        i: stream of reads that are fed; ``bank`` is where the codes are.
        row: the read being driven.
        o: stream of beats: crossbar, line (of lane 0), stride, mask and codes, lane n being line ``line + n stride``.
        loaded: a whole turn is in the DACs and waits to be applied; is_first: it is the first of its read.
        applied: the arrays take what is loaded.
        list_*, tile_*: see :class:`BeatWalk`; code_address (bank and word), code_data, code_enable: the codes' memory.
    """

    def __init__(self, tables: Tables) -> None:
        c = tables.config
        self._walk = BeatWalk(tables, "drive")
        self._codes = data.ArrayLayout(signed(c.code_bits), c.drive_lanes)
        beat = data.StructLayout(
            {
                "crossbar": address(c.crossbars),
                "line": c.line_bits,
                "stride": c.line_bits,
                "mask": c.drive_lanes,
                "codes": self._codes,
            }
        )
        ports = {name: member for name, member in self._walk.signature.members.items() if name[:4] in ("list", "tile")}
        super().__init__(
            {
                "i": In(stream.Signature(tables.reads)),
                "bank": In(1),
                "row": Out(tables.reads),
                "o": Out(stream.Signature(beat)),
                "loaded": Out(1),
                "is_first": Out(1),
                "applied": In(1),
                "code_address": Out(address(c.code_words) + 1),
                "code_data": In(self._codes),
                "code_enable": Out(1),
                **ports,
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.walk = walk = self._walk
        busy, finished, bank, begin = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(~busy),
            walk.row.eq(self.row),
            walk.begin.eq(begin),
            *(getattr(self, name).eq(getattr(walk, name)) for name in ("list_address", "tile_address")),
            walk.list_data.eq(self.list_data),
            walk.tile_data.eq(self.tile_data),
        ]
        m.d.sync += begin.eq(self.i.valid & self.i.ready)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [self.row.eq(self.i.payload), bank.eq(self.bank), busy.eq(1), self.is_first.eq(1)]

        # Two stages more than the walk: codes are there, and are taken.
        placed, held = (Signal(walk.o.payload.shape(), reset_less=True) for _ in range(2))
        fetched, full, go, codes = Signal(), Signal(), Signal(), Signal(self._codes, reset_less=True)
        m.d.comb += [
            go.eq(~full | (self.o.ready & ~self.loaded)),
            walk.o.ready.eq(go),
            self.code_address[:-1].eq(walk.o.p.address),
            self.code_address[-1].eq(bank),
            self.code_enable.eq(go),
            self.o.valid.eq(full & ~self.loaded),
            self.o.p.crossbar.eq(held.crossbar),
            self.o.p.line.eq(held.line),
            self.o.p.stride.eq(held.stride),
            self.o.p.mask.eq(held.mask),
        ]
        for lane in range(len(held.mask)):
            used = held.inside & held.mask[lane]
            m.d.comb += self.o.p.codes[lane].eq(Mux(used, codes[lane], 0))
        with m.If(go):
            m.d.sync += [fetched.eq(walk.o.valid), placed.eq(walk.o.payload)]
            m.d.sync += [full.eq(fetched), held.eq(placed), codes.eq(self.code_data)]
        with m.If(begin):
            m.d.sync += [fetched.eq(0), full.eq(0)]
        with m.If(self.o.valid & self.o.ready & held.turn_last):
            m.d.sync += [self.loaded.eq(1), finished.eq(held.finished)]
        with m.If(self.loaded & self.applied):
            m.d.sync += [self.loaded.eq(0), self.is_first.eq(0)]
            with m.If(finished):
                m.d.sync += busy.eq(0)
        return m
