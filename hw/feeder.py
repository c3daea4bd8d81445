"""Feeding: the states of a layer become DAC codes once a read, each once, in the order in which they lie in memory."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from hw.config import FACTOR_BITS
from hw.dac_feeder import DacFeeder
from hw.delay import delayed, recalled
from hw.fixed import RulePort
from hw.scaler import Scaler
from hw.tables import Tables, address
from mapping.arithmetic import code_range
from mapping.dither import Lfsr
from mapping.fixed_point import DRIVE_BITS


class Feeder(Component):
    """Words of states (or of a bus's sums, which become its codes first) through a :class:`DacFeeder` to a bank.

    Banks take turns, so that one read is fed while another drives. ``lanes`` codes a clock.

    Members:
        i: stream of reads, taken when nothing is fed.
        o: stream of the same, once all their codes are in the bank ``bank``.
        bank: of the read on ``o``.
        state_address, state_data: port of the states' memory, two clocks from address to data.
        sum_address, sum_data: port of the sums' memory, as long; only used where low-rank couplings are chained.
        write, write_bank, write_word, write_part, codes: to the banks: ``codes`` of ``lanes`` channels are part
            ``write_part`` of a word of ``drive_lanes``.
        number, load, seed: of the register that dithers, only where there is one; see :class:`DacFeeder`.
    """

    def __init__(self, tables: Tables) -> None:
        c = self._config = tables.config
        self._parts = c.drive_lanes // c.lanes
        self._lfsr = Lfsr(width=c.lfsr_bits) if c.dither else None
        members = {
            "i": In(stream.Signature(tables.reads)),
            "o": Out(stream.Signature(tables.reads)),
            "bank": Out(1),
            "state_address": Out(address(c.state_words)),
            "state_data": In(data.ArrayLayout(c.state_bits, c.lanes)),
            "sum_address": Out(address(c.sum_words)),
            "sum_data": In(data.ArrayLayout(signed(c.accumulator_bits), c.lanes)),
            "write": Out(1),
            "write_bank": Out(1),
            "write_word": Out(address(c.code_words)),
            "write_part": Out(range(max(2, self._parts))),
            "codes": Out(data.ArrayLayout(signed(c.code_bits), c.lanes)),
        }
        if self._lfsr is not None:
            members |= {"load": In(1), "seed": In(c.lfsr_bits), "number": Out(c.lfsr_bits, init=self._lfsr.seed)}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        c, lanes = self._config, self._config.lanes
        row, busy = Signal(self.i.payload.shape(), reset_less=True), Signal()
        asked, written = Signal(len(row.feed_words)), Signal(len(row.feed_words))
        asking = Signal()
        m.d.comb += [
            asking.eq(busy & (asked != row.feed_words)),
            self.state_address.eq(row.feed_first + asked),
            self.sum_address.eq(row.feed_first + asked),
            self.i.ready.eq(~busy & ~self.o.valid),
            self.o.payload.eq(row),
        ]
        fetched = delayed(m, asking, 3)
        states = [recalled(m, self.state_data[n]) for n in range(lanes)]
        with m.If(asking):
            m.d.sync += asked.eq(asked + 1)

        values = [Mux(row.feed_signed, state.as_signed(), state) for state in states]
        wide = Shape(c.state_bits + 1, signed=True)
        valid = fetched
        if c.chained:
            values, valid = self._through_bus(m, row, values, fetched)
            wide = signed(DRIVE_BITS)
        m.submodules.dac = dac = DacFeeder(wide, RulePort(signed(c.code_bits), FACTOR_BITS), lanes, self._lfsr)
        m.d.comb += [
            dac.i.valid.eq(valid),
            dac.i.p.used.eq(-1),
            dac.rule.multiplier.eq(row.dac_multiplier),
            dac.rule.shift.eq(row.dac_shift),
            dac.rule.low.eq(row.dac_low),
            dac.rule.high.eq(row.dac_high),
            dac.o.ready.eq(1),
            *(dac.i.p.codes[n].eq(value) for n, value in enumerate(values)),
        ]
        if self._lfsr is not None:
            m.d.comb += [dac.load.eq(self.load), dac.seed.eq(self.seed), self.number.eq(dac.number)]

        group = Signal(len(row.feed_groups))
        last_group, last_part = Signal(), Signal()
        m.d.comb += [
            self.write.eq(dac.o.valid & busy),
            self.codes.eq(dac.o.p.codes),
            self.write_bank.eq(self.bank),
            last_group.eq(group + 1 == row.feed_groups),
            last_part.eq(self.write_part == self._parts - 1),
        ]
        with m.If(self.write):
            m.d.sync += [written.eq(written + 1), group.eq(group + 1), self.write_part.eq(self.write_part + 1)]
            with m.If(last_group | last_part):
                m.d.sync += [self.write_part.eq(0), self.write_word.eq(self.write_word + 1)]
            with m.If(last_group):
                m.d.sync += group.eq(0)
            with m.If(written + 1 == row.feed_words):
                m.d.sync += [busy.eq(0), self.o.valid.eq(1)]

        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                row.eq(self.i.payload),
                busy.eq(1),
                self.bank.eq(~self.bank),
                asked.eq(0),
                written.eq(0),
                group.eq(0),
                self.write_part.eq(0),
                self.write_word.eq(0),
            ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m

    def _through_bus(self, m: Module, row: Any, states: list[Value], fetched: Signal) -> tuple[list[Value], Signal]:
        """Sums of a bus brought to its codes; states pass as they are."""
        c = self._config
        low, high = code_range(DRIVE_BITS, signed=True)
        given = Shape(max(c.accumulator_bits, c.state_bits + 1), signed=True)
        found, valid = [], Signal()
        for lane, state in enumerate(states):
            scaler = Scaler(given, RulePort(signed(DRIVE_BITS), FACTOR_BITS))
            m.submodules[f"bus_{lane}"] = scaler
            m.d.comb += [
                scaler.i.payload.eq(Mux(row.from_sums, recalled(m, self.sum_data[lane]), state)),
                scaler.i.valid.eq(fetched),
                scaler.rule.multiplier.eq(Mux(row.from_sums, row.bus_multiplier, 1)),
                scaler.rule.shift.eq(Mux(row.from_sums, row.bus_shift, 0)),
                scaler.rule.low.eq(low),
                scaler.rule.high.eq(high),
                scaler.o.ready.eq(1),
            ]
            found.append(scaler.o)
        m.d.comb += valid.eq(found[0].valid)
        return [stream.payload for stream in found], valid
