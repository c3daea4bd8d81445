"""Truth: ``SquaredErrorNudge.apply`` and ``linear_nudge`` on plain integers, tested against exact fractions.

Equal, not close.
"""

import random
from typing import Any

import pytest
from amaranth import signed
from streams import BACKPRESSURE, pauses, play

from hw import LinearNudger, Rule, RulePort, SquaredErrorNudger
from mapping.arithmetic import Scaling, SquaredErrorNudge, linear_nudge

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
    assert (starts, SquaredErrorNudger.latency) == (list(range(len(given))), 10)
    assert ends == [start + 10 for start in starts]
    _, starts, ends = play(linear, [{"drive": 1, "error": 1}] * 20)
    assert (starts, LinearNudger.latency) == (list(range(20)), 5)
    assert ends == [start + 5 for start in starts]
