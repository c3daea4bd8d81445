"""Pipelines: elements of a stream in stages that move together, unless the last one holds what nobody takes."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Signal, Value


class Pipeline:
    """Registers for values between a stream ``i`` and a stream ``o``, all with one enable.

    Stage 0 takes from ``i``, the last one offers to ``o``. Ready goes from o to i within the clock.

    Attributes:
        m: the module that holds it.
        go: whether all registers take in this clock.
    """

    def __init__(self, m: Module, stages: int, i: Any, o: Any, ready: Value) -> None:
        """Drives ``i.ready`` and ``o.valid``; ``ready`` is that of ``o``."""
        self.m, self.go = m, Signal()
        m.d.comb += [self.go.eq(~o.valid | ready), i.ready.eq(self.go)]
        valid = i.valid
        for _ in range(stages - 1):
            later = Signal()
            self.keep(later, valid)
            valid = later
        self.keep(o.valid, valid)

    def keep(self, register: Any, value: Any) -> None:
        """Make ``register`` take ``value``."""
        with self.m.If(self.go):
            self.m.d.sync += register.eq(value)

    def own(self, value: Any) -> Any:
        """``value`` one stage on, in a register of its own: synthesis must not share it with others alike, far away."""
        if isinstance(value, int):
            return value
        register = Signal.like(Value.cast(value), reset_less=True, attrs={"keep": 1})
        self.keep(register, value)
        return register

    def kept(self, value: Any, stages: int = 1) -> Any:
        """``value`` so many stages on; a constant needs no registers and stays one. Only ``valid`` needs a reset."""
        for _ in range(stages if not isinstance(value, int) else 0):
            register = Signal.like(Value.cast(value), reset_less=True)
            self.keep(register, value)
            value = register
        return value
