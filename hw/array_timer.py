"""When the arrays settle, integrate, convert and discharge: one turn of one position after the other."""

from __future__ import annotations

from collections.abc import Mapping

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import Component, In, Out

from hw.countdown import Countdown
from hw.delay import delayed
from hw.register_map import CLOCK_BITS

STAGES = ("settle", "integrate", "convert", "discharge")
TIMES = ("settle", "transposed_settle", "integrate", "convert", "transposed_convert", "discharge")


class ArrayTimer(Component):
    """apply, settle, as often as conversions are averaged integrate and convert, latch, discharge.

    A stage of no clocks is left out. Leaving rest, ``apply`` and ``latch`` take a clock each; ``latch`` waits until the
    codes of the turn before were fetched. So a turn takes 3 + settle + average (integrate + conversions convert) +
    discharge clocks, or as long as its codes take to be fetched.

    Members:
        loaded: DACs are loaded; transposed, conversions: of that turn's read.
        settle, transposed_settle, ...: times in clocks, converts of one conversion; a conversion of 0 takes a clock.
            Held from the clock before ``loaded`` to the end of the turn, and so is ``average``.
        average: times that the arrays integrate and convert.
        may_latch: the codes of the turn before were fetched.
        apply, latch: strobes. With latch the codes of the turn may be fetched.
        stage: a bit for each of settle, integrate, convert and discharge.
        is_transposed: direction of the turn in the arrays.
        busy: a turn is under way.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "loaded": In(1),
                "transposed": In(1),
                "conversions": In(16),
                **{name: In(CLOCK_BITS) for name in TIMES},
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
        clocks, conversions, repeats = Countdown(m, CLOCK_BITS), Countdown(m, 16), Countdown(m, CLOCK_BITS)
        wanted, wanted_once = Signal(16), Signal()
        once = {name: delayed(m, getattr(self, name) <= 1, 1) for name in (*TIMES, "average")}
        none = {name: delayed(m, getattr(self, name) == 0, 1) for name in TIMES}
        m.d.comb += self.busy.eq(self.loaded)

        def either(name: str, way: Value, values: Mapping[str, Value]) -> Value:
            return Mux(way, values[f"transposed_{name}"], values[name])

        times = {name: getattr(self, name) for name in TIMES}
        to_settle = either("settle", self.transposed, times), either("settle", self.transposed, once)
        to_convert = either("convert", self.is_transposed, times), either("convert", self.is_transposed, once)

        def start_reading() -> None:
            with m.If(~none["integrate"]):
                clocks.start(self.integrate, once["integrate"])
                m.next = "integrate"
            with m.Else():
                start_converting()

        def start_converting() -> None:
            clocks.start(*to_convert)
            conversions.start(wanted, wanted_once)
            m.next = "convert"

        with m.FSM() as fsm:
            with m.State("rest"), m.If(self.loaded):
                m.next = "apply"
                m.d.sync += self.is_transposed.eq(self.transposed)
                m.d.sync += [wanted.eq(self.conversions), wanted_once.eq(self.conversions <= 1)]
            with m.State("apply"):
                m.d.comb += [self.apply.eq(1), self.busy.eq(1)]
                repeats.start(self.average, once["average"])
                with m.If(~either("settle", self.transposed, none)):
                    clocks.start(*to_settle)
                    m.next = "settle"
                with m.Else():
                    start_reading()
            with m.State("settle"):
                m.d.comb += self.busy.eq(1)
                clocks.step()
                with m.If(clocks.is_last):
                    start_reading()
            with m.State("integrate"):
                m.d.comb += self.busy.eq(1)
                clocks.step()
                with m.If(clocks.is_last):
                    start_converting()
            with m.State("convert"):
                m.d.comb += self.busy.eq(1)
                clocks.step()
                with m.If(clocks.is_last):
                    clocks.start(*to_convert)
                    conversions.step()
                    with m.If(conversions.is_last):
                        repeats.step()
                        with m.If(repeats.is_last):
                            m.next = "latch"
                        with m.Else():
                            start_reading()
            with m.State("latch"):
                m.d.comb += [self.busy.eq(1), self.latch.eq(self.may_latch)]
                clocks.start(self.discharge, once["discharge"])
                with m.If(self.may_latch):
                    m.next = "rest"
                    with m.If(~none["discharge"]):
                        m.next = "discharge"
            with m.State("discharge"):
                m.d.comb += self.busy.eq(1)
                clocks.step()
                with m.If(clocks.is_last):
                    m.next = "rest"
        m.d.comb += self.stage.eq(Cat(*(fsm.ongoing(name) for name in STAGES)))
        return m
