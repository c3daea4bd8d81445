"""State codes to DAC codes, rounded or dithered: what a read drives the array with."""

from __future__ import annotations

from functools import reduce
from operator import xor
from typing import Any

from amaranth import Cat, Module, Mux, Shape, Value
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from hw.fixed import ADDS, Rule, RulePort, scaled
from hw.pipeline import Pipeline
from hw.scaler import Scaler
from mapping.dither import Lfsr


class DacFeeder(Component):
    """code = saturate(floor((x multiplier + d) >> shift)) in L lanes; d is one half, or a number of an LFSR.

    Golden models: ``mapping.dither.dithered`` and, without an LFSR, ``Scaling.apply``. Lane l of clock c takes number
    c L + l: one register holds the number of lane 0, and lane l takes it times the leap matrix of l numbers. Taking a
    group leaps by L, whether its lanes are used or not (``Lfsr.after``); while nothing is taken the register holds.
    Nine stages: those of the :class:`Scaler`. One group a clock, ``latency`` clocks from i to o.

    Parameters:
        x: shape of a state's code.
        rule: scaling and the DAC's limits: constants, or the widths of the port ``rule``.
        lanes: L.
        lfsr: its width, taps, shifts and the seed after reset; None for rounding.

    Members:
        i: stream of groups: codes, an array of L, and used, a bit for each lane.
        o: stream of groups of DAC codes; 0 in unused lanes.
        rule: only with a :class:`RulePort`; read in the clock in which a group is taken.
        load, seed: only with an LFSR: with load the register holds seed (not 0) from the next clock on. A group taken
            in the clock of the load still has the numbers of before.
        number: only with an LFSR: what the register holds, the seed with which to continue.

    Raises:
        ValueError: for fewer than one lane.
    """

    latency = Scaler.latency

    def __init__(self, x: Shape, rule: Rule | RulePort, lanes: int = 1, lfsr: Lfsr | None = None) -> None:
        if lanes < 1:
            raise ValueError(f"{lanes} lanes: expected >= 1")
        members = {"i": In(stream.Signature(group(x, lanes))), "o": Out(stream.Signature(group(rule.output, lanes)))}
        if isinstance(rule, RulePort):
            members["rule"] = In(rule.layout)
        if lfsr is not None:
            members |= {"load": In(1), "seed": In(lfsr.width), "number": Out(lfsr.width, init=lfsr.seed)}
        super().__init__(members)
        if isinstance(rule, Rule):
            self.rule: Any = rule
        self._lanes, self._lfsr = lanes, lfsr

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = Pipeline(m, self.latency, self.i, self.o, self.o.ready)
        used, xs = p.kept(self.i.p.used, self.latency - 1), list(self.i.p.codes)
        if self._lfsr is None:
            codes = scaled(p, xs, self.rule)
        else:
            number = p.kept(self.number, ADDS - 1)
            numbers = [p.kept(leapt(number, self._lfsr, lane)) for lane in range(self._lanes)]
            codes = scaled(p, xs, self.rule, numbers, self._lfsr.width)
        m.d.comb += self.o.p.used.eq(p.kept(used))
        for lane, code in enumerate(codes):
            m.d.comb += self.o.p.codes[lane].eq(p.kept(Mux(used[lane], code, 0)))

        if self._lfsr is not None:
            with m.If(self.load):
                m.d.sync += self.number.eq(self.seed)
            with m.Elif(self.i.valid & self.i.ready):
                m.d.sync += self.number.eq(leapt(self.number, self._lfsr, self._lanes))
        return m


def group(code: Shape, lanes: int) -> data.StructLayout:
    """What the lanes take or give in one clock: codes [lanes], and a bit for each lane that is used."""
    return data.StructLayout({"codes": data.ArrayLayout(code, lanes), "used": lanes})


def leapt(register: Value, lfsr: Lfsr, count: int) -> Value:
    """The register ``count`` numbers on: each bit an XOR of some."""
    return Cat(
        reduce(xor, (register[bit] for bit in range(lfsr.width) if row >> bit & 1)) for row in lfsr.leap_matrix(count)
    )
