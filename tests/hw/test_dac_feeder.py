# amaranth: UnusedElaboratable=no
"""Truth: ``mapping.dither.dithered`` with numbers that ``Lfsr.next`` gives one by one. Equal, not close."""

import random
from typing import Any

import pytest
from amaranth import signed
from amaranth.sim import Simulator
from streams import BACKPRESSURE, play

from hw import DacFeeder, Rule, RulePort
from mapping.arithmetic import Limits, Scaling
from mapping.dither import Lfsr, dithered

STATE, DAC = signed(17), (-127, 127)
SCALING = Scaling.nearest(127 / 65535)
LFSR = Lfsr(16, seed=0xACE1)


def groups(states: list[int], lanes: int) -> list[dict[str, Any]]:
    """States in the order of feeding, L at a time; lanes without one hold anything."""
    parts = [states[first : first + lanes] for first in range(0, len(states), lanes)]
    return [{"codes": part + [-31111] * (lanes - len(part)), "used": 2 ** len(part) - 1} for part in parts]


def codes_of(out: list[Any], lanes: int) -> list[int]:
    """What the used lanes gave, in order; idle lanes must give 0."""
    codes = [(given["codes"][lane], given["used"] >> lane & 1) for given in out for lane in range(lanes)]
    assert all(code == 0 for code, used in codes if not used)
    return [code for code, used in codes if used]


def expected_codes(states: list[int], lfsr: Lfsr, scaling: Scaling = SCALING, limits: Limits = DAC) -> list[int]:
    """Element e takes number e, one at a time."""
    found, number = [], lfsr.seed
    for x in states:
        found.append(dithered(x, scaling, limits, number, lfsr.width))
        number = lfsr.next(number)
    return found


def some_states(seed: int, count: int) -> list[int]:
    """Both ends, what lies beyond the DAC's, and random ones."""
    draw = random.Random(seed)
    return [65535, -65536, 65534, -65535, 0, 1, -1, *(draw.randrange(-65536, 65536) for _ in range(count - 7))]


@pytest.mark.parametrize("lanes", [1, 2, 4, 7])
@pytest.mark.parametrize(("offered", "taken"), BACKPRESSURE)
def test_dithered_codes_are_the_golden_models(lanes: int, offered: str, taken: str) -> None:
    states = some_states(lanes, 101)
    out, _, _ = play(DacFeeder(STATE, Rule(SCALING, DAC), lanes, LFSR), groups(states, lanes), offered, taken)
    codes = codes_of(out, lanes)
    assert codes == expected_codes(states, LFSR)
    assert codes != [SCALING.apply(x, DAC) for x in states]


@pytest.mark.parametrize("lanes", [1, 3])
def test_without_a_register_codes_are_rounded(lanes: int) -> None:
    scaling, limits = Scaling(1, 3), (-50, 60)
    states = [*range(-450, 500, 4), 65535, -65536]
    out, _, _ = play(DacFeeder(STATE, Rule(scaling, limits), lanes), groups(states, lanes), "110", "0111")
    codes = codes_of(out, lanes)
    assert codes == [scaling.apply(x, limits) for x in states]
    assert codes[:2] == [-50, -50]
    assert max(codes) == 60


@pytest.mark.parametrize("width", [4, 9, 16])
def test_shift_may_be_narrower_or_wider_than_the_register(width: int) -> None:
    lfsr, states, lanes = Lfsr(width, seed=5, shifts=1 if width == 4 else 16), some_states(7, 60), 3
    draw = random.Random(8)
    given = groups(states, lanes)
    rules = [
        Rule(Scaling(draw.randrange(-65535, 65536), shift), (-128, 127))
        for shift in [0, 1, width, 48, *(draw.randrange(49) for _ in given[4:])]
    ]
    ports = [{"rule": {"multiplier": r.multiplier, "shift": r.shift, "low": r.low, "high": r.high}} for r in rules]
    out, _, _ = play(DacFeeder(STATE, RulePort(signed(8)), lanes, lfsr), given, "1", "011", ports)
    numbers = [int(number) for number in lfsr.numbers(0, len(states))]
    assert codes_of(out, lanes) == [
        dithered(x, rules[e // lanes].scaling, (-128, 127), numbers[e], width) for e, x in enumerate(states)
    ]


@pytest.mark.parametrize("elements", [4, 5, 7, 8])
def test_idle_lanes_use_up_their_numbers(elements: int) -> None:
    lanes, states = 4, some_states(9, 16)
    given = groups(states[:elements], lanes) + groups(states, lanes)
    out, _, _ = play(DacFeeder(STATE, Rule(SCALING, DAC), lanes, LFSR), given)
    second = LFSR.after(elements, lanes)
    assert codes_of(out, lanes) == expected_codes(states[:elements], LFSR) + expected_codes(states, second)


def test_register_holds_while_nothing_is_taken_and_tells_where_to_continue() -> None:
    lanes, seen = 4, []
    feeder = DacFeeder(STATE, Rule(SCALING, DAC), lanes, LFSR)

    async def bench(ctx: Any) -> None:
        ctx.set(feeder.i.payload, groups([100] * lanes, lanes)[0])
        for valid, ready in [(0, 0), (0, 1), *[(1, 0)] * 11, (1, 1), (0, 1)]:
            ctx.set(feeder.i.valid, valid)
            ctx.set(feeder.o.ready, ready)
            seen.append(ctx.get(feeder.number))
            await ctx.tick()
        seen.append(ctx.get(feeder.number))

    simulator = Simulator(feeder)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    # Nine groups fill the stages, the tenth is taken when the sink takes.
    assert seen == [LFSR.jump(lanes * count).seed for count in (0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 10, 10)]


@pytest.mark.parametrize("at", [0, 3, 6])
def test_seed_is_loaded_for_what_is_taken_later(at: int) -> None:
    lanes, states, seed = 2, some_states(10, 20), 0xBEEF
    given = groups(states, lanes)
    ports = [{"load": int(number == at), "seed": seed} for number in range(len(given))]
    out, _, _ = play(DacFeeder(STATE, Rule(SCALING, DAC), lanes, LFSR), given, "1", "1", ports)
    last = (at + 1) * lanes  # the group of the load still has the numbers of before
    later = expected_codes(states[last:], Lfsr(16, seed=seed))
    assert codes_of(out, lanes) == expected_codes(states[:last], LFSR) + later


def test_mean_over_a_period_is_unbiased() -> None:
    lfsr, lanes, x = Lfsr(8, seed=1, shifts=1), 8, 75
    out, _, _ = play(DacFeeder(STATE, Rule(Scaling(1, 5), DAC), lanes, lfsr), groups([x] * (255 * lanes), lanes))
    assert sum(codes_of(out, lanes)) / (255 * lanes) == pytest.approx(x / 32, abs=1 / 255)


def test_latency_is_as_stated_and_every_clock_takes_a_group() -> None:
    given = groups(some_states(11, 64), 4)
    _, starts, ends = play(DacFeeder(STATE, Rule(SCALING, DAC), 4, LFSR), given)
    assert DacFeeder.latency == 9
    assert starts == list(range(16))
    assert ends == [start + DacFeeder.latency for start in starts]


def test_no_lanes_are_refused() -> None:
    with pytest.raises(ValueError, match="0 lanes"):
        DacFeeder(STATE, Rule(SCALING, DAC), 0)
