"""Truth: ``mapping.arithmetic.neuron`` on plain integers, itself tested against exact fractions. Equal, not close."""

import random

import pytest
from amaranth import signed
from streams import BACKPRESSURE, pauses, play

from hw import Neuron, Rule, RulePort
from mapping.arithmetic import Scaling, neuron

DRIVE, BIAS = signed(24), signed(20)
CLIP = (0, 65535)


def cases(seed: int, stiffness: float, clip: tuple[int, int], count: int = 120) -> list[dict[str, int]]:
    """Ends of both ranges, what lies about the clip range, and random ones."""
    draw = random.Random(seed)
    about = [
        {"drive": round(end * stiffness) - bias + d, "bias": bias}
        for end in clip
        for bias in (-500, 0, 700)
        for d in (-1, 0, 1)
    ]
    ends = [{"drive": drive, "bias": bias} for drive in (-(2**23), 2**23 - 1) for bias in (-(2**19), 2**19 - 1)]
    small = [{"drive": draw.randrange(-(2**17), 2**17), "bias": draw.randrange(-(2**12), 2**12)} for _ in range(count)]
    return ends + about + small


@pytest.mark.parametrize("clip", [CLIP, (-32768, 32767), (-32767, 32767), (0, 200), (1000, 2000)])
@pytest.mark.parametrize("stiffness", [1.0, 2.0, 0.5, 1.37])
def test_constants_give_the_golden_model(stiffness: float, clip: tuple[int, int]) -> None:
    inverse = Scaling.nearest(1 / stiffness)
    given = cases(1, stiffness, clip)
    component = Neuron(DRIVE, BIAS, Rule(inverse, clip))
    out, _, _ = play(component, given, pauses(3, 0.8), pauses(4, 0.6))
    expected = [neuron(case["drive"], case["bias"], inverse, clip) for case in given]
    assert out == expected
    assert (min(expected), max(expected)) == clip


def test_ties_round_upwards() -> None:
    given = [{"drive": drive, "bias": 1} for drive in range(-8, 8)]
    out, _, _ = play(Neuron(DRIVE, BIAS, Rule(Scaling(1, 1), (-100, 100))), given)
    assert out == [-3, -3, -2, -2, -1, -1, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


@pytest.mark.parametrize(("offered", "taken"), BACKPRESSURE)
def test_layers_that_alternate_keep_their_own_rules(offered: str, taken: str) -> None:
    draw = random.Random(5)
    given = cases(6, 1.0, (-32768, 32767), count=60)
    rules = [
        Rule(Scaling.nearest(draw.uniform(0.1, 8.0)), (draw.randrange(-32768, 0), draw.randrange(1, 32768)))
        for _ in given
    ]
    ports = [
        {"rule": {"multiplier": rule.multiplier, "shift": rule.shift, "low": rule.low, "high": rule.high}}
        for rule in rules
    ]
    out, _, _ = play(Neuron(DRIVE, BIAS, RulePort(signed(16))), given, offered, taken, ports)
    assert out == [
        neuron(case["drive"], case["bias"], rule.scaling, rule.limits) for case, rule in zip(given, rules, strict=True)
    ]


def test_latency_is_as_stated_and_every_clock_takes_one() -> None:
    given = cases(7, 1.0, CLIP, count=20)
    _, starts, ends = play(Neuron(DRIVE, BIAS, Rule(Scaling(1, 0), CLIP)), given)
    assert Neuron.latency == 10
    assert starts == list(range(len(given)))
    assert ends == [start + Neuron.latency for start in starts]


def test_empty_first_stage_takes_while_the_others_wait() -> None:
    given, taken = cases(8, 1.0, CLIP)[:12], "0" * 19 + "1" * 19
    _, starts, ends = play(Neuron(DRIVE, BIAS, Rule(Scaling(1, 0), CLIP)), given, "1" * 9 + "0" + "1" * 12, taken)
    assert starts == [*range(9), 10, 19, 20]
    assert ends == [*range(19, 31)]
