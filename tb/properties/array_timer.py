"""The turns of the arrays: one direction at a time, one stage at a time, none longer than it should be."""

from __future__ import annotations

from amaranth import Const, Module, Mux, Signal
from amaranth.hdl import Assert, Assume

from hw.array_timer import ArrayTimer
from tb.properties.watched import Watched, earlier

LONGEST = 2  # of each time and count looked at; counters are as wide as ever
TURN_CLOCKS = 3 + LONGEST + LONGEST * (LONGEST + LONGEST * LONGEST) + LONGEST


class ArraysTakeTurns(Watched):
    """Registers of times hold still, as they should during a run; averages and conversions are at least one."""

    block: ArrayTimer

    def properties(self, m: Module) -> None:
        b = self.block
        after = earlier(m, Const(1), 1)
        held = (b.settle, b.transposed_settle, b.integrate, b.convert, b.transposed_convert, b.discharge, b.average)
        for time in held:
            m.d.comb += [Assume(time <= LONGEST), Assume(~after | (time == earlier(m, time, 1)))]
        for count in (b.convert, b.transposed_convert, b.average, b.conversions):
            m.d.comb += [Assume(count != 0), Assume(count <= LONGEST)]

        offers = earlier(m, b.loaded & ~b.apply, 1)
        m.d.comb += Assume(~offers | b.loaded)
        for part in (b.transposed, b.conversions):
            m.d.comb += Assume(~offers | (part == earlier(m, part, 1)))

        opened = Signal()
        with m.If(b.apply | b.latch):
            m.d.sync += opened.eq(b.apply)
        at_rest = earlier(m, b.stage == 0, 1)
        m.d.comb += [
            Assert((b.stage & (b.stage - 1)) == 0, "one stage at a time"),
            Assert(b.apply | (b.is_transposed == earlier(m, b.is_transposed, 1)), "one direction from apply to apply"),
            Assert(~b.apply | (at_rest & ~opened), "nothing is applied before the turn before is over"),
            Assert(~b.latch | opened, "codes are latched once a turn"),
            Assert(~b.latch | b.may_latch, "codes are latched when those before were fetched"),
            Assert(~(b.stage[1] | b.stage[2]) | opened, "arrays are read between apply and latch"),
        ]

        # From apply to apply, while the next turn is loaded and codes are fetched in time.
        wanted, clocks, prompt = Signal.like(b.conversions), Signal(range(TURN_CLOCKS + 2)), Signal()
        taken, transposed = earlier(m, b.conversions, 1), Signal()
        settle = Mux(transposed, b.transposed_settle, b.settle)
        convert = Mux(transposed, b.transposed_convert, b.convert)
        turn = 3 + settle + b.average * (b.integrate + wanted * convert) + b.discharge
        m.d.comb += Assert(~prompt | (clocks <= turn), "a turn takes as long as its stages")
        with m.If(b.apply):
            m.d.comb += Assert(~prompt | (clocks == turn), "a turn takes no less than its stages")
            m.d.sync += [clocks.eq(1), prompt.eq(1), wanted.eq(taken), transposed.eq(b.is_transposed)]
        with m.Else():
            m.d.sync += [clocks.eq(clocks + 1), prompt.eq(prompt & b.loaded & b.may_latch)]
