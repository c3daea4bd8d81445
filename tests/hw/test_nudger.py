"""Truth: ``SquaredErrorNudge.apply`` and ``linear_nudge`` on plain integers, tested against exact fractions.

Equal, not close.
"""

import random
from typing import Any

import pytest
from amaranth import signed
from amaranth.sim import Simulator

from hw import LinearNudger, Rule, RulePort, SquaredErrorNudger
from mapping.arithmetic import Scaling, SquaredErrorNudge, linear_nudge


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

DRIVE, BIAS, PUSH, STATE = signed(24), signed(20), signed(20), signed(17)
ONE = 2**15  # code of 1.0
CLIP = (0, ONE)
BETAS = [0.5, -0.5, 0.001, -0.001, 1.0, -0.9, 3.75]


def cases(seed: int, nudge: SquaredErrorNudge, count: int = 100) -> list[dict[str, int]]:
    """Ends of the ranges, what lies about the clip range, and random ones; targets and others."""
    draw = random.Random(seed)
    held = 1 / float(nudge.divide.ratio)
    about = [
        {"drive": round(end * held) - nudge.push * target + d, "bias": 0, "is_target": target}
        for end in CLIP
        for target in (0, 1)
        for d in range(-3, 4)
    ]
    ends = [
        {"drive": drive, "bias": bias, "is_target": target}
        for drive in (-(2**23), 2**23 - 1)
        for bias in (-(2**19), 2**19 - 1)
        for target in (0, 1)
    ]
    return (
        ends
        + about
        + [
            {
                "drive": draw.randrange(-(2**15), 2**17),
                "bias": draw.randrange(-(2**12), 2**12),
                "is_target": draw.randrange(2),
            }
            for _ in range(count)
        ]
    )


def expected_states(nudge: SquaredErrorNudge, given: list[dict[str, int]]) -> list[int]:
    return [nudge.apply(case["drive"] + case["bias"], is_target=bool(case["is_target"]), limits=CLIP) for case in given]


def ports_of(nudge: SquaredErrorNudge) -> dict[str, Any]:
    rule = {"multiplier": nudge.divide.multiplier, "shift": nudge.divide.shift, "low": CLIP[0], "high": CLIP[1]}
    return {"push": nudge.push, "rule": rule}


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("stiffness", [1.0, 2.5])
def test_squared_error_gives_the_golden_model(beta: float, stiffness: float) -> None:
    nudge = SquaredErrorNudge.build(beta, stiffness, ONE)
    given = cases(1, nudge)
    component = SquaredErrorNudger(DRIVE, BIAS, PUSH, Rule(nudge.divide, CLIP))
    ports = [{"push": nudge.push} for _ in given]
    out, _, _ = play(component, given, pauses(3, 0.8), pauses(4, 0.6), ports)
    expected = expected_states(nudge, given)
    assert out == expected
    assert (min(expected), max(expected)) == CLIP


@pytest.mark.parametrize(("offered", "taken"), BACKPRESSURE)
def test_phases_of_both_signs_follow_each_other_without_a_gap(offered: str, taken: str) -> None:
    nudges = [SquaredErrorNudge.build(beta, 1.0, ONE) for beta in BETAS]
    given = cases(2, nudges[0], count=70)
    of = [nudges[number % len(nudges)] for number in range(len(given))]
    component = SquaredErrorNudger(DRIVE, BIAS, PUSH, RulePort(STATE, multiplier_bits=17))
    out, _, _ = play(component, given, offered, taken, [ports_of(nudge) for nudge in of])
    assert out == [expected_states(nudge, [case])[0] for nudge, case in zip(of, given, strict=True)]


def test_squared_error_ties_round_upwards() -> None:
    nudge = SquaredErrorNudge(push=3, divide=Scaling(1, 1))
    given = [{"drive": drive, "bias": 2, "is_target": target} for drive in range(12) for target in (0, 1)]
    component = SquaredErrorNudger(DRIVE, BIAS, PUSH, Rule(nudge.divide, CLIP))
    out, _, _ = play(component, given, ports=[{"push": 3} for _ in given])
    assert out == [(drive + 2 + 3 * target + 1) // 2 for drive in range(12) for target in (0, 1)]


@pytest.mark.parametrize(("offered", "taken"), BACKPRESSURE)
def test_linear_nudge_gives_the_golden_model(offered: str, taken: str) -> None:
    draw = random.Random(8)
    ends = [(drive, error) for drive in (-(2**23), 2**23 - 1) for error in (-65536, 65535, 0)]
    given = [{"drive": drive, "error": error} for drive, error in ends for _ in range(3)]
    given += [{"drive": draw.randrange(-(2**23), 2**23), "error": draw.randrange(-65536, 65536)} for _ in range(60)]
    signs = [1 - 2**16, 2**16 - 1, 0, *(draw.randrange(1 - 2**16, 2**16) for _ in range(60))]
    betas = [Scaling(signs[number % len(signs)], 12) for number in range(len(given))]
    ports = [{"beta": beta.multiplier} for beta in betas]
    out, _, _ = play(LinearNudger(DRIVE, STATE), given, offered, taken, ports)
    assert out == [linear_nudge(case["drive"], case["error"], beta) for case, beta in zip(given, betas, strict=True)]


def test_linear_nudge_ties_round_upwards() -> None:
    beta = Scaling.fixed_point(-0.5)
    given = [{"drive": 10, "error": error} for error in range(-6, 7)]
    out, _, _ = play(LinearNudger(DRIVE, STATE), given, ports=[{"beta": beta.multiplier} for _ in given])
    assert out == [13, 13, 12, 12, 11, 11, 10, 10, 9, 9, 8, 8, 7]


def test_latencies_are_as_stated_and_every_clock_takes_one() -> None:
    nudge = SquaredErrorNudge.build(0.5, 1.0, ONE)
    given = cases(9, nudge, count=5)
    squared = SquaredErrorNudger(DRIVE, BIAS, PUSH, Rule(nudge.divide, CLIP))
    linear = LinearNudger(DRIVE, STATE)
    _, starts, ends = play(squared, given)
    assert (starts, SquaredErrorNudger.latency) == (list(range(len(given))), 3)
    assert ends == [start + 3 for start in starts]
    _, starts, ends = play(linear, [{"drive": 1, "error": 1}] * 20)
    assert (starts, LinearNudger.latency) == (list(range(20)), 2)
    assert ends == [start + 2 for start in starts]
