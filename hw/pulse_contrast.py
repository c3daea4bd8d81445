"""The contrast unit for pulses: states of two nudged phases straight into trains on rows and columns."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out, connect

from hw.delay import delayed
from hw.pulse_feeder import PulseFeeder
from hw.pulser import Pulser
from hw.tables import Tables, address

# Of the parts, as they are.
FEEDER_PORTS = (
    "start",
    "index",
    "sign",
    "busy",
    "contrasts_address",
    "contrasts_data",
    "list_address",
    "list_data",
    "tile_address",
    "tile_data",
    "state_address",
    "state_data",
)
TRAINS = ("slots", "fixed", "stride", "pulse_clocks", "gap_clocks", "load", "row_seed", "column_seed")
PULSER_PORTS = (*TRAINS, "row_number", "column_number", "pulsing")


class PulseContrast(Component):
    """Devices of a matrix move by about x+_i y+_j - x-_i y-_j, summed over positions; nothing is added up or written.

    A tile at a time, of every copy, each position: a train of pulses for the states of +beta, up where a row's and a
    column's state have one sign, and one for those of -beta, the other way. The order of states is that of
    :class:`hw.pulse_feeder.PulseFeeder`, trains are those of :class:`hw.pulser.Pulser`. While every group is taken at
    once, busy for

        1 + copies + tiles of all copies + for each train 17 + 6 groups + slots (groups + 6) + met (pulse + gap clocks)

    clocks, met the slots in which a row and a column pulse.

    Members:
        start, index, sign, busy, contrasts_*, list_*, tile_*, state_*: see :class:`hw.pulse_feeder.PulseFeeder`.
        slots, fixed, stride, pulse_clocks, gap_clocks, load, row_seed, column_seed, row_number, column_number, pulsing:
            see :class:`hw.pulser.Pulser`.
        abort: back to rest: what is on ``pulse`` is withdrawn in the next clock, ``pulsing`` is 0 in this one. The
            registers of drawn numbers stay where they are.
        pulse: stream of groups, those of a tile once each slot: crossbar, is_row, line (of lane 0, modulo its width)
            and stride, mask, pulses (which of the lanes), negative (which go down where the other side is not
            negative), last (of the slot). While ``pulsing``, what was given for the slot is to be driven.
        begun: strobe in the first clock of each pulse.
    """

    def __init__(self, tables: Tables) -> None:
        c = tables.config
        self._feeder, self._beats = PulseFeeder(tables), c.tile_beats
        self._pulser = Pulser(signed(c.state_bits + 1), c.lanes, c.tile_beats * c.lanes)
        feeder, pulser = self._feeder.signature.members, self._pulser.signature.members
        self._line = data.StructLayout({"line": c.line_bits, "stride": c.line_bits})
        given = {
            "crossbar": address(c.crossbars),
            "is_row": 1,
            "line": c.line_bits,
            "stride": c.line_bits,
            "mask": c.lanes,
            "pulses": c.lanes,
            "negative": c.lanes,
            "last": 1,
        }
        super().__init__(
            {
                **{name: feeder[name] for name in FEEDER_PORTS},
                **{name: pulser[name] for name in PULSER_PORTS},
                "abort": In(1),
                "pulse": Out(stream.Signature(data.StructLayout(given))),
                "begun": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        feeder, pulser, train = self._feeder, self._pulser, self._pulser.o
        m.submodules.feeder, m.submodules.pulser = feeder, pulser
        connect(m, feeder.o, pulser.i)
        for block, names in ((feeder, FEEDER_PORTS), (pulser, PULSER_PORTS)):
            for name in names:
                ours, theirs = getattr(self, name), getattr(block, name)
                m.d.comb += theirs.eq(ours) if self.signature.members[name].flow == In else ours.eq(theirs)
        before = Signal()
        m.d.sync += before.eq(self.pulsing)
        m.d.comb += [
            pulser.row_rule.eq(feeder.row.row_rule),
            pulser.column_rule.eq(feeder.row.column_rule),
            pulser.abort.eq(self.abort),
            feeder.abort.eq(self.abort),
            feeder.done.eq(delayed(m, pulser.done, 1)),
            self.begun.eq(self.pulsing & ~before),
        ]

        # Which lines a group has: kept when it is taken, and fetched as it comes out.
        m.submodules.lines = lines = Memory(shape=self._line, depth=2 * self._beats, init=[])
        keep, fetch = lines.write_port(), lines.read_port(domain="comb")
        kept, line, given = Signal.like(keep.addr), Signal(self._line, reset_less=True), self.pulse.payload
        m.d.comb += [
            keep.en.eq(feeder.o.valid & feeder.o.ready),
            keep.addr.eq(kept),
            keep.data.line.eq(feeder.line),
            keep.data.stride.eq(feeder.stride),
            fetch.addr.eq(pulser.ahead),
        ]
        with m.If(~train.valid | train.ready):
            m.d.sync += line.eq(fetch.data)
        with m.If(keep.en):
            m.d.sync += kept.eq(kept + 1)
        with m.If(pulser.done | self.abort):
            m.d.sync += kept.eq(0)
        m.d.comb += [
            self.pulse.valid.eq(train.valid),
            train.ready.eq(self.pulse.ready),
            given.crossbar.eq(feeder.crossbar),
            given.is_row.eq(train.p.is_row),
            given.line.eq(line.line),
            given.stride.eq(line.stride),
            given.mask.eq(train.p.used),
            given.pulses.eq(train.p.pulses),
            given.negative.eq(train.p.negative ^ Mux(train.p.is_row & feeder.minus, train.p.used, 0)),
            given.last.eq(train.p.last),
        ]
        return m
