"""Timing diagrams of what a circuit really did: its signals, sampled once a clock, as WaveJSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from amaranth import Value
from amaranth.hdl import Elaboratable
from amaranth.sim import Simulator


@dataclass(frozen=True)
class Row:
    """A line of a diagram.

    Attributes:
        name: as it stands there.
        value: what is sampled.
        shown: the value as text; without it, one bit is drawn as a level and more as a number.
        valid: where it is 0 the value means nothing.
    """

    name: str
    value: Value
    shown: Callable[[int], str] | None = None
    valid: Value | None = None


def traced(
    circuit: Elaboratable,
    rows: Sequence[Row],
    clocks: int,
    drive: Callable[[Any, int], None],
    title: str,
    scale: int = 1,
) -> dict[str, Any]:
    """WaveJSON of the first clocks after reset; ``drive(ctx, clock)`` sets the inputs of each clock.

    ``scale``: width of a clock, more where long names stand in it.
    """
    seen: list[list[str | int | None]] = [[] for _ in rows]

    async def bench(ctx: Any) -> None:
        for clock in range(clocks):
            drive(ctx, clock)
            for row, samples in zip(rows, seen, strict=True):
                known = row.valid is None or ctx.get(row.valid)
                value = int(ctx.get(row.value)) if known else None
                samples.append(value if value is None or row.shown is None else row.shown(value))
            await ctx.tick()

    simulator = Simulator(circuit)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    signals = [{"name": "clk", "wave": "p" + "." * (clocks - 1)}]
    signals += [line(row, samples) for row, samples in zip(rows, seen, strict=True)]
    return {"signal": signals, "head": {"text": title}, "config": {"hscale": scale}}


def line(row: Row, samples: Sequence[str | int | None]) -> dict[str, Any]:
    """One signal: levels, or boxes with what they hold."""
    is_level = row.shown is None and len(row.value) == 1
    wave, data, before = "", [], object()
    for sample in samples:
        if sample == before:
            wave += "."
        elif sample is None:
            wave += "x"
        elif is_level:
            wave += str(sample)
        else:
            wave += "="
            data.append(str(sample))
        before = sample
    return {"name": row.name, "wave": wave} | ({"data": data} if data else {})
