"""Truth: the stages of a turn, written out clock by clock."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from amaranth.sim import Simulator

from hw.array_timer import STAGES, ArrayTimer

TIMES = [(0, 0, 0, 1, 1, 0), (2, 3, 1, 2, 1, 1), (5, 0, 2, 1, 3, 4)]


def turn(settle: int, integrate: int, convert: int, discharge: int, average: int, conversions: int) -> list[str]:
    """What each clock of a turn does, from apply on, while nothing is waited for."""
    reading = ["integrate"] * integrate + ["convert"] * (max(1, convert) * max(1, conversions))
    return ["apply", *["settle"] * settle, *reading * max(1, average), "latch", *["discharge"] * discharge]


def run(timer: ArrayTimer, bench: Callable[[Any], Any]) -> None:
    simulator = Simulator(timer)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize(("times", "average", "conversions"), [*itertools.product(TIMES, (0, 1, 2, 3), (0, 1, 2, 4))])
@pytest.mark.parametrize("transposed", [0, 1])
def test_turns_follow_each_other_stage_by_stage(
    times: tuple[int, ...], average: int, conversions: int, transposed: int
) -> None:
    settle, transposed_settle, integrate, convert, transposed_convert, discharge = times
    timer, seen = ArrayTimer(), []

    async def bench(ctx: Any) -> None:
        names = ("settle", "transposed_settle", "integrate", "convert", "transposed_convert", "discharge")
        ports = dict(zip(names, times, strict=True)) | {"average": average, "conversions": conversions}
        for name, value in (ports | {"transposed": transposed, "loaded": 1, "may_latch": 1}).items():
            ctx.set(getattr(timer, name), value)
        for _ in range(150):
            stage = ctx.get(timer.stage)
            now = [name for number, name in enumerate(STAGES) if stage >> number & 1]
            now += [name for name in ("apply", "latch") if ctx.get(getattr(timer, name))]
            assert len(now) <= 1
            seen.extend(now or ["rest"])
            await ctx.tick()

    run(timer, bench)
    stages = (transposed_settle, transposed_convert) if transposed else (settle, convert)
    wanted = ["rest", *turn(stages[0], integrate, stages[1], discharge, average, conversions)]
    assert seen == (wanted * 150)[:150]


def test_latch_waits_for_the_codes_of_the_turn_before() -> None:
    timer, seen = ArrayTimer(), []

    async def bench(ctx: Any) -> None:
        for name in ("average", "conversions", "convert", "loaded"):
            ctx.set(getattr(timer, name), 1)
        for clock in range(12):
            ctx.set(timer.may_latch, int(clock == 9))
            seen.append(ctx.get(timer.latch))
            await ctx.tick()

    run(timer, bench)
    assert seen == [0] * 9 + [1, 0, 0]
