"""The lines of a tile that pulse in a slot: shares that are kept, compared with numbers slot by slot."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, ResetInserter, Shape, Signal, Value, unsigned
from amaranth.lib import data, stream
from amaranth.lib.memory import Memory, WritePort
from amaranth.lib.wiring import Component, In, Out

from hw.dac_feeder import DacFeeder, group, leapt
from hw.delay import delayed
from hw.fixed import RulePort
from mapping.dither import Lfsr

SLOT_BITS = 10


class PulseSlots(Component):
    """Takes the codes of all lines once, keeps their shares, and gives out for each slot which of them pulse.

    Golden models: ``mapping.arithmetic.trains.share`` and, slot by slot, ``train``. A line pulses if its share is at
    least its number. Drawn numbers come from two registers, of rows and of columns: as in :class:`DacFeeder`, lane l
    of a group takes the register times the leap matrix of l numbers, and each group leaps by all lanes. With ``fixed``
    all lines of a side have the number of a port, and the registers hold. One group a clock, the first one six clocks
    after ``begin``.

    Parameters:
        value: shape of a line's code.
        lanes: lines of a group; a lane without a line never pulses.
        groups: most groups, of rows and columns together.
        rows, columns: registers: their width, taps, shifts and the seed after reset.

    Members:
        i: stream of groups: codes, used (a bit for each lane), is_row, and last with the last group of all.
        o: stream of the same groups in the same order, once each slot: is_row, used, pulses and negative (of the code;
            both 0 in unused lanes), place (in the order) and last (of the slot).
        row_rule, column_rule: multiplier and shift of the scaling to shares; fixed, top: shares saturate to ``top`` if
            trains are fixed, else to 2^width - 1. All read in the clock after a group is taken.
        row_fixed, column_fixed: with ``fixed``, the numbers; held during a slot.
        clear: forget all groups and what is under way; in the next clock new ones are taken.
        complete: all groups are kept, slots may begin. begin: strobe, give out a slot.
        ahead: place of the group that comes onto ``o`` next, when ``o`` is free or taken.
        given: the last group of a slot was taken a clock ago; met: in it, whether a row and a column pulse.
        load, row_seed, column_seed, row_number, column_number: see :class:`hw.pulser.Pulser`.
    """

    def __init__(self, value: Shape, lanes: int, groups: int, rows: Lfsr, columns: Lfsr) -> None:
        self._lanes, self._groups, self._rows, self._columns = lanes, groups, rows, columns
        width = rows.width
        self._share = RulePort(unsigned(width))
        rule = dict(self._share.layout)
        scaling = data.StructLayout({name: rule[name].shape for name in ("multiplier", "shift")})
        codes = {name: field.shape for name, field in group(value, lanes)}
        bits = dict.fromkeys(("used", "pulses", "negative"), lanes)
        given = {"is_row": 1, **bits, "place": range(groups), "last": 1}
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout({**codes, "is_row": 1, "last": 1}))),
                "o": Out(stream.Signature(data.StructLayout(given))),
                "row_rule": In(scaling),
                "column_rule": In(scaling),
                "fixed": In(1),
                "top": In(SLOT_BITS),
                "row_fixed": In(SLOT_BITS),
                "column_fixed": In(SLOT_BITS),
                "clear": In(1),
                "complete": Out(1),
                "begin": In(1),
                "ahead": Out(range(groups)),
                "given": Out(1),
                "met": Out(1),
                "load": In(1),
                "row_seed": In(width),
                "column_seed": In(width),
                "row_number": Out(width, init=rows.seed),
                "column_number": Out(width, init=columns.seed),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word = data.StructLayout(
            {
                "is_row": 1,
                "used": self._lanes,
                "negative": self._lanes,
                "shares": data.ArrayLayout(self._share.output, self._lanes),
            }
        )
        m.submodules.memory = memory = Memory(shape=word, depth=self._groups, init=[], attrs={"no_rw_check": 1})
        write, read = memory.write_port(), memory.read_port(domain="comb")
        written = Signal(range(self._groups + 1))
        self._keep(m, write, written)

        # A group is asked for, fetched, kept, has its numbers, is compared; o holds which of its lines pulse.
        asking, fetched, kept, drawn, compared, go = (Signal() for _ in range(6))
        asked, at_fetched, at_kept, at_drawn, at_compared = (Signal.like(self.o.p.place) for _ in range(5))
        of_fetched = Signal(word, reset_less=True)  # becomes the memory's own register
        of_kept, of_drawn, of_compared = (Signal(word, reset_less=True) for _ in range(3))
        numbers = [Signal(self._share.output, name=f"number_{lane}", reset_less=True) for lane in range(self._lanes)]
        pulses, row_met, column_met = Signal(self._lanes), Signal(), Signal()
        m.d.comb += [
            go.eq(~self.o.valid | self.o.ready),
            read.addr.eq(asked),
            self.ahead.eq(at_compared),
            self.met.eq(row_met & column_met),
        ]
        m.d.sync += self.given.eq(self.o.valid & self.o.ready & self.o.p.last & ~self.clear)
        with m.If(go):
            m.d.sync += [
                fetched.eq(asking),
                kept.eq(fetched),
                drawn.eq(kept),
                compared.eq(drawn),
                self.o.valid.eq(compared),
            ]
            m.d.sync += [at_fetched.eq(asked), at_kept.eq(at_fetched), at_drawn.eq(at_kept), at_compared.eq(at_drawn)]
            m.d.sync += [of_fetched.eq(read.data), of_kept.eq(of_fetched)]
            m.d.sync += [of_drawn.eq(of_kept), of_compared.eq(of_drawn)]
            m.d.sync += pulses.eq(Cat(of_drawn.shares[lane] >= number for lane, number in enumerate(numbers)))
            m.d.sync += [number.eq(self._number(of_kept.is_row, lane)) for lane, number in enumerate(numbers)]
            with m.If(asking):
                m.d.sync += [asked.eq(asked + 1), asking.eq(asked + 1 != written)]
            with m.If(compared):
                m.d.sync += [
                    self.o.p.is_row.eq(of_compared.is_row),
                    self.o.p.used.eq(of_compared.used),
                    self.o.p.negative.eq(of_compared.negative),
                    self.o.p.pulses.eq(pulses),
                    self.o.p.place.eq(at_compared),
                    self.o.p.last.eq(at_compared + 1 == written),
                    row_met.eq(row_met | of_compared.is_row & pulses.any()),
                    column_met.eq(column_met | ~of_compared.is_row & pulses.any()),
                ]
        with m.If(self.begin):
            m.d.sync += [asking.eq(1), asked.eq(0), row_met.eq(0), column_met.eq(0)]
        with m.If(self.clear):
            m.d.sync += [asking.eq(0), fetched.eq(0), kept.eq(0), drawn.eq(0), compared.eq(0), self.o.valid.eq(0)]

        for number, seed, lfsr, mine in (
            (self.row_number, self.row_seed, self._rows, of_kept.is_row),
            (self.column_number, self.column_seed, self._columns, ~of_kept.is_row),
        ):
            with m.If(self.load):
                m.d.sync += number.eq(seed)
            with m.Elif(go & kept & mine & ~self.fixed):
                m.d.sync += number.eq(leapt(number, lfsr, self._lanes))
        return m

    def _number(self, is_row: Value, lane: int) -> Value:
        """What a lane's share is compared with."""
        drawn = Mux(is_row, leapt(self.row_number, self._rows, lane), leapt(self.column_number, self._columns, lane))
        return Mux(self.fixed, Mux(is_row, self.row_fixed, self.column_fixed), drawn)

    def _keep(self, m: Module, write: WritePort, written: Signal) -> None:
        """Groups of codes become shares, and words of the memory; what a scaling does not need goes beside it."""
        # First the magnitudes, by themselves: negated and multiplied in one clock would be slow.
        beside = data.StructLayout({"is_row": 1, "last": 1, "used": self._lanes, "negative": self._lanes})
        offered, magnitudes = Signal(beside), [delayed(m, abs(code), 1) for code in self.i.p.codes]
        taken_beside = delayed(m, offered, 1)
        scaled_beside = delayed(m, taken_beside, DacFeeder.latency)
        scaler = DacFeeder(magnitudes[0].shape(), self._share, self._lanes)
        clearing = delayed(m, self.clear, 1)  # a register, as the scaler hangs on it; nothing new is in it by then
        m.submodules.scaler = ResetInserter(clearing)(scaler)
        taking, given, scaled = Signal(), Signal(), Signal()
        taken, closed = Signal(range(self._groups)), Signal()
        negative = Cat(code < 0 for code in self.i.p.codes)
        m.d.sync += given.eq(taking)
        m.d.comb += [
            offered.is_row.eq(self.i.p.is_row),
            offered.last.eq(self.i.p.last),
            offered.used.eq(self.i.p.used),
            offered.negative.eq(negative & self.i.p.used),
        ]
        m.d.comb += [
            self.i.ready.eq(~closed & ~self.clear),
            taking.eq(self.i.valid & self.i.ready),
            scaler.i.valid.eq(given),
            scaler.i.p.used.eq(taken_beside.used),
            *(scaler.i.p.codes[lane].eq(magnitude) for lane, magnitude in enumerate(magnitudes)),
            *(
                getattr(scaler.rule, name).eq(
                    Mux(taken_beside.is_row, getattr(self.row_rule, name), getattr(self.column_rule, name))
                )
                for name in ("multiplier", "shift")
            ),
            scaler.rule.high.eq(Mux(self.fixed, self.top, self._rows.period)),
            scaler.o.ready.eq(1),
            scaled.eq(scaler.o.valid & ~clearing),
            write.addr.eq(written),
            write.en.eq(scaled),
            write.data.is_row.eq(scaled_beside.is_row),
            write.data.used.eq(scaler.o.p.used),
            write.data.negative.eq(scaled_beside.negative),
            write.data.shares.eq(scaler.o.p.codes),
        ]
        with m.If(taking):
            m.d.sync += [taken.eq(taken + 1), closed.eq(self.i.p.last | (taken == self._groups - 1))]
        with m.If(scaled):
            m.d.sync += [written.eq(written + 1), self.complete.eq(scaled_beside.last)]
        with m.If(self.clear):
            m.d.sync += [given.eq(0), taken.eq(0), closed.eq(0), written.eq(0), self.complete.eq(0)]
