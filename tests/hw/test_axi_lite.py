# amaranth: UnusedElaboratable=no
"""Truth: lists of transactions in Python, and the rules of AMBA AXI4-Lite (ARM IHI 0022) checked in every clock."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import pytest
from amaranth import ResetInserter, Signal
from amaranth.sim import Simulator
from streams import pauses

from hw.axi_lite import AxiLite

ADDRESS_BITS = 8
OKAY, SLVERR = 0, 2
WRONG = range(0xC0, 0x100)  # addresses that nobody has


@dataclass
class Bench:
    """A manager with pauses in each of its five channels, and a device that answers on the simple bus.

    Attributes:
        writes: address, data and strobes. reads: addresses.
        pauses: clock by clock, whether a channel wants to: aw, w, b, ar, r.
        done: clocks of the simple bus in use: clock, address, data (None for a read).
        given: answers: clock and response, and data of reads.
        reset: clocks of it.
    """

    writes: list[tuple[int, int, int]]
    reads: list[int]
    pauses: dict[str, str] = field(default_factory=dict)
    reset: range = range(0)
    done: list[tuple[int, int, int | None]] = field(default_factory=list)
    accepted: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in ("aw", "w", "ar")})
    given: dict[str, list[tuple[int, ...]]] = field(default_factory=lambda: {"b": [], "r": []})
    answers: list[tuple[int, int]] = field(default_factory=list)

    def wants(self, channel: str, clock: int) -> bool:
        pattern = self.pauses.get(channel, "1")
        return pattern[clock % len(pattern)] == "1"

    def run(self, clocks: int = 2000) -> Bench:
        bus, rst = AxiLite(ADDRESS_BITS), Signal()
        queues: dict[str, list[dict[str, int]]] = {
            "aw": [{"bus_awaddr": address} for address, _, _ in self.writes],
            "w": [{"bus_wdata": data, "bus_wstrb": strobes} for _, data, strobes in self.writes],
            "ar": [{"bus_araddr": address} for address in self.reads],
        }
        draw = random.Random(9)

        async def bench(ctx: Any) -> None:
            offering, errors, words = dict.fromkeys(queues, False), [0], [0, 0]
            held: dict[str, tuple[int, ...] | None] = {"b": None, "r": None}
            for clock in range(clocks):
                ctx.set(rst, int(clock in self.reset))
                for name, queue in queues.items():
                    sent = len(self.accepted[name])
                    if not offering[name] and sent < len(queue) and self.wants(name, clock):
                        offering[name] = True
                        for port, value in queue[sent].items():
                            ctx.set(getattr(bus, port), value)
                    ctx.set(getattr(bus, f"bus_{name}valid"), int(offering[name]))
                for name, port in (("b", "bus_bresp"), ("r", "bus_rresp")):
                    valid, ready = getattr(bus, f"bus_{name}valid"), getattr(bus, f"bus_{name}ready")
                    ctx.set(ready, 0)
                    without_ready = ctx.get(valid)
                    ctx.set(ready, int(self.wants(name, clock)))
                    assert ctx.get(valid) == without_ready, f"{name}: valid depends on ready"
                    payload = (ctx.get(getattr(bus, port)), *([ctx.get(bus.bus_rdata)] if name == "r" else []))
                    assert held[name] is None or (without_ready and payload == held[name]), f"{name}: not held"
                    held[name] = payload if without_ready and not self.wants(name, clock) else None
                    if without_ready and self.wants(name, clock) and clock not in self.reset:
                        self.given[name].append((clock, *payload))
                if clock in self.reset:
                    held = {"b": None, "r": None}
                else:
                    for name in queues:
                        if offering[name] and ctx.get(getattr(bus, f"bus_{name}ready")):
                            self.accepted[name].append(clock)
                            offering[name] = False
                    assert len(self.accepted["aw"]) - len(self.given["b"]) <= 1 + len(self.reset)
                    assert len(self.accepted["ar"]) - len(self.given["r"]) <= 1 + len(self.reset)
                address, reads, writes = ctx.get(bus.address), ctx.get(bus.read), ctx.get(bus.write)
                assert not (reads and writes)
                if (reads or writes) and clock not in self.reset:
                    self.done.append((clock, address, ctx.get(bus.write_data) if writes else None))
                await ctx.tick()
                # Two and three clocks later, the answer; in any other clock, anything but for who has the address.
                answer = (draw.getrandbits(32), int(address in WRONG))
                if reads and clock not in self.reset:
                    self.answers.append(answer)
                words.append(answer[0])
                errors.append(answer[1])
                ctx.set(bus.read_data, words.pop(0))
                ctx.set(bus.error, errors.pop(0))

        simulator = Simulator(ResetInserter(rst)(bus))
        simulator.add_clock(1e-8)
        simulator.add_testbench(bench)
        simulator.run()
        return self

    @property
    def written(self) -> list[tuple[int, int | None]]:
        """What the device was told to write, in order."""
        return [(address, data) for _, address, data in self.done if data is not None]

    @property
    def asked(self) -> list[int]:
        """What the device was asked to read, in order."""
        return [address for _, address, data in self.done if data is None]

    def check(self) -> None:
        """All transactions were carried out once, in order, and answered as they should be."""
        assert self.written == [(address, data) for address, data, strobes in self.writes if strobes == 15]
        assert self.asked == self.reads
        assert [response for _, response in self.given["b"]] == [
            SLVERR if strobes not in (0, 15) or address in WRONG else OKAY for address, _, strobes in self.writes
        ]
        assert [(response, data) for _, response, data in self.given["r"]] == [
            (SLVERR if wrong else OKAY, data) for data, wrong in self.answers
        ]
        assert [wrong for _, wrong in self.answers] == [int(address in WRONG) for address in self.reads]


def some_writes(seed: int, count: int, strobes: tuple[int, ...] = (15,)) -> list[tuple[int, int, int]]:
    draw = random.Random(seed)
    return [(4 * draw.randrange(64), draw.getrandbits(32), draw.choice(strobes)) for _ in range(count)]


def some_reads(seed: int, count: int) -> list[int]:
    draw = random.Random(seed)
    return [4 * draw.randrange(64) for _ in range(count)]


PATTERNS = {
    "none": {},
    "data first": {"aw": "0001"},
    "address first": {"w": "0001"},
    "slow answers": {"b": "00001", "r": "0001"},
    "slow reads": {"ar": "001", "r": "01"},
    "random": {name: pauses(n, 0.4) for n, name in enumerate(("aw", "w", "b", "ar", "r"))},
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_reads_and_writes_at_once_with_pauses_anywhere(pattern: str) -> None:
    strobes = (15, 15, 15, 0, 1, 12, 7)
    Bench(some_writes(1, 60, strobes), some_reads(2, 60), PATTERNS[pattern]).run(700).check()


@pytest.mark.parametrize(("address", "data"), list(product(range(4), repeat=2)))
def test_address_and_data_of_a_write_come_in_any_order(address: int, data: int) -> None:
    bench = Bench([(8, 77, 15)], [], {"aw": "0" * address + "1" + "0" * 16, "w": "0" * data + "1" + "0" * 16})
    bench.run(16).check()
    clock = max(address, data)
    assert bench.accepted["aw"] == bench.accepted["w"] == [clock]
    assert bench.done == [(clock + 1, 8, 77)]
    assert bench.given["b"] == [(clock + 4, OKAY)]


def test_clocks_of_writes_and_reads_are_as_stated() -> None:
    bench = Bench(some_writes(3, 5), []).run(30)
    bench.check()
    assert bench.accepted["aw"] == [0, 5, 10, 15, 20]
    assert [clock for clock, *_ in bench.given["b"]] == [4, 9, 14, 19, 24]
    bench = Bench([], some_reads(4, 5)).run(30)
    bench.check()
    assert bench.accepted["ar"] == [0, 6, 12, 18, 24]
    assert [clock for clock, *_ in bench.given["r"]] == [5, 11, 17, 23, 29]


def test_reads_and_writes_take_turns() -> None:
    bench = Bench(some_writes(5, 20), some_reads(6, 20)).run(200)
    bench.check()
    kinds = [data is None for _, _, data in bench.done]
    assert kinds == [n % 2 == 0 for n in range(40)]
    assert [clock for clock, _, _ in bench.done] == sorted([*range(1, 181, 9), *range(6, 181, 9)])


@pytest.mark.parametrize("late", range(6))
@pytest.mark.parametrize("first", ["aw", "ar"])
def test_neither_reads_nor_writes_keep_the_other_from_its_turn(first: str, late: int) -> None:
    once = {first: "0" * (20 + late) + "1" + "0" * 200}
    bench = Bench(some_writes(13, 1 if first == "aw" else 40), some_reads(14, 1 if first == "ar" else 40), once)
    bench.run(250).check()
    clock = next(clock for clock, _, data in bench.done if (data is None) == (first == "ar"))
    assert clock - (20 + late) <= 6


@pytest.mark.parametrize(("stuck", "free"), [("b", "r"), ("r", "b")])
def test_an_answer_that_nobody_takes_does_not_stop_the_other_side(stuck: str, free: str) -> None:
    bench = Bench(some_writes(7, 10), some_reads(8, 10), {stuck: "0"}).run(80)
    assert len(bench.given[free]) == 10
    assert bench.given[stuck] == []
    assert len(bench.accepted["aw" if stuck == "b" else "ar"]) == 1


@pytest.mark.parametrize("strobes", range(16))
def test_a_word_is_written_whole_or_not_at_all(strobes: int) -> None:
    bench = Bench([(4, 5, strobes), (8, 6, 15)], []).run(16)
    assert bench.written == ([(4, 5), (8, 6)] if strobes == 15 else [(8, 6)])
    assert [response for _, response in bench.given["b"]] == [OKAY if strobes in (0, 15) else SLVERR, OKAY]


@pytest.mark.parametrize("at", range(1, 8))
def test_reset_drops_what_is_under_way_and_the_next_is_carried_out(at: int) -> None:
    writes, reads = some_writes(10, 8), some_reads(11, 8)
    bench = Bench(writes, reads, {"b": "01", "r": "001"}, range(at, at + 2)).run(200)
    # What was taken in the clock before was on its way to the bus.
    lost = {
        request: [number for number, clock in enumerate(bench.accepted[request]) if clock == at - 1]
        for request in ("aw", "ar")
    }
    assert bench.written == [(address, data) for n, (address, data, _) in enumerate(writes) if n not in lost["aw"]]
    assert bench.asked == [address for n, address in enumerate(reads) if n not in lost["ar"]]
    for answer, request in (("b", "aw"), ("r", "ar")):
        before = sum(clock < at for clock in bench.accepted[request])
        clocks = [clock for clock, *_ in bench.given[answer]]
        assert len(clocks) in (8, 7)
        assert sum(clock < at for clock in clocks) in (before, before - 1)
        assert sum(clock > at for clock in clocks) == 8 - before
        assert [one[1] for one in bench.given[answer] if one[0] > at] == [
            SLVERR if address in WRONG else OKAY
            for address in (reads if answer == "r" else [address for address, _, _ in writes])[before:]
        ]


class Impatient(AxiLite):
    """Withdraws an answer after a clock, taken or not."""

    def elaborate(self, platform: object) -> Any:
        m = super().elaborate(platform)
        with m.If(self.bus_bvalid):
            m.d.sync += self.bus_bvalid.eq(0)
        return m


def test_the_bench_catches_answers_that_are_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "AxiLite", Impatient)
    with pytest.raises(AssertionError, match="b: not held"):
        Bench(some_writes(12, 3), [], {"b": "0001"}).run(30)
