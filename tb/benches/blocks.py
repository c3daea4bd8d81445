"""Truth: the integer rules of ``mapping.arithmetic`` and ``mapping.dither``, for random elements, rules and pauses."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cocotb
from amaranth import Shape
from cocotb.triggers import ClockCycles

from mapping import arithmetic as rules
from mapping.arithmetic import Limits, Scaling
from mapping.dither import dithered
from tb.benches.top import BIAS, DRIVE, LANES, LFSR, STATE, blocks
from tb.streams import Port, check, from_bits, offer, pauses, start, take, to_bits

ELEMENTS = 60
# Of source and sink.
PATTERNS = {"none": ("1", "1"), "sink": ("1", "001"), "source": ("011", "1"), "both": (pauses(1, 0.5), pauses(2, 0.5))}


@dataclass(frozen=True)
class Element:
    """What goes into a block, what its other ports are meanwhile, and what must come out."""

    given: Any
    ports: dict[str, Any]
    wanted: Any


def some_number(draw: random.Random, shape: Any) -> int:
    """Small or large numbers, and both ends."""
    numbers = range(-(1 << Shape.cast(shape).width - 1), 1 << Shape.cast(shape).width - 1)
    return draw.choice([numbers[0], numbers[-1], draw.randrange(-300, 300), draw.choice(numbers), draw.choice(numbers)])


def some_rule(draw: random.Random, bits: int) -> tuple[Scaling, Limits]:
    """A scaling that mostly leaves something, and limits in so many bits."""
    shift = draw.choice([0, 1, 48, *range(8, 24)])
    multiplier = draw.choice([1, -1]) * draw.randrange(1 << draw.randrange(1, 17))
    ends = (-(1 << bits - 1), (1 << bits - 1) - 1)
    return Scaling(multiplier, shift), draw.choice([ends, (draw.randrange(ends[0], 0), draw.randrange(1, ends[1]))])


def rule_port(by: Scaling, limits: Limits) -> dict[str, Any]:
    port = {"multiplier": by.multiplier, "shift": by.shift, "low": limits[0], "high": limits[1]}
    return {"rule": port}


def scaling(draw: random.Random) -> Element:
    x, (by, limits) = some_number(draw, DRIVE), some_rule(draw, 22)
    return Element(x, rule_port(by, limits), by.apply(x, limits))


def update(draw: random.Random) -> Element:
    drive, bias, (by, limits) = some_number(draw, DRIVE), some_number(draw, BIAS), some_rule(draw, 17)
    return Element({"drive": drive, "bias": bias}, rule_port(by, limits), rules.neuron(drive, bias, by, limits))


def squared_error(draw: random.Random) -> Element:
    drive, bias, (_, limits) = some_number(draw, DRIVE), some_number(draw, BIAS), some_rule(draw, 17)
    beta = draw.choice([-1, 1]) * draw.uniform(0.01, 0.9)
    nudge, is_target = rules.SquaredErrorNudge.build(beta, 1.0, 65535), draw.random() < 0.5
    given = {"drive": drive, "bias": bias, "is_target": int(is_target)}
    wanted = nudge.apply(drive + bias, is_target=is_target, limits=limits)
    return Element(given, {"push": nudge.push, **rule_port(nudge.divide, limits)}, wanted)


def linear(draw: random.Random) -> Element:
    drive, error = draw.randrange(-(2**19), 2**19), some_number(draw, STATE)
    beta = Scaling.fixed_point(draw.choice([-1, 1]) * draw.uniform(0.001, 15.9))
    return Element({"drive": drive, "error": error}, {"beta": beta.multiplier}, rules.linear_nudge(drive, error, beta))


class Feeding:
    """Groups one after the other: each takes as many numbers of the register as there are lanes."""

    def __init__(self) -> None:
        self.groups = 0

    def __call__(self, draw: random.Random) -> Element:
        codes, (by, limits) = [some_number(draw, STATE) for _ in range(LANES)], some_rule(draw, 8)
        used = draw.randrange(1 << LANES)
        numbers = [int(number) for number in LFSR.numbers(LANES * self.groups, LANES)]
        self.groups += 1
        wanted = [
            dithered(x, by, limits, number, LFSR.width) if used >> lane & 1 else 0
            for lane, (x, number) in enumerate(zip(codes, numbers, strict=True))
        ]
        return Element({"codes": codes, "used": used}, rule_port(by, limits), {"codes": wanted, "used": used})


def each_pause(test: Any) -> Any:
    return cocotb.test(cocotb.parametrize(pauses=list(PATTERNS))(test))


@each_pause
async def scaler(dut: Any, pauses: str) -> None:
    await compare(dut, "scaler", scaling, pauses)


@each_pause
async def dac_feeder(dut: Any, pauses: str) -> None:
    await compare(dut, "feeder", Feeding(), pauses)


@each_pause
async def neuron(dut: Any, pauses: str) -> None:
    await compare(dut, "neuron", update, pauses)


@each_pause
async def squared_error_nudger(dut: Any, pauses: str) -> None:
    await compare(dut, "squared_error", squared_error, pauses)


@each_pause
async def linear_nudger(dut: Any, pauses: str) -> None:
    await compare(dut, "linear", linear, pauses)


async def compare(dut: Any, name: str, make: Callable[[random.Random], Element], pattern: str) -> None:
    """Feeds a block with random elements; all must come out, as they should be, and nothing else."""
    members, draw = blocks()[name].signature.members, random.Random(f"{name} {pattern}")
    elements = [make(draw) for _ in range(ELEMENTS)]
    shapes = {side: members[side].signature.members["payload"].shape for side in "io"}
    i, o = (Port.of(dut, f"{name}__{side}") for side in "io")
    offered, taken = PATTERNS[pattern]
    await start(dut, **{f"{other}__i__valid": 0 for other in blocks()}, feeder__load=0)

    def set_ports(number: int) -> None:
        for port, value in elements[number].ports.items():
            getattr(dut, f"{name}__{port}").value = to_bits(members[port].shape, value)

    out: list[int] = []
    cocotb.start_soon(check(dut.clk, dut.rst, o))
    cocotb.start_soon(take(dut.clk, o, taken, out))
    await offer(dut.clk, i, [to_bits(shapes["i"], element.given) for element in elements], offered, set_ports)
    await ClockCycles(dut.clk, 60)  # longer than the last may take, for anything that should not come
    wanted = [to_bits(shapes["o"], element.wanted) for element in elements]
    differ = [n for n, (a, b) in enumerate(zip(out, wanted, strict=True)) if a != b]
    assert not differ, [(n, elements[n], from_bits(shapes["o"], out[n])) for n in differ[:3]]
