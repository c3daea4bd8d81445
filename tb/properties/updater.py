"""The updater, with any rows in its tables and any numbers in its memories: what it writes, and when it nudges."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.hdl import Assert, Assume

from hw.nudger import SquaredErrorNudger
from hw.updater import Updater
from mapping.program import Opcode
from tb.properties.watched import Watched, earlier


class UpdaterObeys(Watched):
    """A word of a snapshot, whichever, is written by SNAPSHOT and nothing else; only UPDATE with COST nudges.

    Of the tables it is assumed that no layer's states and captured copies hold that word, or reach beyond the memory;
    of the sequencer, that the sign stays during an operation.
    """

    block: Updater

    def __init__(self, block: Updater) -> None:
        super().__init__(block, word=block.signature.members["state_write_address"].shape)

    def properties(self, m: Module) -> None:
        b, row = self.block, self.block.layer_data
        known, held, sign_before = Signal(), Signal.like(self.word), earlier(m, b.sign, 1)
        m.d.sync += [known.eq(1), held.eq(self.word)]
        m.d.comb += [Assume(~known | (self.word == held)), Assume(~b.busy | (b.sign == sign_before))]
        for first in (row.state, row.captured):
            beyond = first + row.words
            m.d.comb += Assume(((self.word < first) | (self.word >= beyond)) & (beyond <= 1 << len(first)))
        m.d.comb += Assume(row.words != 0)

        # What was started, and its layer's row.
        starts = b.start & ~b.busy
        opcode, cost, layer = Signal.like(b.opcode), Signal(), Signal(row.shape())
        asked = earlier(m, starts, 2)
        with m.If(starts):
            m.d.sync += [opcode.eq(b.opcode), cost.eq(b.cost)]
        with m.If(asked):
            m.d.sync += layer.eq(row)
        writes = b.state_write & (b.state_write_address == self.word)
        m.d.comb += Assert(~writes | (opcode == Opcode.SNAPSHOT), "only SNAPSHOT writes a snapshot")

        nudges = cost & (b.sign != 0)
        phase = b.nudges[b.sign[1]]
        for nudger in self.parts(SquaredErrorNudger):
            used, targeted = nudger.i.valid, nudger.i.valid & nudger.i.p.is_target
            rule = Mux(nudges, Cat(phase.multiplier, phase.shift), Cat(layer.multiplier, layer.shift))
            m.d.comb += [
                Assert(~targeted | nudges, "only a nudged phase pushes"),
                Assert(~targeted | (nudger.push == phase.push), "the push is that of the phase's sign"),
                Assert(
                    ~used | (Cat(nudger.rule.multiplier, nudger.rule.shift) == rule), "the rule is that of the phase"
                ),
                Assert(~used | (opcode == Opcode.UPDATE), "only UPDATE makes new states"),
            ]
