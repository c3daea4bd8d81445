"""Collecting: ADC codes of every sensed line, added up where they belong."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, stream
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import Component, In, Out

from hw.beat_walk import BeatWalk
from hw.register_map import CLOCK_BITS
from hw.tables import Tables, address

OUTSTANDING = 8  # beats asked for and not answered: covers an array's pipeline


class Collector(Component):
    """Asks for the codes of a turn, beat by beat, and adds what comes to the sums: sum <- sum + code.

    Codes come in the order they were asked for. A code outside the converter's symmetric range counts as its end. With
    averaging each beat is asked for ``average`` times, and all its codes are added. One beat a clock; two clocks from a
    code to its sum, a sum that is needed again in the next clock is handed on.

    Members:
        i: stream of reads.
        latch: the codes of a turn may be fetched; may_latch: no turn's codes are being fetched, or these are the last.
        o: stream of requests: crossbar, line (of lane 0), stride, mask.
        codes: stream of answers, ``lanes`` codes.
        average: see above; timeout: clocks to wait for an answer.
        sum_address, sum_data: read port of the sums' memory; write, write_address, write_data: its write port.
        list_*, tile_*: see :class:`BeatWalk`.
        busy: something was asked for, or is still to be asked for or added.
        late: strobe, no answer came in time; clipped: codes at an end of their range that were just added.
    """

    def __init__(self, tables: Tables) -> None:
        c = self._config = tables.config
        self._walk = BeatWalk(tables, "sense")
        ports = {name: member for name, member in self._walk.signature.members.items() if name[:4] in ("list", "tile")}
        self._sums = data.ArrayLayout(signed(c.accumulator_bits), c.lanes)
        request = data.StructLayout(
            {
                "crossbar": address(c.crossbars),
                "line": c.line_bits,
                "stride": c.line_bits,
                "mask": c.lanes,
            }
        )
        super().__init__(
            {
                "i": In(stream.Signature(tables.reads)),
                "latch": In(1),
                "may_latch": Out(1),
                "o": Out(stream.Signature(request)),
                "codes": In(stream.Signature(data.ArrayLayout(signed(c.code_adc_bits), c.lanes))),
                "average": In(CLOCK_BITS),
                "timeout": In(CLOCK_BITS),
                "sum_address": Out(address(c.sum_words)),
                "sum_data": In(self._sums),
                "write": Out(1),
                "write_address": Out(address(c.sum_words)),
                "write_data": Out(self._sums),
                "busy": Out(1),
                "late": Out(1),
                "clipped": Out(range(c.lanes + 1)),
                **ports,
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        c, lanes = self._config, self._config.lanes
        m.submodules.walk = walk = self._walk
        row, running, begin, turn = Signal(self.i.payload.shape()), Signal(), Signal(), Signal()
        repeat, asked, over = Signal(CLOCK_BITS), Signal(), Signal()
        where = data.StructLayout({"address": address(c.sum_words), "used": lanes, "transposed": 1})
        m.submodules.waiting = waiting = SyncFIFO(width=where.size, depth=OUTSTANDING)
        place, head = Signal(where), Signal(where)

        # Asking
        m.d.comb += [
            self.i.ready.eq(~running),
            walk.row.eq(row),
            walk.begin.eq(begin),
            *(getattr(self, name).eq(getattr(walk, name)) for name in ("list_address", "list_enable")),
            *(getattr(self, name).eq(getattr(walk, name)) for name in ("tile_address", "tile_enable")),
            walk.list_data.eq(self.list_data),
            walk.tile_data.eq(self.tile_data),
            self.o.valid.eq(walk.o.valid & turn & waiting.w_rdy),
            self.o.p.crossbar.eq(walk.o.p.crossbar),
            self.o.p.line.eq(walk.o.p.line),
            self.o.p.stride.eq(walk.o.p.stride),
            self.o.p.mask.eq(walk.o.p.mask),
            asked.eq(self.o.valid & self.o.ready),
            walk.o.ready.eq(asked & (repeat + 1 >= self.average)),
            over.eq(walk.o.ready & walk.o.p.turn_last),
            self.may_latch.eq(~turn | over),
        ]
        m.d.sync += begin.eq(self.i.valid & self.i.ready)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [row.eq(self.i.payload), running.eq(1)]
        with m.If(asked):
            m.d.sync += repeat.eq(Mux(walk.o.ready, 0, repeat + 1))
        with m.If(over):
            m.d.sync += turn.eq(0)
            with m.If(walk.o.p.finished):
                m.d.sync += running.eq(0)
        with m.If(self.latch):
            m.d.sync += turn.eq(1)

        # What is asked for waits for its answer.
        m.d.comb += [
            place.address.eq(walk.o.p.address),
            place.used.eq(Mux(walk.o.p.inside, walk.o.p.mask, 0)),
            place.transposed.eq(row.transposed),
            waiting.w_en.eq(asked),
            waiting.w_data.eq(place),
            head.eq(waiting.r_data),
            self.codes.ready.eq(waiting.r_rdy),
            waiting.r_en.eq(self.codes.valid),
        ]
        patience = Signal(CLOCK_BITS)
        m.d.comb += self.late.eq(waiting.r_rdy & ~self.codes.valid & (patience == self.timeout))
        with m.If(~waiting.r_rdy | self.codes.valid):
            m.d.sync += patience.eq(0)
        with m.Elif(~self.late):
            m.d.sync += patience.eq(patience + 1)

        # Adding
        adding, answer = Signal(), Signal(where)
        taken = Signal(self.codes.payload.shape())
        m.d.comb += self.sum_address.eq(head.address)
        m.d.sync += adding.eq(self.codes.valid & self.codes.ready)
        with m.If(self.codes.valid & self.codes.ready):
            m.d.sync += [answer.eq(head), taken.eq(self.codes.payload)]
        written, last = Signal(), Signal.like(self.write_address)
        handed = Signal(self._sums)
        m.d.sync += [written.eq(self.write), last.eq(self.write_address), handed.eq(self.write_data)]
        high = Mux(answer.transposed, (1 << c.transposed_adc_bits - 1) - 1, (1 << c.adc_bits - 1) - 1)
        ends = []
        for lane in range(lanes):
            code = Signal(signed(c.code_adc_bits), name=f"code_{lane}")
            before = Mux(written & (last == answer.address), handed[lane], self.sum_data[lane])
            m.d.comb += [
                code.eq(Mux(taken[lane] > high, high, Mux(taken[lane] < -high, -high, taken[lane]))),
                self.write_data[lane].eq(before + Mux(answer.used[lane], code, 0)),
            ]
            ends.append(adding & answer.used[lane] & ((code == high) | (code == -high)))
        m.d.comb += [
            self.write.eq(adding & answer.used.any()),
            self.write_address.eq(answer.address),
            self.clipped.eq(sum(ends)),
            self.busy.eq(running | self.i.valid | waiting.r_rdy | adding),
        ]
        return m
