"""Trains of coincidence pulses: slot after slot the lines that pulse, and then the pulse."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Shape, Signal
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from hw.countdown import Countdown
from hw.delay import delayed
from hw.pulse_slots import SLOT_BITS, PulseSlots
from hw.register_map import CLOCK_BITS
from mapping.arithmetic.trains import COLUMN_SHIFTS
from mapping.dither import Lfsr

PULSE_BITS = 32
# Of PulseSlots, as they are.
FORWARDED = (
    *("row_rule", "column_rule", "fixed", "load", "row_seed", "column_seed"),
    *("row_number", "column_number", "ahead"),
)


class Pulser(Component):
    """For each slot of a train, the lines that pulse; then the pulse, if a row and a column are among them.

    Golden models: ``mapping.arithmetic.trains.train`` with ``DrawnTrains`` or, if ``fixed``, ``FixedTrains``. Codes of
    all lines are taken once. A slot gives the lines out group by group, each with those that pulse, and waits until all
    are taken; then ``pulsing`` is 1 for pulse_clocks clocks, and 0 for gap_clocks. A slot in which no device is met
    takes neither. With g groups and a sink that is always ready, a train of s slots, m of which meet a device, takes
    12 + s (g + 6) + m (pulse_clocks + gap_clocks) clocks from the last group to ``done``.

    The registers of drawn numbers go on from train to train, and after an abort from wherever they are: load them
    before a train that must be known.

    Parameters:
        value: shape of a line's code.
        lanes: lines of a group; a lane without a line never pulses.
        lines: most rows, and most columns.
        rows, columns: registers: their width, taps, shifts and the seed after reset. None for one of 16 bits each.

    Members:
        i: stream of groups, all rows' and then all columns': codes, used (a bit for each lane), is_row, and last with
            the last group of all. No more groups are taken than ``lines`` of both sides have.
        o: stream of the same groups, once each slot: is_row, used, pulses and negative (of the code; both 0 in unused
            lanes), place (in the order) and last (of the slot).
        row_rule, column_rule: multiplier and shift of the scaling to shares; read in the clock after a group is taken.
        slots: of a train; if it is fixed at most 2^width - 1. fixed: all lines of a side have one number. stride: of
            fixed columns' numbers, 1 .. slots. All three are held from the first group to ``done``.
        pulse_clocks, gap_clocks: held during a train; a pulse of 0 clocks takes one.
        abort: back to rest. ``pulsing`` is 0 in the same clock, what is on ``o`` is withdrawn in the next.
        ahead: place of the group that comes onto ``o`` next, when ``o`` is free or taken.
        pulsing: the lines that were given out for this slot are to be driven.
        busy: a train is being given. done: strobe in the clock after its last.
        pulses: begun since reset, modulo 2^32.
        load, row_seed, column_seed: with load the registers hold the seeds (not 0) from the next clock on.
        row_number, column_number: what they hold, the seeds with which to continue.

    Raises:
        ValueError: for less than one lane or line, or registers of different widths.
    """

    def __init__(
        self, value: Shape, lanes: int, lines: int = 128, rows: Lfsr | None = None, columns: Lfsr | None = None
    ) -> None:
        rows = Lfsr() if rows is None else rows
        columns = Lfsr(shifts=COLUMN_SHIFTS) if columns is None else columns
        if lanes < 1 or lines < 1:
            raise ValueError(f"{lanes} lanes, {lines} lines: expected >= 1 of each")
        if rows.width != columns.width:
            raise ValueError(f"registers of {rows.width} and {columns.width} bits: expected one width")
        self._parts = PulseSlots(value, lanes, 2 * -(-lines // lanes), rows, columns)
        members = self._parts.signature.members
        super().__init__(
            {
                **{name: members[name] for name in ("i", "o", *FORWARDED)},
                "slots": In(SLOT_BITS),
                "stride": In(SLOT_BITS),
                "pulse_clocks": In(CLOCK_BITS),
                "gap_clocks": In(CLOCK_BITS),
                "abort": In(1),
                "pulsing": Out(1),
                "busy": Out(1),
                "done": Out(1),
                "pulses": Out(PULSE_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.parts = parts = self._parts
        slot, rank, clocks, fire = Signal(SLOT_BITS), Signal(SLOT_BITS), Countdown(m, CLOCK_BITS), Signal()
        # Compared a clock ahead: what is compared is held by then.
        is_last, is_empty = delayed(m, slot + 1 == self.slots, 1), delayed(m, self.slots == 0, 1)
        no_gap, short_gap = delayed(m, self.gap_clocks == 0, 1), delayed(m, self.gap_clocks <= 1, 1)
        short_pulse = delayed(m, self.pulse_clocks <= 1, 1)
        turned = rank + self.stride
        connect(m, flipped(self.i), parts.i)
        connect(m, parts.o, flipped(self.o))
        for name in FORWARDED:
            outer, inner = getattr(self, name), getattr(parts, name)
            m.d.comb += inner.eq(outer) if self.signature.members[name].flow == In else outer.eq(inner)
        m.d.comb += [
            parts.top.eq(self.slots),
            parts.row_fixed.eq(slot + 1),
            parts.column_fixed.eq(rank + 1),
            parts.clear.eq(self.abort | self.done),
            self.pulsing.eq(fire & ~self.abort),  # of a register: nothing glitches on the way to the devices
        ]

        def go_on(ended: Any) -> None:
            with m.If(ended):
                m.d.sync += self.done.eq(1)
                m.next = "done"
            with m.Else():
                m.d.comb += parts.begin.eq(1)
                m.next = "slot"

        def next_slot() -> None:
            m.d.sync += [slot.eq(slot + 1), rank.eq(Mux(turned < self.slots, turned, turned - self.slots))]
            go_on(is_last)

        def stop_on_abort() -> None:
            with m.If(self.abort):
                m.d.sync += [fire.eq(0), self.done.eq(0)]
                m.next = "rest"

        m.d.sync += self.done.eq(0)
        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("rest"))
            with m.State("rest"):
                with m.If(parts.complete):
                    m.d.sync += [slot.eq(0), rank.eq(0)]
                    go_on(is_empty)
                stop_on_abort()
            with m.State("slot"):
                with m.If(parts.given & ~parts.met):
                    next_slot()
                with m.Elif(parts.given):
                    clocks.start(self.pulse_clocks, short_pulse)
                    m.d.sync += [fire.eq(1), self.pulses.eq(self.pulses + 1)]
                    m.next = "pulse"
                stop_on_abort()
            with m.State("pulse"):
                clocks.step()
                with m.If(clocks.is_last):
                    clocks.start(self.gap_clocks, short_gap)
                    m.d.sync += fire.eq(0)
                    with m.If(no_gap):
                        next_slot()
                    with m.Else():
                        m.next = "gap"
                stop_on_abort()
            with m.State("gap"):
                clocks.step()
                with m.If(clocks.is_last):
                    next_slot()
                stop_on_abort()
            with m.State("done"):
                m.next = "rest"
        return m
