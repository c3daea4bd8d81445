"""The sequencer, with any words in its program's memory: commands, nudges, and what may run beside what."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.hdl import Assert, Assume

from hw.sequencer import LAYER_OPERATIONS, STATES, Sequencer
from mapping.program import Opcode
from tb.properties.watched import Watched, earlier

WORKS = (*LAYER_OPERATIONS, Opcode.CONTRAST)
STUCK_CLOCKS = 3


class SequencerObeys(Watched):
    """The blocks that it sets to work are busy from the clock after that for as long as they like, or until reset.

    What the hardware leaves to the program is assumed of it: a BETA's sign is -1, 0 or 1; between a READ and whatever
    works on layers comes a WAIT; no SNAPSHOT comes while anything nudges.
    """

    block: Sequencer

    def properties(self, m: Module) -> None:
        b = self.block
        was_safe = earlier(m, self._in("safe"), 1)
        word = Signal(b.program_data.shape())
        m.d.sync += word.eq(b.program_data)
        decodes = self._in("decode")
        self._blocks_answer(m)

        # The program.
        settled = Signal(init=1)
        with m.If(decodes & (word.opcode == Opcode.READ)):
            m.d.sync += settled.eq(0)
        with m.If(decodes & (word.opcode == Opcode.WAIT) | b.reset):
            m.d.sync += settled.eq(1)
        sign = word.number
        m.d.comb += [
            Assume(~(decodes & Cat(word.opcode == each for each in WORKS).any()) | settled),
            Assume(~(decodes & (word.opcode == Opcode.SNAPSHOT)) | ~b.nudged),
            Assume(~(decodes & (word.opcode == Opcode.BETA)) | (sign == 0) | (sign == 1) | (sign == (1 << 32) - 1)),
        ]

        # Commands.
        asked, first = earlier(m, b.abort | b.late, 1), Signal(init=1)
        m.d.sync += first.eq(0)
        m.d.comb += [
            Assert(b.busy == ~self._in("idle"), "busy in every state but idle"),
            Assert(b.reset == (self._in("safe") | first), "others are reset in safe, and first of all"),
            Assert(~asked | b.reset | was_safe, "abort and late ADCs lead to safe in the next clock"),
            Assert(~was_safe | ~b.busy, "safe leads to idle in the next clock"),
            Assert(
                ~b.reset | ~(b.layer_start | b.contrast_start | b.read.valid), "nothing starts while others are reset"
            ),
            Assert(~earlier(m, b.failed, 1) | b.reset, "a word that cannot be run leads to safe"),
            Assert(~b.stopped | ~b.busy | ~b.reading, "a stop waits for reads to end"),
        ]

        # Nudges.
        before = earlier(m, b.sign, 1)
        told = earlier(m, decodes & (word.opcode == Opcode.BETA), 1)
        m.d.comb += [
            Assert(~earlier(m, b.started, 1) | ~b.nudged, "a run begins without a nudge"),
            Assert(~was_safe | ~b.nudged, "safe ends the nudge"),
            Assert(told | ~b.nudged | (b.sign == before), "only BETA nudges"),
            Assert(b.sign != 2, "a sign is -1, 0 or 1"),
        ]

        # What runs beside what.
        works = b.layer_busy | b.contrast_busy
        m.d.comb += [
            Assert(~b.layer_busy | self._in("clear", "layer", "safe"), "layers are worked on while that is waited for"),
            Assert(~b.contrast_busy | self._in("contrast", "safe"), "contrasts are made while that is waited for"),
            Assert(~(b.layer_start | b.contrast_start) | ~works, "nothing starts before the last operation ended"),
            Assert(~b.read.valid | ~works, "no read starts before the last operation ended"),
            Assert(~settled | ~(b.reading | b.read.valid) | self._in("wait", "safe"), "a WAIT lets all reads end"),
            Assert(~self._in("layer", "contrast") | ~b.reading & settled, "no update and no contrast during a read"),
            Assert(~(self._in("layer") & (b.opcode == Opcode.SNAPSHOT)) | ~b.nudged, "no snapshot in a nudged phase"),
        ]

        # Nothing to wait for: something else in the next clocks.
        waits = b.reading | works | (b.read.valid & ~b.read.ready) | self._in("idle")
        stays, clocks = Signal(), Signal(range(STUCK_CLOCKS + 1))
        m.d.comb += stays.eq(b.state == earlier(m, b.state, 1))
        m.d.sync += clocks.eq(Mux(waits | ~stays, 0, clocks + 1))
        m.d.comb += Assert(clocks != STUCK_CLOCKS, "no deadlock while the others answer")

    def _in(self, *states: str) -> Value:
        return Cat(self.block.state == STATES.index(state) for state in states).any()

    def _blocks_answer(self, m: Module) -> None:
        """Busy signals as the other blocks give them."""
        b = self.block
        for start, busy in (
            (b.layer_start, b.layer_busy),
            (b.contrast_start, b.contrast_busy),
            (b.read.valid & b.read.ready, b.reading),
        ):
            started, reset = earlier(m, start, 1), earlier(m, b.reset, 1)
            m.d.comb += [
                Assume(~started | busy | reset),
                Assume(started | earlier(m, busy, 1) | ~busy),
                Assume(~reset | ~busy),
            ]
