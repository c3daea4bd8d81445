"""Updating: sums of codes become new states, and whole layers are copied, reset and compared."""

from __future__ import annotations

from typing import Any

from amaranth import Array, Module, Mux, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from hw.config import FACTOR_BITS
from hw.delay import delayed, recalled
from hw.fixed import RulePort
from hw.nudger import SquaredErrorNudger
from hw.scaler import Scaler
from hw.tables import Tables, address
from mapping.arithmetic import code_range
from mapping.fixed_point import DRIVE_BITS
from mapping.program import Opcode

DRIVE_LOW, DRIVE_HIGH = code_range(DRIVE_BITS, signed=True)


class Updater(Component):
    """Runs UPDATE, KEEP, RESET, SNAPSHOT, RESTORE, CAPTURE, CLEAR and ANSWER, word by word.

    UPDATE and KEEP take a source's word a clock: sum -> Scaler (codes of the layer's states) -> added to the other
    sources of the word; zeros are left where sums were. Then h = that + bias (or the constant that KEEP left), and

        UPDATE    state <- neuron(h); with COST, while nudged, the squared-error nudge of the target's class
        KEEP      constant <- h

    Golden models: ``mapping.arithmetic.Scaling``, ``neuron``, ``SquaredErrorNudge`` in the order of ``sim``.

    Members:
        start, opcode, index, number, cost: the operation; taken while not busy.
        busy: from the clock after start to the end.
        sign: of beta, 1 or -1 (3 as two bits), or 0.
        nudges: of either sign (0 is +), push, multiplier and shift of ``SquaredErrorNudge``.
        target: number of the target's class.
        layer_address, layer_data, source_address, source_data: ports of the tables.
        state_*, sum_*, constant_*: read address and data, write, write address and data of the memories. From address
            to data states and sums take two clocks, constants one; states and constants may be written a clock later.
        new_sweep: forget the residual and whether states moved.
        moved: whether any state changed by more than its layer's ``settled`` since then.
        residual: the largest change since then, in codes; right a few clocks after the end of an operation.
        saturated: shares of drives at an end of their range, that were just added.
        answer: the class that ANSWER found.
    """

    def __init__(self, tables: Tables) -> None:
        c = self._config = tables.config
        self._tables = tables
        self._states = data.ArrayLayout(c.state_bits, c.lanes)
        self._sums = data.ArrayLayout(signed(c.accumulator_bits), c.lanes)
        self._constants = data.ArrayLayout(signed(c.constant_bits), c.lanes)
        self._push = signed(c.push_bits)
        self._nudge = data.StructLayout({"push": self._push, **tables.rule})
        super().__init__(
            {
                "start": In(1),
                "opcode": In(8),
                "index": In(16),
                "number": In(24),
                "cost": In(1),
                "busy": Out(1),
                "sign": In(2),
                "nudges": In(data.ArrayLayout(self._nudge, 2)),
                "target": In(16),
                "layer_address": Out(address(c.layer_rows)),
                "layer_data": In(tables.layers),
                "source_address": Out(address(c.source_rows)),
                "source_data": In(tables.sources),
                **self._memory("state", c.state_words, self._states),
                **self._memory("sum", c.sum_words, self._sums),
                **self._memory("constant", c.constant_words, self._constants),
                "new_sweep": In(1),
                "moved": Out(1),
                "residual": Out(c.state_bits + 1),
                "saturated": Out(range(c.lanes + 1)),
                "answer": Out(16),
            }
        )

    @staticmethod
    def _memory(name: str, rows: int, word: data.ArrayLayout) -> dict[str, Any]:
        bits = address(rows)
        return {
            f"{name}_address": Out(bits),
            f"{name}_data": In(word),
            f"{name}_write": Out(1),
            f"{name}_write_address": Out(bits),
            f"{name}_write_data": Out(word),
        }

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer = Signal(self._tables.layers, reset_less=True)
        word, group, source = Signal(24), Signal.like(layer.groups), Signal.like(layer.sources)
        opcode, index, number, cost = (Signal.like(each) for each in (self.opcode, self.index, self.number, self.cost))
        m.d.comb += self.layer_address.eq(index)
        drive = self._drive(m, layer, opcode, cost)
        first, at = Signal.like(layer.sources_first), Signal.like(layer.sources_first)
        count = Signal.like(layer.sources)
        m.d.comb += [
            self.source_address.eq(at),
            drive.word.eq(word),
            drive.group.eq(group),
            drive.first.eq(source == 0),
        ]
        # Words that are left; a clock ahead it is known whether this is the last. Where words are copied or cleared.
        left, is_last, steps = Signal(24), Signal(), Signal()
        read_at, write_at = Signal.like(layer.state), Signal(max(len(index), len(layer.state)))
        with m.If(steps):
            m.d.sync += [word.eq(word + 1), left.eq(left - 1), is_last.eq(left == 2)]
            m.d.sync += [read_at.eq(read_at + 1), write_at.eq(write_at + 1)]
        copying, clearing, resetting = Signal(), Signal(), Signal()
        origin, goal = Signal.like(layer.state), Signal.like(layer.state)
        m.d.comb += [origin.eq(layer.state), goal.eq(layer.state)]
        with m.Switch(opcode):
            with m.Case(Opcode.SNAPSHOT):
                m.d.comb += goal.eq(layer.snapshot)
            with m.Case(Opcode.CAPTURE):
                m.d.comb += goal.eq(layer.captured)
            with m.Case(Opcode.RESTORE):
                m.d.comb += origin.eq(layer.snapshot)
        asked, moved, moved_to = delayed(m, copying, 1), delayed(m, copying, 3), delayed(m, write_at, 3)
        on_their_way = asked | delayed(m, asked, 1)
        moved_state = recalled(m, self.state_data.as_value())

        # The states' memory serves whoever works; only one does.
        m.d.comb += [
            self.state_address.eq(drive.state_address),
            self.state_write.eq(drive.state_write | moved | resetting),
            self.state_write_address.eq(drive.state_write_address),
            self.state_write_data.eq(drive.state_write_data),
            self.sum_write.eq(drive.clears | clearing),
            self.sum_write_address.eq(Mux(clearing, write_at, drive.cleared)),
        ]
        with m.If(moved):
            m.d.comb += [self.state_write_address.eq(moved_to), self.state_write_data.eq(moved_state)]
        with m.If(resetting):
            m.d.comb += [
                self.state_write_address.eq(write_at),
                *(self.state_write_data[n].eq(layer.reset) for n in range(self._config.lanes)),
            ]
        answering = self._answer(m, layer)

        m.d.comb += self.busy.eq(1)
        with m.FSM():
            with m.State("rest"):
                m.d.comb += self.busy.eq(0)
                m.d.sync += [word.eq(0), group.eq(0), source.eq(0)]
                with m.If(self.start):
                    m.d.sync += [
                        opcode.eq(self.opcode),
                        index.eq(self.index),
                        number.eq(self.number),
                        cost.eq(self.cost),
                    ]
                    m.next = "ask"
            with m.State("ask"):
                m.d.sync += [left.eq(number), is_last.eq(number == 1), write_at.eq(index)]
                with m.If(opcode == Opcode.CLEAR):
                    m.next = "clear"
                with m.Else():
                    m.next = "row"
            with m.State("row"):
                m.d.sync += layer.eq(self.layer_data)
                m.next = "count"
            with m.State("count"):
                m.d.sync += [left.eq(layer.words), is_last.eq(layer.words == 1), read_at.eq(origin), write_at.eq(goal)]
                m.d.sync += [first.eq(layer.sources_first), at.eq(layer.sources_first), count.eq(layer.sources)]
                m.d.sync += drive.last.eq(layer.sources == 1)
                with m.If(opcode == Opcode.KEEP):
                    m.d.sync += drive.last.eq(layer.inputs == 1)
                    m.d.sync += [first.eq(layer.inputs_first), at.eq(layer.inputs_first), count.eq(layer.inputs)]
                with m.Switch(opcode):
                    with m.Case(Opcode.UPDATE, Opcode.KEEP):
                        m.next = "drive"
                    with m.Case(Opcode.RESET):
                        m.next = "reset"
                    with m.Case(Opcode.ANSWER):
                        m.next = "answer"
                    with m.Default():
                        m.next = "copy"
            with m.State("drive"):
                m.d.comb += drive.valid.eq(1)
                m.d.sync += [source.eq(source + 1), at.eq(at + 1), drive.last.eq(source + 2 == count)]
                with m.If(drive.last):
                    m.d.comb += steps.eq(1)
                    m.d.sync += [source.eq(0), at.eq(first), group.eq(group + 1), drive.last.eq(count == 1)]
                    with m.If(group + 1 == layer.groups):
                        m.d.sync += group.eq(0)
                    with m.If(is_last):
                        m.next = "drain"
            with m.State("drain"), m.If(~drive.working):
                m.next = "rest"
            with m.State("copy"):
                m.d.comb += [copying.eq(1), steps.eq(1), self.state_address.eq(read_at)]
                with m.If(is_last):
                    m.next = "copied"
            with m.State("copied"), m.If(~on_their_way):
                m.next = "rest"
            with m.State("reset"):
                m.d.comb += [resetting.eq(1), steps.eq(1)]
                with m.If(is_last):
                    m.next = "rest"
            with m.State("clear"):
                m.d.comb += [clearing.eq(1), steps.eq(1)]
                with m.If(is_last):
                    m.next = "rest"
            with m.State("answer"):
                m.d.comb += [answering.run.eq(1), self.state_address.eq(answering.address)]
                with m.If(answering.done):
                    m.next = "rest"
        return m

    def _drive(self, m: Module, layer: Any, opcode: Signal, cost: Signal) -> _Drive:
        """The pipeline from sums to states, a source's word a clock."""
        c, lanes = self._config, self._config.lanes
        p = _Drive(c.state_words, c.sum_words, self._states)
        scaler_clocks, nudger_clocks = Scaler.latency, SquaredErrorNudger.latency

        # Clock 1: the source's row is there. 2: its sum is asked for. 4: scaled, and zero takes the sum's place.
        row, valid4 = delayed(m, self.source_data, 1), delayed(m, p.valid, 4)
        rule = delayed(m, row, 2)
        m.d.comb += [
            self.sum_address.eq(row.first + delayed(m, p.word, 2)),
            p.clears.eq(valid4),
            p.cleared.eq(delayed(m, self.sum_address, 2)),
        ]
        shares: list[Value] = []
        for lane in range(lanes):
            m.submodules[f"scaler_{lane}"] = scaler = Scaler(
                signed(c.accumulator_bits), RulePort(signed(DRIVE_BITS), FACTOR_BITS)
            )
            m.d.comb += [
                scaler.i.valid.eq(valid4),
                scaler.i.payload.eq(self.sum_data[lane]),
                scaler.rule.multiplier.eq(rule.multiplier),
                scaler.rule.shift.eq(rule.shift),
                scaler.rule.low.eq(DRIVE_LOW),
                scaler.rule.high.eq(DRIVE_HIGH),
                scaler.o.ready.eq(1),
            ]
            shares.append(scaler.o.payload)

        # Clock 4 + scaler: added up. One later, with the last source's: bias or constant is there. Then both are kept.
        added = 4 + scaler_clocks
        valid, first, last = (delayed(m, each, added) for each in (p.valid, p.first, p.last))
        kept = layer.constant + delayed(m, p.word, added)
        m.d.comb += self.constant_address.eq(
            Mux(layer.has_constant & (opcode == Opcode.UPDATE), kept, layer.bias + delayed(m, p.group, added))
        )
        whole = delayed(m, valid & last, 2)
        word = delayed(m, p.word, added + 2)
        ends = [valid & ((share == DRIVE_LOW) | (share == DRIVE_HIGH)) for share in shares]
        m.d.sync += self.saturated.eq(sum(delayed(m, end, 1) for end in ends))
        shape = signed(c.constant_bits + 1)
        totals = [Signal(shape, name=f"total_{n}", reset_less=True) for n in range(lanes)]
        with m.If(valid):
            m.d.sync += [total.eq(Mux(first, 0, total) + share) for total, share in zip(totals, shares, strict=True)]
        keeps = opcode == Opcode.KEEP
        drives = [delayed(m, total, 1) for total in totals]
        biases = [recalled(m, self.constant_data[n]) for n in range(lanes)]
        m.d.comb += [
            self.constant_write.eq(whole & keeps),
            self.constant_write_address.eq(layer.constant + word),
            *(self.constant_write_data[n].eq(drives[n] + biases[n]) for n in range(lanes)),
        ]

        # The neuron, nudged or not. Two clocks before its states: the old ones are asked for.
        nudged = cost & (self.sign != 0)
        nudge = self.nudges[self.sign[1]]
        new: list[Value] = []
        ready: Value = Signal()
        for lane in range(lanes):
            nudger = SquaredErrorNudger(
                signed(c.constant_bits + 1),
                signed(c.constant_bits),
                self._push,
                RulePort(signed(c.state_bits + 1), FACTOR_BITS),
            )
            m.submodules[f"nudger_{lane}"] = nudger
            unit = delayed(m, p.word, added + 1) * lanes + lane
            m.d.comb += [
                nudger.i.valid.eq(whole & ~keeps),
                nudger.i.p.drive.eq(drives[lane]),
                nudger.i.p.bias.eq(biases[lane]),
                nudger.i.p.is_target.eq(delayed(m, nudged & (unit == self.target), 1)),
                nudger.push.eq(nudge.push),
                nudger.rule.multiplier.eq(Mux(nudged, nudge.multiplier, layer.multiplier)),
                nudger.rule.shift.eq(Mux(nudged, nudge.shift, layer.shift)),
                nudger.rule.low.eq(layer.low),
                nudger.rule.high.eq(layer.high),
                nudger.o.ready.eq(1),
            ]
            new.append(nudger.o.payload)
            ready = nudger.o.valid
        m.d.comb += [
            p.state_address.eq(delayed(m, layer.state + delayed(m, word, nudger_clocks - 3), 1)),
            p.state_write.eq(ready),
            p.state_write_address.eq(delayed(m, layer.state + delayed(m, word, nudger_clocks - 1), 1)),
            *(p.state_write_data[n].eq(state) for n, state in enumerate(new)),
        ]
        self._compare(m, layer, ready, new)
        flight = added + 2 + nudger_clocks + 4
        left = Signal(range(flight + 1))
        m.d.comb += p.working.eq(left != 0)
        with m.If(p.valid):
            m.d.sync += left.eq(flight)
        with m.Elif(p.working):
            m.d.sync += left.eq(left - 1)
        return p

    def _compare(self, m: Module, layer: Any, ready: Value, new: list[Value]) -> None:
        """How far states moved: each lane's largest change, and over all lanes a level a clock."""
        largest: list[Signal] = []
        compared = delayed(m, ready, 2)
        for lane, given in enumerate(new):
            state, old = delayed(m, given, 1), recalled(m, self.state_data[lane])
            change = Signal(self.residual.shape(), name=f"change_{lane}", reset_less=True)
            most = Signal(self.residual.shape(), name=f"most_{lane}")
            before = Mux(layer.signed, old.as_signed(), old)
            risen, fallen = state - before, before - state  # a choice is shorter than a sign changed
            m.d.sync += change.eq(Mux(risen < 0, fallen, risen))
            with m.If(compared & (change > most)):
                m.d.sync += most.eq(change)
            with m.If(compared & (change > layer.settled)):
                m.d.sync += self.moved.eq(1)
            with m.If(self.new_sweep):
                m.d.sync += most.eq(0)
            largest.append(most)
        with m.If(self.new_sweep):
            m.d.sync += self.moved.eq(0)
        while len(largest) > 1:
            level = [Signal(self.residual.shape()) for _ in largest[::2]]
            for result, a, b in zip(level, largest[::2], largest[1::2], strict=True):
                m.d.sync += result.eq(Mux(a > b, a, b))
            largest = level
        m.d.comb += self.residual.eq(largest[0])

    def _answer(self, m: Module, layer: Any) -> _Answer:
        """Class by class: the first of the largest states."""
        c = self._config
        p = _Answer(c.state_words)
        lane_bits = (c.lanes - 1).bit_length()
        unit, best = Signal(17), Signal(signed(c.state_bits + 1))
        asked, known, kept, chosen, is_larger = (Signal() for _ in range(5))
        m.d.sync += p.address.eq(layer.state + (unit >> lane_bits))
        m.d.sync += [asked.eq(delayed(m, p.run, 1)), known.eq(asked), kept.eq(known), chosen.eq(kept)]
        states = [recalled(m, self.state_data[n]) for n in range(c.lanes)]
        number = delayed(m, unit, 4)
        before = delayed(m, number, 2)
        lane = Array(states)[number[:lane_bits] if lane_bits else 0]
        state = Signal(signed(c.state_bits + 1))
        m.d.sync += state.eq(Mux(layer.signed, lane.as_signed(), lane))
        is_first = delayed(m, number == 0, 1)
        larger = chosen & (is_first | (state > best))
        m.d.sync += [is_larger.eq(larger), p.done.eq(chosen & delayed(m, number + 1 == layer.units, 1))]
        with m.If(p.run):
            m.d.sync += unit.eq(unit + 1)
        with m.If(larger):
            m.d.sync += best.eq(state)
        with m.If(is_larger):
            m.d.sync += self.answer.eq(before)
        with m.If(~p.run | p.done):
            m.d.sync += [unit.eq(0), *(each.eq(0) for each in (asked, known, kept, chosen, is_larger, p.done))]
        return p


class _Drive:
    """Signals of the pipeline from sums to states."""

    def __init__(self, state_words: int, sum_words: int, states: data.ArrayLayout) -> None:
        self.valid, self.first, self.last, self.working, self.clears, self.state_write = (Signal() for _ in range(6))
        self.word, self.group = Signal(24), Signal(16)
        self.cleared = Signal(address(sum_words))
        self.state_address, self.state_write_address = Signal(address(state_words)), Signal(address(state_words))
        self.state_write_data = Signal(states)


class _Answer:
    """Signals of the search for the largest state."""

    def __init__(self, state_words: int) -> None:
        self.run, self.done, self.address = Signal(), Signal(), Signal(address(state_words))
