"""Delays: a value some clocks later, beside a pipeline of that length."""

from __future__ import annotations

from amaranth import Module, Signal, Value


def delayed(m: Module, value: Value, clocks: int) -> Value:
    """``value`` as it was ``clocks`` ago (0 before the first)."""
    for _ in range(clocks):
        later = Signal.like(value)
        m.d.sync += later.eq(value)
        value = later
    return value
