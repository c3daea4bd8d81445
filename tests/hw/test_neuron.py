"""Truth: ``mapping.arithmetic.neuron`` on plain integers, itself tested against exact fractions. Equal, not close."""

import random
from typing import Any

import pytest
from amaranth import signed
from amaranth.sim import Simulator

from hw import Neuron, Rule, RulePort
from mapping.arithmetic import Scaling, neuron


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
    assert Neuron.latency == 3
    assert starts == list(range(len(given)))
    assert ends == [start + Neuron.latency for start in starts]


def test_empty_first_stage_takes_while_the_others_wait() -> None:
    given = cases(8, 1.0, CLIP)[:4]
    _, starts, ends = play(Neuron(DRIVE, BIAS, Rule(Scaling(1, 0), CLIP)), given, "1101", "0" * 9 + "1" * 9)
    assert starts == [0, 1, 3, 9]
    assert ends == [9, 10, 11, 12]
