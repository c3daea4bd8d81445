"""The sequencer: fetches the program's words and sets the other blocks to work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from hw.delay import delayed
from hw.link import FREE_SWEEPS
from hw.register_map import SWEEP_BITS
from hw.tables import Tables, address
from mapping.program import Opcode
from mapping.program.instructions import COST

LOOP_DEPTH = 2

# Of the program, where a layer is worked on as a whole.
LAYER_OPERATIONS = (
    Opcode.RESET, Opcode.CLEAR, Opcode.KEEP, Opcode.UPDATE, Opcode.SNAPSHOT, Opcode.RESTORE, Opcode.CAPTURE,
    Opcode.ANSWER,
)  # fmt: skip

WORD = data.StructLayout({"number": 32, "index": 16, "flags": 8, "opcode": 8})
STATES = ("idle", "clear", "fetch", "word", "decode", "read", "wait", "layer", "contrast", "safe")


class Sequencer(Component):
    """One run of the program for each start.

    The sums are cleared first unless the last run came to its HALT: whatever was stopped may have left some. READ goes
    to the reader and on; WAIT lets all reads end; everything else ends before the next word. LOOP takes its count from
    the register that its flags name; with ``early_stop`` a sweep in which no state moved is the loop's last.

    ``abort``, a late ADC and an unknown word lead to ``safe`` from every state in the next clock: the other blocks are
    reset, arrays rest, pulses end. ``stop`` does the same at the end of a round.

    Members:
        start, stop, abort: commands, levels; started, stopped, aborted: strobes that clear them.
        free_sweeps, nudged_sweeps, early_stop, learn: registers; without ``learn`` CONTRAST does nothing.
        program_address, program_data: port of the program's memory.
        read: stream of rows to the reader; reading: whether it is busy.
        layer_start, opcode, index, number, cost: to the updater; layer_busy; moved; new_sweep.
        contrast_start, contrast_busy: to the contrast unit.
        late: an ADC did not answer.
        sign: of beta. phase: 0 free, n the n-th nudged phase. nudged: a nudged phase runs.
        reset: of the other blocks: on the way to ``safe``, and in the clock after a reset of the sequencer.
        state: number in ``STATES``; busy; done: strobe, HALT; failed: strobe a clock later, a word that cannot be run.
        begun: strobe of each phase; swept: of each sweep.
    """

    def __init__(self, tables: Tables) -> None:
        c = self._config = tables.config
        super().__init__(
            {
                "start": In(1), "stop": In(1), "abort": In(1),
                "started": Out(1), "stopped": Out(1), "aborted": Out(1),
                "free_sweeps": In(SWEEP_BITS), "nudged_sweeps": In(SWEEP_BITS), "early_stop": In(1), "learn": In(1),
                "program_address": Out(address(c.program_words)), "program_data": In(WORD),
                "read": Out(stream.Signature(address(c.read_rows))), "reading": In(1),
                "layer_start": Out(1), "opcode": Out(8), "index": Out(16), "number": Out(24), "cost": Out(1),
                "layer_busy": In(1), "moved": In(1), "new_sweep": Out(1),
                "contrast_start": Out(1), "contrast_busy": In(1),
                "late": In(1),
                "sign": Out(2), "phase": Out(3), "nudged": Out(1),
                "reset": Out(1, init=1),
                "state": Out(range(len(STATES))), "busy": Out(1), "done": Out(1), "failed": Out(1),
                "begun": Out(1), "swept": Out(1),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        c = self._config
        position, dirty, waited = Signal(address(c.program_words)), Signal(init=1), Signal()
        word = Signal(WORD)
        depth = Signal(range(LOOP_DEPTH + 1))
        returns = Array(Signal(position.shape(), name=f"return_{n}") for n in range(LOOP_DEPTH))
        counts = Array(Signal(SWEEP_BITS, name=f"count_{n}") for n in range(LOOP_DEPTH))
        m.d.comb += [
            self.program_address.eq(position),
            self.opcode.eq(word.opcode),
            self.index.eq(word.index),
            self.number.eq(word.number),
            self.cost.eq((word.opcode == Opcode.UPDATE) & (word.flags & COST).any()),
            self.read.payload.eq(word.index),
            self.nudged.eq(self.sign != 0),
            self.busy.eq(1),
        ]
        inner, fails, reading = depth - 1, Signal(), delayed(m, self.reading, 1)
        is_last = delayed(m, (counts[inner] <= 1) | (self.early_stop & ~self.moved), 1)

        m.d.sync += self.reset.eq(0)
        with m.FSM() as fsm:

            @contextmanager
            def state(name: str) -> Iterator[None]:
                """A state that is left at once for ``safe`` where that must be, whatever else it does."""
                with m.State(name):
                    yield
                    with m.If(self.abort | self.late | self.failed):
                        self._to_safe(m)

            with state("idle"):
                m.d.comb += [self.busy.eq(0), self.stopped.eq(self.stop)]
                with m.If(self.start):
                    m.d.comb += self.started.eq(1)
                    m.d.sync += [position.eq(0), depth.eq(0), self.sign.eq(0), self.phase.eq(0), waited.eq(0)]
                    m.next = "clear"
            with state("clear"):
                m.d.comb += [self.opcode.eq(Opcode.CLEAR), self.index.eq(0), self.number.eq(c.sum_words)]
                m.d.sync += waited.eq(1)
                with m.If(dirty & ~waited):
                    m.d.comb += self.layer_start.eq(1)
                with m.Elif(~dirty | ~self.layer_busy):
                    m.next = "fetch"
            with state("fetch"):
                m.d.sync += position.eq(position + 1)
                m.next = "word"
            with state("word"):
                m.d.sync += word.eq(self.program_data)
                m.next = "decode"
            with state("decode"):
                m.d.sync += waited.eq(0)
                m.next = "fetch"
                with m.Switch(word.opcode):
                    with m.Case(Opcode.HALT):
                        m.d.comb += self.done.eq(1)
                        m.d.sync += dirty.eq(0)
                        m.next = "idle"
                    with m.Case(Opcode.LOOP):
                        m.d.comb += [fails.eq(depth == LOOP_DEPTH), self.begun.eq(1), self.new_sweep.eq(1)]
                        m.d.sync += [
                            returns[depth].eq(position),
                            counts[depth].eq(Mux(word.flags == FREE_SWEEPS, self.free_sweeps, self.nudged_sweeps)),
                            depth.eq(depth + 1),
                        ]
                    with m.Case(Opcode.END):
                        m.d.comb += [fails.eq(depth == 0), self.swept.eq(1), self.new_sweep.eq(1)]
                        m.d.sync += counts[inner].eq(counts[inner] - 1)
                        with m.If(is_last):
                            m.d.sync += depth.eq(inner)
                        with m.Else():
                            m.d.sync += position.eq(returns[inner])
                    with m.Case(Opcode.BETA):
                        m.d.sync += [self.sign.eq(word.number[:2]), self.phase.eq(self.phase + (word.number != 0))]
                    with m.Case(Opcode.READ):
                        m.next = "read"
                    with m.Case(Opcode.WAIT):
                        m.next = "wait"
                    with m.Case(*LAYER_OPERATIONS):
                        m.next = "layer"
                    with m.Case(Opcode.CONTRAST), m.If(self.learn):
                        m.next = "contrast"
                    with m.Default():
                        m.d.comb += fails.eq(1)
            with state("read"):
                m.d.comb += self.read.valid.eq(1)
                with m.If(self.read.ready):
                    m.next = "fetch"
            with state("wait"), m.If(~reading):
                m.next = "fetch"
                with m.If(self.stop):
                    m.d.comb += self.stopped.eq(1)
                    self._to_safe(m)
            for name, start, busy in (
                ("layer", self.layer_start, self.layer_busy),
                ("contrast", self.contrast_start, self.contrast_busy),
            ):
                with state(name):
                    # Programs wait for their reads; one that does not is held here until they are over.
                    m.d.comb += start.eq(~waited & ~reading)
                    with m.If(start):
                        m.d.sync += waited.eq(1)
                    with m.If(waited & ~busy):
                        m.next = "fetch"
            with m.State("safe"):
                m.d.comb += self.aborted.eq(1)
                m.d.sync += [dirty.eq(1), self.sign.eq(0)]
                m.next = "idle"
        m.d.sync += self.failed.eq(fails & ~self.abort & ~self.late)
        m.d.comb += self.state.eq(sum(Mux(fsm.ongoing(name), number, 0) for number, name in enumerate(STATES)))
        return m

    def _to_safe(self, m: Module) -> None:
        """Next; ``reset`` is a register of its own, as all blocks hang on it."""
        m.d.sync += self.reset.eq(1)
        m.next = "safe"
