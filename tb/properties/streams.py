"""Streams: what is offered stays until it is taken; elements come out once each, in order, in time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from amaranth import Cat, Module, Signal, Value
from amaranth.hdl import Assert, Assume
from amaranth.lib import stream
from amaranth.lib.wiring import Out

from tb.properties.pipelines import Pipeline
from tb.properties.watched import Watched, earlier


class StreamsHold(Watched):
    """What an output stream offers stays as it is until it is taken; this for every output stream of a block.

    Memories of the block (``NAME_data`` with ``NAME_enable``) hold their data while they are not enabled. What
    ``abort`` or ``begin`` asks a block to drop may be withdrawn in that clock or the next.
    """

    def properties(self, m: Module) -> None:
        members = self.block.signature.members
        drops = Cat(getattr(self.block, name) for name in ("abort", "begin") if name in members).any()
        for name in members:
            memory, end = name.rpartition("_")[::2]
            if end == "enable":
                held = Value.cast(getattr(self.block, f"{memory}_data"))
                m.d.comb += Assume(earlier(m, getattr(self.block, name), 1) | (held == earlier(m, held, 1)))
        for name, offered in output_streams(self.block):
            payload = Value.cast(offered.payload)
            waited = ~drops & earlier(m, offered.valid & ~offered.ready, 1) & ~earlier(m, drops, 1)
            m.d.comb += [
                Assert(~waited | offered.valid, f"{name} offers until it is taken"),
                Assert(~waited | (payload == earlier(m, payload, 1)), f"{name} offers the same until it is taken"),
            ]


class StreamKeepsElements(Watched):
    """Each element that a pipeline takes comes out once, in order, as what it should be, and in time.

    The element that ``mark`` chooses is followed; as the choice is free, what holds for it holds for every one.

    Parameters:
        pipeline: what is claimed.
        block: what it is claimed of; by default the pipeline's own.
    """

    def __init__(self, pipeline: Pipeline, block: Any = None) -> None:
        super().__init__(pipeline.make() if block is None else block, mark=1)
        self._pipeline = pipeline

    def properties(self, m: Module) -> None:
        i, o, latency = self.block.i, self.block.o, self._pipeline.latency
        taken, given = Signal(), Signal()
        m.d.comb += [taken.eq(i.valid & i.ready), given.eq(o.valid & o.ready)]
        if "rule" in self.block.signature.members:
            m.d.comb += Assume(self.block.rule.low < self.block.rule.high)

        inside, waiting = Signal(range(2 * latency + 2)), Signal(range(latency + 1))
        m.d.sync += inside.eq(inside + taken - given)
        with m.If(taken | ~o.ready):
            m.d.sync += waiting.eq(0)
        with m.Elif(waiting != latency):
            m.d.sync += waiting.eq(waiting + 1)
        m.d.comb += [
            Assert(inside <= latency, "no more is taken than there is room for"),
            Assert(~o.valid | (inside != 0), "nothing is given that was not taken"),
            Assert((waiting != latency) | (inside == 0), "what was taken is given in time"),
            Assert(~o.ready | i.ready, "a willing sink makes a willing pipeline"),
        ]

        payload = Value.cast(o.payload)
        follows, ahead, wanted = Signal(), Signal.like(inside), Signal(payload.shape())
        with m.If(taken & self.mark & ~follows):
            m.d.sync += [follows.eq(1), ahead.eq(inside - given), wanted.eq(self._pipeline.expected(self.block))]
        with m.Elif(follows & given):
            m.d.sync += [ahead.eq(ahead - 1), follows.eq(ahead != 0)]
        arrives = follows & given & (ahead == 0)
        m.d.comb += Assert(~arrives | (payload == wanted), "an element is given as what it should become")


def output_streams(block: Any) -> Iterator[tuple[str, Any]]:
    """The streams that a block gives, by name."""
    for name, member in block.signature.members.items():
        if member.is_signature and member.flow is Out and isinstance(member.signature, stream.Signature):
            yield name, getattr(block, name)
