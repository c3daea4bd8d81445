"""What a nudged phase adds to the output layer: squared error as a minimiser, any other cost by its gradient."""

from __future__ import annotations

from amaranth import Module, Mux, Shape, Signal, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from hw.fixed import Rule, RulePort, multiplied, rounded
from hw.neuron import Neuron
from hw.pipeline import Pipeline


class SquaredErrorNudger(Component):
    """o = (h + beta y) / (k + beta), y one-hot: minimiser of E + beta/2 |o - y|^2, for beta of either sign.

    Golden model: ``mapping.arithmetic.SquaredErrorNudge.apply`` with h = drive + bias. It is a :class:`Neuron` with
    ``push`` added to the bias of the target's class: one element a clock, ``latency`` clocks from i to o.

    Parameters:
        drive: shape of the sum of the scaled reads.
        bias: shape of the bias.
        push: shape of the port.
        rule: 1 / (k + beta) and the codes of the clip range: constants, or the widths of the port ``rule``.

    Members:
        i: stream of drive, bias and is_target.
        o: stream of states, of the shape ``rule.output``.
        push: ``SquaredErrorNudge.push``, beta times the code of 1.0; read in the clock in which a drive is taken.
        rule: only with a :class:`RulePort`: ``SquaredErrorNudge.divide``; read in the same clock.
    """

    latency = Neuron.latency

    def __init__(self, drive: Shape, bias: Shape, push: Shape, rule: Rule | RulePort) -> None:
        layout = data.StructLayout({"drive": drive, "bias": bias, "is_target": 1})
        members = {"i": In(stream.Signature(layout)), "o": Out(stream.Signature(rule.output)), "push": In(push)}
        if isinstance(rule, RulePort):
            members["rule"] = In(rule.layout)
        super().__init__(members)
        self._drive, self._divide = drive, rule

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bias = self.i.p.bias + Mux(self.i.p.is_target, self.push, 0)
        m.submodules.neuron = neuron = Neuron(self._drive, bias.shape(), self._divide)
        if isinstance(self._divide, RulePort):
            m.d.comb += neuron.rule.eq(self.rule)
        m.d.comb += [
            neuron.i.p.drive.eq(self.i.p.drive),
            neuron.i.p.bias.eq(bias),
            neuron.i.valid.eq(self.i.valid),
            self.i.ready.eq(neuron.i.ready),
        ]
        connect(m, neuron.o, flipped(self.o))
        return m


class LinearNudger(Component):
    """drive + floor((error beta + half) >> fraction_bits): the nudge of a cost known by its gradient, error = -dC/ds.

    Golden model: ``mapping.arithmetic.linear_nudge``. Five stages: take; multiply; hand on; add up
    the product; round, shift and add. One element a clock, ``latency`` clocks from i to o. What comes out is a drive,
    wide enough for every sum: a :class:`Neuron` clips it.

    Parameters:
        drive: shape of the sum of the scaled reads.
        error: shape of the error's code.
        beta_bits: of |beta| in units of 2^-fraction_bits.
        fraction_bits: of beta.

    Members:
        i: stream of drive and error.
        o: stream of drives.
        beta: ``Scaling.fixed_point(beta, fraction_bits).multiplier``, either sign; read in the clock in which an
            element is taken.
    """

    latency = 5

    def __init__(self, drive: Shape, error: Shape, beta_bits: int = 16, fraction_bits: int = 12) -> None:
        layout = data.StructLayout({"drive": drive, "error": error})
        beta = signed(beta_bits + 1)
        output = (Signal(drive) + rounded(Signal(error) * Signal(beta), fraction_bits)).shape()
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(stream.Signature(output)), "beta": In(beta)})
        self._fraction_bits = fraction_bits

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = Pipeline(m, self.latency, self.i, self.o, self.o.ready)
        push = multiplied(p, p.kept(self.i.p.error), p.kept(self.beta))
        drive = p.kept(self.i.p.drive, self.latency - 1)
        m.d.comb += self.o.payload.eq(p.kept(drive + rounded(push, self._fraction_bits)))
        return m
