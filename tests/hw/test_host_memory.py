# amaranth: UnusedElaboratable=no
"""Truth: a list of rows as Python integers, clock by clock."""

import random
from pathlib import Path
from typing import Any

import pytest
from amaranth.sim import Simulator

from hw.emit import rtlil, yosys
from hw.host_memory import HostMemory

SIZES = [(1, 1), (8, 5), (32, 8), (33, 6), (64, 2), (70, 10), (100, 7), (256, 3)]


def columns(bits: int) -> int:
    """32-bit words that a row takes on the bus, counted up."""
    found = 1
    while 32 * found < bits:
        found *= 2
    return found


def set_ports(ctx: Any, memory: HostMemory, given: dict[str, int]) -> None:
    """Inputs of one clock; those of the host as ``host_address`` and so on."""
    for name, value in given.items():
        part = getattr(memory.host, name.removeprefix("host_")) if name.startswith("host_") else getattr(memory, name)
        ctx.set(part, value)


def simulate(memory: HostMemory, bench: Any) -> None:
    simulator = Simulator(memory)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize(("bits", "rows"), SIZES)
def test_host_and_engine_share_the_rows(bits: int, rows: int) -> None:
    memory, draw, wide = HostMemory(bits, rows), random.Random(bits), columns(bits)
    held, met = [0] * rows, {"late": 0, "engine": 0, "host": 0}

    async def bench(ctx: Any) -> None:
        busy, engine_reads, host_reads, host_answers, writes = 0, None, 0, [0, 0], None
        for _ in range(400):
            busy = busy if draw.random() < 0.9 else 1 - busy
            address, data = writes or (draw.randrange(2 ** len(memory.host.address)), draw.getrandbits(32))
            row, written = draw.randrange(rows), draw.random()
            given = {
                "engine_busy": busy,
                "read_address": row,
                "read_enable": draw.getrandbits(1),
                "write_address": draw.choice([row, draw.randrange(rows)]),
                "write_enable": draw.getrandbits(1),
                "write_data": draw.getrandbits(bits),
                "host_address": address,
                "host_enable": int(draw.random() < 0.7),
                "host_write": int(written < 0.5),
                "host_write_data": data,
            }
            set_ports(ctx, memory, given)
            # Answers to the clock before, and to the host's of two clocks before that, whatever is asked for now.
            assert ctx.get(memory.host_read_data) == host_answers[0]
            assert engine_reads is None or ctx.get(memory.read_data) == engine_reads
            await ctx.tick()
            host_row, column = divmod(address, wide)
            host_answers, host_reads, lands, writes = [host_answers[1], host_reads], 0, writes, None
            if busy:
                engine_reads = held[row] if given["read_enable"] else engine_reads
                if given["write_enable"]:
                    held[given["write_address"]] = given["write_data"]
                met["engine"] += given["write_enable"]
                met["late"] += given["host_enable"]
            else:
                engine_reads = None
                if given["host_enable"] and host_row < rows:
                    host_reads = held[host_row] >> 32 * column & 0xFFFFFFFF
                    if given["host_write"]:
                        writes = (address, data)
                if lands:
                    kept = held[host_row] & ~(0xFFFFFFFF << 32 * column)
                    held[host_row] = (kept | data << 32 * column) & (1 << bits) - 1
                    met["host"] += 1

    simulate(memory, bench)
    assert all(count > 20 for count in met.values()), met


def test_what_the_engine_read_is_held_whatever_is_written() -> None:
    memory, seen = HostMemory(40, 4), []

    async def bench(ctx: Any) -> None:
        set_ports(ctx, memory, {"engine_busy": 1, "write_enable": 1, "write_address": 2, "write_data": 0xAB_0000_0001})
        await ctx.tick()
        set_ports(ctx, memory, {"write_enable": 0, "read_enable": 1, "read_address": 2})
        await ctx.tick()
        set_ports(ctx, memory, {"write_enable": 1, "write_data": 7, "read_enable": 0, "read_address": 1})
        for _ in range(3):
            seen.append(ctx.get(memory.read_data))
            await ctx.tick()

    simulate(memory, bench)
    assert seen == [0xAB_0000_0001] * 3


@pytest.mark.parametrize(
    ("bits", "rows", "parts"),
    [(1, 600, 1), (32, 512, 1), (32, 513, 2), (33, 512, 2), (100, 600, 7), (129, 2950, 33), (8, 20000, 8)],
)
def test_memories_that_fit_blocks_have_one_clocked_port_for_reading_and_one_for_writing(
    bits: int, rows: int, parts: int, tmp_path: Path
) -> None:
    (tmp_path / "model.il").write_text(rtlil(HostMemory(bits, rows), "top"))
    yosys(
        "read_rtlil model.il; proc; flatten; opt; memory_dff; opt_clean; "
        f"select -assert-count {parts} t:$memrd_v2 r:CLK_ENABLE=1 %i; select -assert-count {parts} t:$memrd_v2; "
        f"select -assert-count {parts} t:$memwr_v2 r:CLK_ENABLE=1 %i; select -assert-count {parts} t:$memwr_v2",
        tmp_path,
    )


@pytest.mark.parametrize(("bits", "rows"), [(0, 4), (8, 0)])
def test_empty_memories_are_refused(bits: int, rows: int) -> None:
    with pytest.raises(ValueError, match=f"memory of {rows} rows of {bits} bits: expected at least one of each"):
        HostMemory(bits, rows)
