"""Counting clocks, or anything else, down to the last one."""

from __future__ import annotations

from amaranth import Module, Signal, Value


class Countdown:
    """A number that counts down to 1, and whether it is there: known a clock ahead, compared while it counts.

    Attributes:
        is_last: it is 1, or was 0.
    """

    def __init__(self, m: Module, bits: int) -> None:
        self._m, self._left, self.is_last = m, Signal(bits), Signal()

    def start(self, count: Value, once: Value) -> None:
        """Begin with ``count``; ``once``: it is 0 or 1."""
        self._m.d.sync += [self._left.eq(count), self.is_last.eq(once)]

    def step(self) -> None:
        """One less."""
        self._m.d.sync += [self._left.eq(self._left - 1), self.is_last.eq(self._left == 2)]
