"""Delays: a value some clocks later, beside a pipeline of that length, or behind a memory."""

from __future__ import annotations

from amaranth import Module, Signal, Value


def delayed(m: Module, value: Value, clocks: int) -> Value:
    """``value`` as it was ``clocks`` ago (0 before the first).

    A bit has a reset. A number has none: some bit beside it says when it counts.
    """
    for _ in range(clocks):
        later = Signal.like(value, reset_less=len(Value.cast(value)) > 1)
        m.d.sync += later.eq(value)
        value = later
    return value


def recalled(m: Module, value: Value) -> Value:
    """What a memory gave, a clock later.

    Block memories answer late in the clock: all that use a word take it from one register beside them. Synthesis makes
    one of these, as none of them has a reset or an enable.
    """
    later = Signal.like(value, reset_less=True)
    m.d.sync += later.eq(value)
    return later
