"""When the arrays settle, integrate, convert and discharge: one turn of one position after the other."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out

from hw.register_map import CLOCK_BITS

STAGES = ("settle", "integrate", "convert", "discharge")


class ArrayTimer(Component):
    """apply, settle, as often as conversions are averaged integrate and convert, latch, discharge.

    A stage of no clocks is left out. Leaving rest, ``apply`` and ``latch`` take a clock each; ``latch`` waits until the
    codes of the turn before were fetched. So a turn takes 3 + settle + average (integrate + conversions convert) +
    discharge clocks, or as long as its codes take to be fetched.

    Members:
        loaded: DACs are loaded; transposed, conversions: of that turn's read.
        settle, transposed_settle, ...: times in clocks, converts of one conversion; a conversion of 0 takes a clock.
        average: times that the arrays integrate and convert.
        may_latch: the codes of the turn before were fetched.
        apply, latch: strobes. With latch the codes of the turn may be fetched.
        stage: a bit for each of settle, integrate, convert and discharge.
        is_transposed: direction of the turn in the arrays.
        busy: a turn is under way.
    """

    def __init__(self) -> None:
        times = ("settle", "transposed_settle", "integrate", "convert", "transposed_convert", "discharge")
        super().__init__(
            {
                "loaded": In(1),
                "transposed": In(1),
                "conversions": In(16),
                **{name: In(CLOCK_BITS) for name in times},
                "average": In(CLOCK_BITS),
                "may_latch": In(1),
                "apply": Out(1),
                "latch": Out(1),
                "stage": Out(len(STAGES)),
                "is_transposed": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        clocks, conversions, repeats = Signal(CLOCK_BITS), Signal(16), Signal(CLOCK_BITS)
        wanted = Signal(16)
        settle = Mux(self.transposed, self.transposed_settle, self.settle)
        convert = Mux(self.is_transposed, self.transposed_convert, self.convert)
        m.d.comb += self.busy.eq(self.loaded)

        def start_reading() -> None:
            with m.If(self.integrate != 0):
                m.d.sync += clocks.eq(self.integrate)
                m.next = "integrate"
            with m.Else():
                start_converting()

        def start_converting() -> None:
            m.d.sync += [clocks.eq(convert), conversions.eq(wanted)]
            m.next = "convert"

        with m.FSM() as fsm:
            with m.State("rest"), m.If(self.loaded):
                m.next = "apply"
                m.d.sync += [self.is_transposed.eq(self.transposed), wanted.eq(self.conversions)]
            with m.State("apply"):
                m.d.comb += [self.apply.eq(1), self.busy.eq(1)]
                m.d.sync += repeats.eq(self.average)
                with m.If(settle != 0):
                    m.d.sync += clocks.eq(settle)
                    m.next = "settle"
                with m.Else():
                    start_reading()
            with m.State("settle"):
                m.d.comb += self.busy.eq(1)
                m.d.sync += clocks.eq(clocks - 1)
                with m.If(clocks <= 1):
                    start_reading()
            with m.State("integrate"):
                m.d.comb += self.busy.eq(1)
                m.d.sync += clocks.eq(clocks - 1)
                with m.If(clocks <= 1):
                    start_converting()
            with m.State("convert"):
                m.d.comb += self.busy.eq(1)
                m.d.sync += clocks.eq(clocks - 1)
                with m.If(clocks <= 1):
                    m.d.sync += [clocks.eq(convert), conversions.eq(conversions - 1)]
                    with m.If(conversions <= 1):
                        m.d.sync += repeats.eq(repeats - 1)
                        with m.If(repeats <= 1):
                            m.next = "latch"
                        with m.Else():
                            start_reading()
            with m.State("latch"):
                m.d.comb += [self.busy.eq(1), self.latch.eq(self.may_latch)]
                with m.If(self.may_latch):
                    m.d.sync += clocks.eq(self.discharge)
                    m.next = "rest"
                    with m.If(self.discharge != 0):
                        m.next = "discharge"
            with m.State("discharge"):
                m.d.comb += self.busy.eq(1)
                m.d.sync += clocks.eq(clocks - 1)
                with m.If(clocks <= 1):
                    m.next = "rest"
        m.d.comb += self.stage.eq(Cat(*(fsm.ongoing(name) for name in STAGES)))
        return m
