"""Truth: ``Scaling.apply`` on plain integers, itself tested against exact fractions. Equal, not close."""

import random

import pytest
from amaranth import Module, signed, unsigned
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out
from streams import BACKPRESSURE, pauses, play

from hw import Rule, RulePort, Scaler
from mapping.arithmetic import Scaling

STATE, CODE = signed(16), signed(16)
RULES = [
    Rule(Scaling.nearest(0.37), (-128, 127)),
    Rule(Scaling(-3, 2), (-20000, 21000)),
    Rule(Scaling(1, 1), (0, 255)),
    Rule(Scaling(5, 0), (-32768, 32767)),
    Rule(Scaling(2**16 - 1, 16), (-32767, 32767)),
    Rule(Scaling(2**24 - 1, 48), (-1, 1)),
    Rule(Scaling(0, 3), (-4, 4)),
    Rule(Scaling(7, 3), (10, 20)),
    Rule(Scaling(7, 3), (-20, -10)),
]


def values(rule: Rule, seed: int, count: int = 150) -> list[int]:
    """Ends of the range, what lies about the limits, whatever is a tie, and random ones."""
    draw = random.Random(seed)
    found = [-32768, 32767, -1, 0, 1]
    if rule.multiplier:
        found += [int(limit / rule.scaling.ratio) + d for limit in rule.limits for d in (-2, -1, 0, 1, 2)]
    found += [x for x in range(-50, 50) if 2 * x * rule.multiplier % 2 ** (rule.shift + 1) == 2**rule.shift]
    found += [draw.randrange(-32768, 32768) for _ in range(count)]
    return [x for x in found if -32768 <= x <= 32767]


@pytest.mark.parametrize("rule", RULES)
def test_constants_give_the_golden_model(rule: Rule) -> None:
    xs = values(rule, seed=3)
    out, _, _ = play(Scaler(STATE, rule), xs, pauses(4, 0.8), pauses(5, 0.6))
    assert out == [rule.scaling.apply(x, rule.limits) for x in xs]


def test_ties_and_both_saturations_are_among_the_values() -> None:
    rule = RULES[1]
    xs = values(rule, seed=3)
    exact = [x * rule.scaling.ratio for x in xs]
    assert sum(y.denominator == 2 for y in exact) >= 10
    assert min(exact) < rule.low
    assert max(exact) > rule.high


@pytest.mark.parametrize(("offered", "taken"), BACKPRESSURE)
def test_each_element_has_the_rule_of_the_clock_that_took_it(offered: str, taken: str) -> None:
    draw = random.Random(6)
    shifts = [0, 1, 48, *(draw.randrange(49) for _ in range(97))]
    rules = [
        Rule(
            Scaling(draw.choice([-1, 1]) * draw.randrange(2 ** draw.randrange(1, 17)), shift),
            (draw.randrange(-32768, 0), draw.randrange(1, 32768)),
        )
        for shift in shifts
    ]
    xs = [draw.randrange(-32768, 32768) for _ in rules]
    ports = [
        {"rule": {"multiplier": rule.multiplier, "shift": rule.shift, "low": rule.low, "high": rule.high}}
        for rule in rules
    ]
    out, _, _ = play(Scaler(STATE, RulePort(CODE)), xs, offered, taken, ports)
    assert out == [rule.scaling.apply(x, rule.limits) for x, rule in zip(xs, rules, strict=True)]


def test_wide_sums_and_the_largest_multiplier_are_exact() -> None:
    ends = [-(2**31), 2**31 - 1, -(2**31) + 1, 2**30 + 1]
    multipliers = [2**24 - 1, 1 - 2**24]
    limits = (-(2**23), 2**23 - 1)
    cases = [(x, Scaling(factor, shift)) for x in ends for factor in multipliers for shift in (24, 31, 32, 40, 48)]
    ports = [
        {"rule": {"multiplier": by.multiplier, "shift": by.shift, "low": limits[0], "high": limits[1]}}
        for _, by in cases
    ]
    port = RulePort(signed(24), multiplier_bits=24)
    out, _, _ = play(Scaler(signed(32), port), [x for x, _ in cases], ports=ports)
    assert out == [by.apply(x, limits) for x, by in cases]


def test_every_8_bit_code_is_exact_for_unsigned_states() -> None:
    rule = Rule(Scaling.nearest(15 / 255, bits=8), (0, 15))
    out, _, _ = play(Scaler(unsigned(8), rule), list(range(256)))
    assert out == [rule.scaling.apply(x, rule.limits) for x in range(256)]
    assert max(out) == 15


def test_latency_is_as_stated_and_every_clock_takes_one() -> None:
    xs = list(range(40))
    _, starts, ends = play(Scaler(STATE, RULES[0]), xs)
    assert Scaler.latency == 9
    assert starts == list(range(40))
    assert ends == [start + Scaler.latency for start in starts]


class Forgetful(Component):
    """Gives what it has, and another thing in the next clock, taken or not."""

    def __init__(self) -> None:
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.i.ready.eq(1)
        m.d.sync += [self.o.valid.eq(self.i.valid), self.o.payload.eq(self.i.payload)]
        return m


def test_stream_check_catches_what_is_not_held() -> None:
    assert play(Forgetful(), [1, 2, 3])[0] == [1, 2, 3]
    with pytest.raises(AssertionError, match="not held"):
        play(Forgetful(), [1, 2, 3], "1", "001")


def test_full_pipeline_waits_for_the_sink() -> None:
    _, starts, ends = play(Scaler(STATE, RULES[0]), list(range(10)), "1", "0" * 19 + "1" * 19)
    assert starts == [0, 1, 2, 3, 4, 5, 6, 7, 8, 19]
    assert ends == [*range(19, 29)]


def test_pipeline_with_gaps_waits_as_it_is_once_its_first_element_is_through() -> None:
    _, starts, ends = play(Scaler(STATE, RULES[0]), list(range(6)), "1001", "0" * 19 + "1" * 19)
    assert starts == [0, 3, 4, 7, 8, 19]
    assert ends == [19, 22, 23, 26, 27, 28]


def test_output_is_as_wide_as_the_limits_need() -> None:
    assert Rule(Scaling(1, 0), (0, 15)).output == unsigned(4)
    assert Rule(Scaling(1, 0), (-8, 7)).output == signed(4)
    assert Rule(Scaling(1, 0), (-9, 7)).output == signed(5)


def test_impossible_rules_are_refused() -> None:
    with pytest.raises(ValueError, match="limits"):
        Rule(Scaling(1, 0), (3, 3))
    with pytest.raises(ValueError, match="25 bits of a multiplier"):
        RulePort(signed(8), multiplier_bits=25)
    with pytest.raises(ValueError, match="largest shift 49"):
        RulePort(signed(8), largest_shift=49)
