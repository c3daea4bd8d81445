"""Multiplication by a real ratio: an integer multiplier, a right shift, rounding, saturation."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Shape
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from hw.fixed import Rule, RulePort, scaled
from hw.pipeline import Pipeline


class Scaler(Component):
    """y = saturate(floor((x multiplier + half) >> shift)), half = 2^(shift - 1), or 0 without a shift.

    Golden model: ``mapping.arithmetic.Scaling.apply`` with limits. Nine stages: take; hand on; multiply; hand on; add
    up the product; shift; round; compare with the limits; choose. One element a clock, ``latency`` clocks from taking
    an x to giving its y. Ready goes from o to i within the clock.

    Parameters:
        x: shape of the input.
        rule: constants, or the widths of the port ``rule``.

    Members:
        i: stream of x.
        o: stream of y, of the shape ``rule.output``.
        rule: only with a :class:`RulePort`: multiplier, shift, low, high; read in the clock in which an x is taken.
    """

    latency = 9

    def __init__(self, x: Shape, rule: Rule | RulePort) -> None:
        members = {"i": In(stream.Signature(x)), "o": Out(stream.Signature(rule.output))}
        if isinstance(rule, RulePort):
            members["rule"] = In(rule.layout)
        super().__init__(members)
        if isinstance(rule, Rule):
            self.rule: Any = rule

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = Pipeline(m, self.latency, self.i, self.o, self.o.ready)
        (y,) = scaled(p, [self.i.payload], self.rule)
        m.d.comb += self.o.payload.eq(p.kept(y))
        return m
