"""Streams in a simulator that cocotb runs: a source and a sink with pauses, and a check of the protocol.

A pattern such as "1101" says, clock by clock and over again, whether a side wants to.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from amaranth import Const, Shape
from amaranth.lib import data
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from tb.benches import CLOCK_NS

RESET_CLOCKS = 3


async def start(dut: Any, **inputs: int) -> None:
    """Sets the inputs of a circuit, starts its clock, and resets it."""
    for name, value in inputs.items():
        getattr(dut, name).value = value
    dut.rst.value = 1
    Clock(dut.clk, CLOCK_NS, "ns").start()
    await ClockCycles(dut.clk, RESET_CLOCKS)
    dut.rst.value = 0


def to_bits(shape: Any, value: Any) -> int:
    """A number, or a structure as dictionaries and lists, as the bits of a port."""
    constant = shape.const(value) if isinstance(shape, data.Layout) else value
    return int(Const.cast(constant).value) & (1 << Shape.cast(shape).width) - 1


def from_bits(shape: Any, bits: int) -> Any:
    """The number that the bits of a port mean, or the structure, to be asked for its fields."""
    if isinstance(shape, data.Layout):
        return shape.from_bits(bits)
    plain = Shape.cast(shape)
    return bits - (bits >> plain.width - 1 << plain.width) if plain.signed else bits


@dataclass(frozen=True)
class Port:
    """A stream's signals in the simulator."""

    valid: Any
    ready: Any
    payload: tuple[Any, ...]

    @classmethod
    def of(cls, dut: Any, name: str) -> Port:
        """A stream of Amaranth, by the name of its ports."""
        valid, ready, payload = (getattr(dut, f"{name}__{part}") for part in ("valid", "ready", "payload"))
        return cls(valid, ready, (payload,))

    @property
    def bits(self) -> tuple[int, ...]:
        """Of the payload, as it is now."""
        return tuple(int(part.value) for part in self.payload)


async def offer(clock: Any, port: Port, payloads: Iterable[int], pattern: str, also: Callable[[int], None]) -> None:
    """Gives payloads one after the other, each until it is taken; ``also(n)`` sets what goes with the n-th."""
    wants = cycle(pattern)
    for number, payload in enumerate(payloads):
        while next(wants) == "0":
            await RisingEdge(clock)
        port.valid.value, port.payload[0].value = 1, payload
        also(number)
        await RisingEdge(clock)
        while not port.ready.value:
            next(wants)
            await RisingEdge(clock)
        port.valid.value = 0


async def take(clock: Any, port: Port, pattern: str, taken: list[int]) -> None:
    """Takes payloads for ever, and keeps them."""
    for want in cycle(pattern):
        port.ready.value = int(want)
        await RisingEdge(clock)
        if want == "1" and port.valid.value:
            taken.append(port.bits[0])


async def check(clock: Any, reset: Any, port: Port) -> None:
    """For ever: what is offered stays as it is until it is taken.

    Raises:
        AssertionError: in the clock in which it does not.
    """
    held = None
    while True:
        await RisingEdge(clock)
        if reset.value:
            held = None
            continue
        offered = port.bits if port.valid.value else None
        assert held in (None, offered), f"{port.valid._name}: {held} was not taken, now it is {offered}"
        held = None if port.ready.value else offered


def pauses(seed: int, share: float) -> str:
    """A pattern of 97 clocks, a ``share`` of them with 1."""
    draw = random.Random(seed)
    return "1" + "".join("1" if draw.random() < share else "0" for _ in range(96))
