"""Collecting: ADC codes of every sensed line, added up where they belong."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, stream
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import Component, In, Out

from hw.beat_walk import BeatWalk
from hw.delay import delayed, recalled
from hw.register_map import CLOCK_BITS
from hw.tables import Tables, address

OUTSTANDING = 8  # beats asked for and not answered: covers an array's pipeline
AHEAD = 2  # beats at hand: what the array takes is counted here, far from the walk


class Collector(Component):
    """Asks for the codes of a turn, beat by beat, and adds what comes to the sums: sum <- sum + code.

    Codes come in the order they were asked for. A code outside the converter's symmetric range counts as its end. With
    averaging each beat is asked for ``average`` times, and all its codes are added. One beat a clock; four clocks from
    a code to its sum, a sum that is needed again in the next two is handed on.

    Members:
        i: stream of reads.
        latch: the codes of a turn may be fetched; may_latch: no turn's codes are being fetched, or these are the last.
        o: stream of requests: crossbar, line (of lane 0), stride, mask.
        codes: stream of answers, ``lanes`` codes.
        average: see above; timeout: clocks to wait for an answer.
        sum_address, sum_data: read port of the sums' memory, two clocks from address to data.
        write, write_address, write_data: its write port.
        list_*, tile_*: see :class:`BeatWalk`.
        busy: something was asked for, or is still to be asked for or added.
        late: strobe a clock later, no answer came in time; clipped: codes just added that are at an end of their range.
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
        row, running, begin, turn = Signal(self.i.payload.shape(), reset_less=True), Signal(), Signal(), Signal()
        left, is_last, asked, over = Signal(CLOCK_BITS), Signal(), Signal(), Signal()
        where = data.StructLayout({"address": address(c.sum_words), "used": lanes, "transposed": 1})
        m.submodules.waiting = waiting = SyncFIFO(width=where.size, depth=OUTSTANDING)
        place, head, room, offered = Signal(where), Signal(where), Signal(), Signal()
        beat = Signal(walk.o.payload.shape())
        m.submodules.ahead = ahead = SyncFIFO(width=beat.shape().size, depth=AHEAD)

        # Asking
        m.d.comb += [
            self.i.ready.eq(~running),
            walk.row.eq(row),
            walk.begin.eq(begin),
            *(getattr(self, name).eq(getattr(walk, name)) for name in ("list_address", "tile_address")),
            walk.list_data.eq(self.list_data),
            walk.tile_data.eq(self.tile_data),
            ahead.w_en.eq(walk.o.valid),
            ahead.w_data.eq(walk.o.payload),
            walk.o.ready.eq(ahead.w_rdy),
            beat.eq(ahead.r_data),
            self.o.valid.eq(ahead.r_rdy & turn & (room | offered)),
            self.o.p.crossbar.eq(beat.crossbar),
            self.o.p.line.eq(beat.line),
            self.o.p.stride.eq(beat.stride),
            self.o.p.mask.eq(beat.mask),
            asked.eq(self.o.valid & self.o.ready),
            ahead.r_en.eq(asked & is_last),
            over.eq(ahead.r_en & beat.turn_last),
            self.may_latch.eq(~turn | over),
        ]
        m.d.sync += begin.eq(self.i.valid & self.i.ready)
        m.d.sync += room.eq(waiting.w_level <= OUTSTANDING - 2)  # for what is asked in this clock, and in the next
        m.d.sync += offered.eq(self.o.valid & ~self.o.ready)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [row.eq(self.i.payload), running.eq(1)]
        # Of a beat's conversions those that are left; a clock ahead it is known whether this is the last.
        with m.If(begin | ahead.r_en):
            m.d.sync += [left.eq(self.average), is_last.eq(self.average <= 1)]
        with m.Elif(asked):
            m.d.sync += [left.eq(left - 1), is_last.eq(left == 2)]
        with m.If(over):
            m.d.sync += turn.eq(0)
            with m.If(beat.finished):
                m.d.sync += running.eq(0)
        with m.If(self.latch):
            m.d.sync += turn.eq(1)

        # What is asked for waits for its answer.
        m.d.comb += [
            place.address.eq(beat.address),
            place.used.eq(Mux(beat.inside, beat.mask, 0)),
            place.transposed.eq(row.transposed),
            waiting.w_en.eq(asked),
            waiting.w_data.eq(place),
            head.eq(waiting.r_data),
            self.codes.ready.eq(waiting.r_rdy),
            waiting.r_en.eq(self.codes.valid),
        ]
        patience, is_late = Signal(CLOCK_BITS), Signal()
        m.d.comb += is_late.eq(waiting.r_rdy & ~self.codes.valid & (patience == self.timeout))
        m.d.sync += self.late.eq(is_late)
        with m.If(~waiting.r_rdy | self.codes.valid):
            m.d.sync += patience.eq(0)
        with m.Elif(~is_late):
            m.d.sync += patience.eq(patience + 1)

        # Adding: codes were taken; two clocks later their sums are there; codes and sums are kept; added.
        taking, there, adding = Signal(), Signal(), Signal()
        place_there = delayed(m, head, 2)
        answer = delayed(m, place_there, 1)
        taken, before = Signal(self.codes.payload.shape()), recalled(m, self.sum_data)
        m.d.comb += [self.sum_address.eq(head.address), taking.eq(self.codes.valid & self.codes.ready)]
        asking = delayed(m, taking, 1)
        m.d.comb += taken.eq(delayed(m, self.codes.payload, 2))
        m.d.sync += [there.eq(asking), adding.eq(there)]
        # Sums of the last two beats are newer than what the memory gave.
        written, last, from_last, from_earlier = Signal(), Signal.like(self.write_address), Signal(), Signal()
        handed = delayed(m, self.write_data, 1)
        earlier = delayed(m, handed, 1)
        m.d.sync += [
            written.eq(self.write),
            last.eq(self.write_address),
            from_last.eq(self.write & (self.write_address == place_there.address)),
            from_earlier.eq(written & (last == place_there.address)),
        ]
        highs = [(1 << bits - 1) - 1 for bits in (c.adc_bits, c.transposed_adc_bits)]
        ends = []
        for lane in range(lanes):
            code = Signal(signed(c.code_adc_bits), name=f"code_{lane}", reset_less=True)
            is_end = Signal(name=f"is_end_{lane}")
            high = Mux(place_there.transposed, highs[1], highs[0])
            above, below = taken[lane] >= high, taken[lane] <= -high
            m.d.sync += [
                code.eq(Mux(above, high, Mux(below, -high, taken[lane]))),
                is_end.eq(there & place_there.used[lane] & (above | below)),
            ]
            summed = Mux(from_last, handed[lane], Mux(from_earlier, earlier[lane], before[lane]))
            m.d.comb += self.write_data[lane].eq(summed + Mux(answer.used[lane], code, 0))
            ends.append(is_end)
        m.d.comb += [
            self.write.eq(adding & answer.used.any()),
            self.write_address.eq(answer.address),
            self.clipped.eq(sum(ends)),
            self.busy.eq(running | self.i.valid | waiting.r_rdy | asking | there | adding),
        ]
        return m
