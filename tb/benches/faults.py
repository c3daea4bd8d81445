"""cocotb: stopping, aborting, resetting, and ADCs that do not answer; after each the next free phase is right again."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import cocotb
import torch
from cocotb.triggers import ClockCycles, RisingEdge

from hw.config import ControllerConfig
from hw.link import link
from hw.sequencer import STATES
from mapping import Mapping
from sim.chip import Chip
from tb.arrays import Arrays
from tb.benches.array_side import ArraySide
from tb.benches.host_port import HostPort
from tb.benches.times import BETA, TIMES
from tb.host import Host
from tb.reference import Reference, random_samples
from tb.streams import start
from tb.traffic import Traffic

SWEEPS = (1, 1)
TIMEOUT = 200


class Bench:
    """A controller with a program, its arrays, and a host.

    Memories hold what they held over resets: program, tables and biases are written once in a run of the simulator.
    """

    loaded = False

    def __init__(self, dut: Any) -> None:
        torch.set_num_threads(1)
        self.dut = dut
        self.mapping = Mapping.load(Path(os.environ["HWMAP_DIRECTORY"]))
        self.seed = int(os.environ["HWMAP_SEED"])
        self.linked, self.config = link(self.mapping), ControllerConfig.from_mapping(self.mapping)
        self.host, self.port = Host(self.mapping, self.linked, self.config), HostPort(dut)
        self.arrays = self.new_arrays()

    def new_arrays(self) -> ArraySide:
        """Arrays of the chip as it was made: its noise starts from the beginning."""
        arrays = Arrays(Chip(self.mapping, self.seed), self.linked, self.config.average)
        return ArraySide(self.dut, Traffic(arrays, self.config), self.config)

    async def begin(self) -> None:
        """Reset, load."""
        await start(
            self.dut,
            codes__valid=0,
            codes__payload=0,
            feed__ready=1,
            drive__ready=1,
            request__ready=1,
            gradient__ready=1,
        )
        if not Bench.loaded:
            await self.port.carry_out(self.host.loading())
            Bench.loaded = True
        await self.settings()

    async def settings(self) -> None:
        await self.port.carry_out(self.host.settings(BETA, *SWEEPS, gradients=False))
        times = TIMES | {"timeout": TIMEOUT}
        await self.port.carry_out(self.host.register(f"time_{name}", clocks) for name, clocks in times.items())

    async def sample(self) -> tuple[dict[str, torch.Tensor], int]:
        x, label = next(random_samples(self.mapping, 1, self.seed))
        codes = {name: self.host.codes(name, value) for name, value in x.items()}
        await self.port.carry_out(self.host.sample(codes, label))
        return x, label

    async def start(self) -> None:
        await self.port.carry_out([self.host.register("interrupt_status", 0xF), self.host.command(start=1)])

    async def free_phase_is_right(self, lag: int = 0) -> None:
        """The free phase of an EP step on fresh arrays gives the simulator's states; then it is aborted."""
        self.arrays = self.new_arrays()
        self.arrays.lag = lag
        task = cocotb.start_soon(self.arrays.run())
        x, label = await self.sample()
        await self.start()
        for wanted in (0, 1):  # of the last run the register may still hold another
            while int(self.dut.phase.value) != wanted:
                await RisingEdge(self.dut.clk)
        given = await self.port.register(self.host, "answer")
        await self.port.carry_out([self.host.command(abort=1)])
        await self.rested()
        task.cancel()
        self.dut.codes__valid.value = 0
        expected = Reference(Chip(self.mapping, self.seed), BETA, SWEEPS).step(x, label)
        assert given == expected.answer
        for name, states in expected.phases[0].items():
            read = self.host.states_read(name, "snapshot")
            found = self.host.states_of(name, await self.port.read(read.address, read.count))
            assert (found == states).all(), f"{name}: {(found != states).sum()} states differ"

    async def event(self, name: str) -> bool:
        return bool(
            self.host.field_of("interrupt_status", name, await self.port.register(self.host, "interrupt_status"))
        )

    async def rested(self) -> None:
        """The controller has come to rest by the time that the host's next read is answered."""
        await self.port.register(self.host, "status")
        assert STATES[int(self.dut.state.value)] == "idle"
        assert not self.dut.drive__valid.value
        assert not self.dut.request__valid.value
        assert not int(self.dut.stage.value)


