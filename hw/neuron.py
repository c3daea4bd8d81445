"""The update of a state: drive and bias, over the stiffness, within the clip range."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Shape, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from hw.fixed import Rule, RulePort
from hw.pipeline import Pipeline
from hw.scaler import Scaler


class Neuron(Component):
    """New state clip(floor(((drive + bias) multiplier + half) >> shift)), multiplier / 2^shift nearest to 1 / k.

    Golden model: ``mapping.arithmetic.neuron``. Ten stages: take, then those of the :class:`Scaler`, which takes
    the sum. That is one bit wider than its longer part and cannot overflow. One element a clock, ``latency`` clocks
    from i to o.

    Parameters:
        drive: shape of the sum of the scaled reads.
        bias: shape of the bias.
        rule: 1 / k and the codes of the clip range: constants, or the widths of the port ``rule``.

    Members:
        i: stream of drive and bias.
        o: stream of states, of the shape ``rule.output``.
        rule: only with a :class:`RulePort`; read in the clock in which a drive is taken.
    """

    latency = 1 + Scaler.latency

    def __init__(self, drive: Shape, bias: Shape, rule: Rule | RulePort) -> None:
        layout = data.StructLayout({"drive": drive, "bias": bias})
        members = {"i": In(stream.Signature(layout)), "o": Out(stream.Signature(rule.output))}
        if isinstance(rule, RulePort):
            members["rule"] = In(rule.layout)
        super().__init__(members)
        if isinstance(rule, Rule):
            self.rule: Any = rule
        self._scale = rule

    def elaborate(self, platform: object) -> Module:
        m = Module()
        given = Signal(self.i.payload.shape())
        total = given.drive + given.bias
        m.submodules.scaler = scaler = Scaler(total.shape(), self._scale)
        p = Pipeline(m, 1, self.i, scaler.i, scaler.i.ready)
        m.d.comb += [given.eq(p.kept(self.i.payload)), scaler.i.payload.eq(total)]
        if isinstance(self._scale, RulePort):
            m.d.comb += scaler.rule.eq(p.kept(self.rule))
        connect(m, scaler.o, flipped(self.o))
        return m
