"""Multiplication by a real ratio: an integer multiplier, a right shift, rounding, saturation."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Shape, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from hw.fixed import Rule, RulePort, saturated, shifted, taken


class Scaler(Component):
    """y = saturate(floor((x multiplier + half) >> shift)), half = 2^(shift - 1), or 0 without a shift.

    Golden model: ``mapping.arithmetic.Scaling.apply`` with limits. Two stages: multiply; round, shift and saturate.
    One element a clock, ``latency`` clocks from taking an x to giving its y. Ready goes from o to i within the clock.

    Parameters:
        x: shape of the input.
        rule: constants, or the widths of the port ``rule``.

    Members:
        i: stream of x.
        o: stream of y, of the shape ``rule.output``.
        rule: only with a :class:`RulePort`: multiplier, shift, low, high; read in the clock in which an x is taken.
    """

    latency = 2

    def __init__(self, x: Shape, rule: Rule | RulePort) -> None:
        members = {"i": In(stream.Signature(x)), "o": Out(stream.Signature(rule.output))}
        if isinstance(rule, RulePort):
            members["rule"] = In(rule.layout)
        super().__init__(members)
        if isinstance(rule, Rule):
            self.rule: Any = rule

    def elaborate(self, platform: object) -> Module:
        m = Module()
        multiplied, may_shift = Signal(), Signal()
        exact = self.i.payload * self.rule.multiplier
        product = Signal(exact.shape())

        m.d.comb += self.i.ready.eq(~multiplied | may_shift)
        rule = taken(m, self.rule, self.i.ready)
        with m.If(self.i.ready):
            m.d.sync += [multiplied.eq(self.i.valid), product.eq(exact)]

        m.d.comb += may_shift.eq(~self.o.valid | self.o.ready)
        with m.If(may_shift):
            y = saturated(shifted(product, rule.shift), rule.low, rule.high)
            m.d.sync += [self.o.valid.eq(multiplied), self.o.payload.eq(y)]
        return m
