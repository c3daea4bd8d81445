"""Truth about streams: a source and a sink with pauses, and a check of the protocol in every clock.

Valid must not depend on ready, and what is offered must stay as it is until it is taken.
"""

from __future__ import annotations

import random
from typing import Any

from amaranth.sim import Simulator


def play(
    component: Any, payloads: list[Any], offered: str = "1", taken: str = "1", ports: list[dict[str, Any]] | None = None
) -> tuple[list[Any], list[int], list[int]]:
    """Feeds a stream, checks its protocol; returns what came out, and the clocks of each taking and each giving.

    ``offered`` and ``taken`` say, clock by clock and over again, whether source and sink want to; ``ports`` are inputs
    beside the stream, one set for each payload.
    """
    out: list[Any] = []
    starts: list[int] = []
    ends: list[int] = []

    async def bench(ctx: Any) -> None:
        offering, held, idle, clock = False, None, 0, 0
        while idle < 12:  # that much longer, for anything that should not come
            sent = len(starts)
            if not offering and sent < len(payloads) and offered[clock % len(offered)] == "1":
                offering = True
                ctx.set(component.i.payload, payloads[sent])
                for name, value in (ports[sent] if ports else {}).items():
                    ctx.set(getattr(component, name), value)
            ctx.set(component.i.valid, offering)
            ctx.set(component.o.ready, 0)
            without_ready = ctx.get(component.o.valid)
            ready = taken[clock % len(taken)] == "1"
            ctx.set(component.o.ready, ready)
            valid, payload = ctx.get(component.o.valid), ctx.get(component.o.payload)
            assert valid == without_ready, "valid depends on ready"
            assert held is None or (valid and payload == held), "not held until taken"
            held = payload if valid and not ready else None
            if valid and ready:
                out.append(payload)
                ends.append(clock)
            if offering and ctx.get(component.i.ready):
                starts.append(clock)
                offering = False
            idle = 0 if len(out) < len(payloads) else idle + 1
            await ctx.tick()
            clock += 1
            assert clock < 100 + 60 * len(payloads), "stuck"

    simulator = Simulator(component)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    return out, starts, ends


def pauses(seed: int, share: float) -> str:
    """A pattern of 97 clocks, a ``share`` of them with 1."""
    draw = random.Random(seed)
    return "1" + "".join("1" if draw.random() < share else "0" for _ in range(96))


BACKPRESSURE = [("1", "1"), ("1", "0001"), ("001", "1"), ("1101", "011"), (pauses(1, 0.5), pauses(2, 0.5))]
