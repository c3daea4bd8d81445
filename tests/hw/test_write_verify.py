# amaranth: UnusedElaboratable=no
"""Truth: ``mapping.arithmetic.write_verify`` with the same device. Equal, not close; clocks as stated."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import pytest
from amaranth import signed, unsigned
from amaranth.sim import Simulator
from streams import pauses

from hw.write_verify import WriteVerify
from mapping.arithmetic.write_verify import Written, write_verify

LOW, HIGH = -128, 127


@dataclass
class Device:
    """Pulses move it by uneven steps, reads are noisy: the same in every life of one seed."""

    seed: int
    code: float = 0.0
    step: float = 9.0
    noise: float = 1.5
    pulses: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.draw = random.Random(self.seed)

    def read(self) -> int:
        return min(max(round(self.code + self.draw.gauss(0.0, self.noise)), LOW), HIGH)

    def pulse(self, up: bool) -> None:
        self.pulses.append(up)
        step = self.step * self.draw.uniform(0.3, 1.7) * (1.0 if up else -0.8)
        self.code = min(max(self.code + step, LOW), HIGH)


def never(clock: int) -> bool:
    return False


@dataclass
class Bench:
    """A table of devices around the circuit: reads are answered after delays (None: never) and in their order."""

    devices: list[Device]
    ports: dict[str, int]
    delays: Iterator[int | None] = field(default_factory=lambda: cycle([1]))
    taken: str = "1"
    abort: Callable[[int], bool] = never
    results: list[tuple[int, Written]] = field(default_factory=list)
    clocks: list[tuple[int, int]] = field(default_factory=list)
    reads: int = 0

    def run(self, targets: list[tuple[int, int]], clocks: int | None = None) -> None:
        """Writes (device, target) one after the other, until all have results or for some clocks."""
        circuit, queue = WriteVerify(signed(8), unsigned(5)), list(targets)

        async def bench(ctx: Any) -> None:
            answers: list[tuple[int, dict[str, int]]] = []
            held: dict[str, Any] = {}
            for name, value in self.ports.items():
                ctx.set(getattr(circuit, name), value)
            clock = started = 0
            while len(self.results) < len(targets) if clocks is None else clock < clocks:
                ready, aborting = int(self.taken[clock % len(self.taken)]), self.abort(clock)
                ctx.set(circuit.abort, aborting)
                ctx.set(circuit.i.valid, bool(queue))
                if queue:
                    ctx.set(circuit.i.payload, {"tag": queue[0][0], "target": queue[0][1]})
                now = [answer for due, answer in answers if due == clock]
                answers = [(due, answer) for due, answer in answers if due > clock]
                ctx.set(circuit.code.valid, bool(now))
                ctx.set(circuit.code.payload, now[0] if now else {"code": 55, "number": 0})
                assert ctx.get(circuit.code.ready)
                offers = {name: getattr(circuit, name) for name in ("read", "pulse", "o")}
                for name, stream in offers.items():
                    ctx.set(stream.ready, ready)
                    offer = ctx.get(stream.payload) if ctx.get(stream.valid) else None
                    assert aborting or name not in held or offer == held[name], "not held until taken"
                    held.pop(name, None)
                    if offer is not None and not ready and not aborting:
                        held[name] = offer
                if ctx.get(circuit.read.valid) and ready:
                    self.reads += 1
                    delay = next(self.delays)
                    answer = {
                        "code": self.devices[ctx.get(circuit.read.p.tag)].read(),
                        "number": ctx.get(circuit.read.p.number),
                    }
                    if delay is not None:
                        answers.append((clock + delay, answer))
                if ctx.get(circuit.pulse.valid) and ready:
                    self.devices[ctx.get(circuit.pulse.p.tag)].pulse(bool(ctx.get(circuit.pulse.p.up)))
                if ctx.get(circuit.o.valid) and ready:
                    written = Written(ctx.get(circuit.o.p.attempts), failed=bool(ctx.get(circuit.o.p.failed)))
                    self.results.append((ctx.get(circuit.o.p.tag), written))
                    self.clocks.append((started, clock))
                if queue and ctx.get(circuit.i.ready):
                    started = clock
                    queue.pop(0)
                await ctx.tick()
                clock += 1
                assert clock < 10_000, "stuck"
            self.busy = ctx.get(circuit.busy)

        simulator = Simulator(circuit)
        simulator.add_clock(1e-8)
        simulator.add_testbench(bench)
        simulator.run()


def limits(tolerance: int = 3, attempts: int = 20, timeout: int = 6) -> dict[str, int]:
    return {"tolerance": tolerance, "attempts": attempts, "timeout": timeout}


def some_targets(seed: int, count: int) -> list[tuple[int, int]]:
    draw = random.Random(seed)
    ends = [HIGH, LOW, 0]
    return [(tag, ends[tag] if tag < len(ends) else draw.randrange(LOW, HIGH + 1)) for tag in range(count)]


@pytest.mark.parametrize("taken", ["1", "001", pauses(3, 0.5)])
@pytest.mark.parametrize(("tolerance", "attempts"), [(3, 20), (0, 12), (6, 255), (255, 3), (3, 0)])
def test_noisy_devices_end_as_the_golden_model_says(taken: str, tolerance: int, attempts: int) -> None:
    targets = some_targets(1, 12)
    bench = Bench([Device(tag) for tag in range(12)], limits(tolerance, attempts), cycle([1, 4, 2]), taken)
    bench.run(targets)
    wanted, twins = [], [Device(tag) for tag in range(12)]
    for tag, target in targets:
        twin = twins[tag]
        wanted.append((tag, write_verify(target, tolerance, attempts, twin.read, twin.pulse)))
    assert bench.results == wanted
    assert [device.pulses for device in bench.devices] == [twin.pulses for twin in twins]
    assert bench.reads == sum(written.attempts + 1 for _, written in wanted)
    if tolerance == 0:
        assert {written.failed for _, written in wanted} == {False, True}


def test_ends_of_the_code_range_do_not_wrap() -> None:
    devices = [Device(0, code=LOW, noise=0.0, step=90.0), Device(1, code=HIGH, noise=0.0, step=90.0)]
    bench = Bench(devices, limits(tolerance=0, attempts=1))
    bench.run([(0, HIGH), (1, LOW)])
    assert [device.pulses for device in devices] == [[True], [False]]
    assert bench.results == [(0, Written(1, failed=True)), (1, Written(1, failed=True))]


def test_a_stuck_device_fails_after_its_pulses_and_the_next_one_is_written() -> None:
    devices = [Device(0, step=0.0, noise=0.0), Device(1, step=0.0, noise=0.0)]
    bench = Bench(devices, limits(attempts=7))
    bench.run([(0, -50), (1, 2)])
    assert bench.results == [(0, Written(7, failed=True)), (1, Written(0, failed=False))]
    assert devices[0].pulses == [False] * 7


@pytest.mark.parametrize("delay", [1, 2, 5])
def test_clocks_are_as_stated(delay: int) -> None:
    bench = Bench([Device(tag) for tag in range(9)], limits(), cycle([delay]))
    bench.run(some_targets(2, 9))
    spent = [end - start for start, end in bench.clocks]
    assert spent == [(written.attempts + 1) * (delay + 3) for _, written in bench.results]


@pytest.mark.parametrize("timeout", [0, 1, 6])
def test_a_code_counts_up_to_the_timeout_and_not_a_clock_later(timeout: int) -> None:
    in_time, late = Device(0, noise=0.0), Device(1, noise=0.0)
    bench = Bench([in_time, late], limits(timeout=timeout), iter([timeout + 1, timeout + 2]))
    bench.run([(0, 0), (1, 0)])
    assert bench.results == [(0, Written(0, failed=False)), (1, Written(0, failed=True))]
    start, end = bench.clocks[1]
    assert end - start == timeout + 3


def test_without_a_code_a_device_fails_with_the_pulses_it_had() -> None:
    device = Device(0, code=-100.0, noise=0.0)
    bench = Bench([device], limits(), iter([1, 1, 1, None]))
    bench.run([(0, 100)])
    assert bench.results == [(0, Written(3, failed=True))]
    answers = iter([-100, -90, -80, None])
    assert write_verify(100, 3, 20, lambda: next(answers), lambda up: None) == Written(3, failed=True)


@pytest.mark.parametrize("late", range(1, 9))
def test_a_late_code_is_never_taken_for_the_next_devices(late: int) -> None:
    timeout = 6
    far, near = Device(0, code=100.0, noise=0.0), Device(1, code=-70.0, noise=0.0)
    bench = Bench([far, near], limits(timeout=timeout), iter([timeout + 1 + late, 7]))
    bench.run([(0, 100), (1, -70)])
    assert bench.results == [(0, Written(0, failed=True)), (1, Written(0, failed=False))]


@pytest.mark.parametrize("taken", ["1", "001"])
def test_abort_in_every_clock_drops_the_device_and_the_next_one_is_written(taken: str) -> None:
    for at in range(1, 30):
        devices = [Device(0, code=-100.0, noise=0.0), Device(1, code=10.0, noise=0.0)]
        bench = Bench(devices, limits(), cycle([3]), taken, abort=lambda clock, at=at: clock == at)
        bench.run([(0, 100), (1, 11)], clocks=at + 45)
        assert bench.results == [(1, Written(0, failed=False))]
        assert not bench.busy


def test_no_pulse_is_offered_in_the_clock_of_an_abort() -> None:
    device = Device(0, code=-100.0, noise=0.0)
    pulses_at = 4  # taken, read, code, judged
    bench = Bench([device], limits(), abort=lambda clock: clock == pulses_at)
    bench.run([(0, 100)], clocks=pulses_at + 1)
    assert (bench.reads, device.pulses) == (1, [])
    bench = Bench([device], limits())
    bench.run([(0, 100)], clocks=pulses_at + 1)
    assert device.pulses == [True]