@cocotb.test()
async def aborts_at_any_time_come_to_rest(dut: Any) -> None:
    """Aborts over the bus, in whatever state they arrive; the last is followed by a free phase that is right."""
    bench = Bench(dut)
    await bench.begin()
    draw = random.Random(bench.seed)
    for number in range(8):
        task = cocotb.start_soon(bench.arrays.run())
        await bench.sample()
        await bench.start()
        await ClockCycles(dut.clk, draw.randrange(1, 30 * 4**number % 3000 + 2))
        await bench.port.carry_out([bench.host.command(abort=1)])
        await bench.rested()
        assert await bench.event("aborted")
        task.cancel()
        dut.codes__valid.value = 0
        bench.arrays = bench.new_arrays()
    await bench.free_phase_is_right()


@cocotb.test()
async def a_stop_ends_after_the_round(dut: Any) -> None:
    """The round goes on to its end; then everything rests."""
    bench = Bench(dut)
    await bench.begin()
    task = cocotb.start_soon(bench.arrays.run())
    await bench.sample()
    await bench.start()
    while STATES[int(dut.state.value)] != "wait":
        await RisingEdge(dut.clk)
    await bench.port.carry_out([bench.host.command(stop=1)])
    await RisingEdge(dut.interrupt)
    assert bench.arrays.traffic.reads > 0
    await bench.rested()
    assert await bench.event("aborted")
    task.cancel()
    dut.codes__valid.value = 0
    await bench.free_phase_is_right()


@cocotb.test()
async def an_adc_that_never_answers_is_late(dut: Any) -> None:
    """After the timeout an event and rest; later steps are right."""
    bench = Bench(dut)
    await bench.begin()
    task = cocotb.start_soon(bench.arrays.run())
    await bench.sample()
    await bench.start()
    while not dut.request__valid.value:
        await RisingEdge(dut.clk)
    bench.arrays.mute = True
    await RisingEdge(dut.interrupt)
    await bench.rested()
    assert await bench.event("timeout")
    assert await bench.port.register(bench.host, "count_timeouts") == 1
    assert bench.host.field_of("status", "error", await bench.port.register(bench.host, "status"))
    task.cancel()
    dut.codes__valid.value = 0
    await bench.free_phase_is_right()


@cocotb.test()
async def slow_adcs_change_nothing(dut: Any) -> None:
    """Answers that come late, but in time, give the same states."""
    bench = Bench(dut)
    await bench.begin()
    await bench.free_phase_is_right(lag=7)


@cocotb.test()
async def stuck_and_impossible_codes_count_as_clipped(dut: Any) -> None:
    """An ADC stuck at a code below its range: every conversion counts as clipped, and the step comes to its end."""
    bench = Bench(dut)
    await bench.begin()
    lowest = 1 << bench.config.code_adc_bits - 1
    bench.arrays.stuck = sum(lowest << bench.config.code_adc_bits * lane for lane in range(bench.config.lanes))
    task = cocotb.start_soon(bench.arrays.run())
    await bench.sample()
    await bench.port.carry_out([bench.host.command(clear_counters=1)])
    await bench.start()
    await RisingEdge(dut.interrupt)
    assert await bench.event("done")
    beats = await bench.port.register(bench.host, "count_beats")
    assert beats < await bench.port.register(bench.host, "count_clips") <= beats * bench.config.lanes
    task.cancel()


@cocotb.test()
async def a_reset_in_the_middle_leaves_nothing_behind(dut: Any) -> None:
    """Memories keep what they held; registers start anew; the next step is right."""
    bench = Bench(dut)
    await bench.begin()
    task = cocotb.start_soon(bench.arrays.run())
    await bench.sample()
    await bench.start()
    await ClockCycles(dut.clk, 1500)
    task.cancel()
    dut.codes__valid.value = 0
    dut.rst.value = 1
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    await ClockCycles(dut.clk, 2)
    assert STATES[int(dut.state.value)] == "idle"
    await bench.settings()
    await bench.free_phase_is_right()
