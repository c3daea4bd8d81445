"""The core with one clock, as RTL has it."""

from __future__ import annotations

from amaranth import ClockDomain, ClockSignal, Module
from amaranth.lib.wiring import Component, connect, flipped

from hw.core import WORK, Core
from hw.tables import Tables


class ClockedCore(Component):
    """A :class:`hw.core.Core`, the domain of its blocks on the clock of ``sync``; members are the core's.

    Not for Amaranth's own simulator: there a clock that another one drives comes after it, and the blocks would see
    what registers hold after the edge. Give the core two clocks of one period there.
    """

    def __init__(self, tables: Tables) -> None:
        self._core = Core(tables)
        super().__init__(self._core.signature)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains += ClockDomain(WORK, local=True)
        m.d.comb += ClockSignal(WORK).eq(ClockSignal())
        m.submodules.core = self._core
        connect(m, flipped(self), self._core)
        return m
