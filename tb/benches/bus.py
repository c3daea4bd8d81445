"""Truth: a dictionary of words, behind someone else's AXI4-Lite host (cocotbext-axi)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import cycle
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp

from tb.benches.top import MAP
from tb.streams import Port, check, pauses, start

IDENTITY, SCRATCH, NARROW, COMMAND, EVENT = range(0, 20, 4)
MEMORY = MAP.base("memory")
NOBODY = MAP.registers_bytes
MASKS = {
    IDENTITY: 0,
    SCRATCH: 0xFFFFFFFF,
    NARROW: 0x3FFF,
    **{MEMORY + 8 * row + 4 * column: 0xFF if column else 0xFFFFFFFF for row in range(5) for column in range(2)},
}
RESETS = {IDENTITY: 0x1234ABCD, SCRATCH: 7, NARROW: 3}


def stops(pattern: str) -> Iterator[bool]:
    """A pattern, as cocotbext-axi wants it: whether to pause."""
    return (want == "0" for want in cycle(pattern))


async def host(dut: Any, *, slow: bool) -> Any:
    """The host, with pauses in all channels if it is slow, and a check of what it is answered."""
    dut.busy.value = 0
    await start(dut)
    master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "bus"), dut.clk, dut.rst)
    writes, reads = master.write_if, master.read_if
    channels = [writes.aw_channel, writes.w_channel, writes.b_channel, reads.ar_channel, reads.r_channel]
    if slow:
        for number, channel in enumerate(channels):
            channel.set_pause_generator(stops(pauses(number, 0.4)))
    cocotb.start_soon(check(dut.clk, dut.rst, Port(dut.bus_bvalid, dut.bus_bready, (dut.bus_bresp,))))
    answers = (dut.bus_rresp, dut.bus_rdata)
    cocotb.start_soon(check(dut.clk, dut.rst, Port(dut.bus_rvalid, dut.bus_rready, answers)))
    return master


async def read(master: Any, address: int) -> int:
    """A word; the answer must be OKAY."""
    answer = await master.read(address, 4)
    assert answer.resp == AxiResp.OKAY, hex(address)
    return int.from_bytes(answer.data, "little")


async def write(master: Any, address: int, word: int) -> None:
    """A word; the answer must be OKAY."""
    answer = await master.write(address, word.to_bytes(4, "little"))
    assert answer.resp == AxiResp.OKAY, hex(address)


@cocotb.test
@cocotb.parametrize(slow=[False, True])
async def words_are_what_was_written(dut: Any, slow: bool) -> None:
    master, draw = await host(dut, slow=slow), random.Random(1)
    words = dict.fromkeys(MASKS, 0) | RESETS
    for address in MASKS:
        if address >= MEMORY:
            await write(master, address, 0)
    for _ in range(150):
        address, word = draw.choice(list(MASKS)), draw.getrandbits(32)
        if draw.random() < 0.5:
            await write(master, address, word)
            words[address] = word & MASKS[address] | words[address] & ~MASKS[address]
        else:
            assert await read(master, address) == words[address], hex(address)


@cocotb.test
@cocotb.parametrize(slow=[False, True])
async def many_at_once_are_carried_out_in_order(dut: Any, slow: bool) -> None:
    master, draw = await host(dut, slow=slow), random.Random(2)
    rows = [draw.getrandbits(40) for _ in range(5)]
    image = b"".join(row.to_bytes(8, "little") for row in rows)
    await master.write(MEMORY, image)
    wanted, changing = (await master.read(MEMORY, len(image))).data, bytearray(image)
    assert wanted == image
    events = [master.init_write(SCRATCH, n.to_bytes(4, "little")) for n in range(20)]
    events += [master.init_read(MEMORY, len(changing)) for _ in range(3)]
    for event in events:
        await event.wait()
    assert [event.data.data for event in events[20:]] == [image] * 3
    assert await read(master, SCRATCH) == 19


@cocotb.test
async def parts_of_words_are_refused_and_change_nothing(dut: Any) -> None:
    master = await host(dut, slow=True)
    await write(master, SCRATCH, 0x55AA33CC)
    for offset in range(4):
        for count in range(1, 5 - offset):
            if count < 4:
                answer = await master.write(SCRATCH + offset, b"\x11" * count)
                assert answer.resp == AxiResp.SLVERR
                assert await read(master, SCRATCH) == 0x55AA33CC


@cocotb.test
async def addresses_of_nobody_are_refused(dut: Any) -> None:
    master = await host(dut, slow=False)
    for address in range(NOBODY, MEMORY, 4):
        assert (await master.read(address, 4)).resp == AxiResp.SLVERR
        assert (await master.write(address, b"abcd")).resp == AxiResp.SLVERR
    assert await read(master, SCRATCH) == 7


@cocotb.test
async def memory_in_use_reads_0_and_is_not_written(dut: Any) -> None:
    master = await host(dut, slow=False)
    await write(master, MEMORY, 1234)
    dut.busy.value = 1
    await write(master, MEMORY, 99)
    assert await read(master, MEMORY) == 0
    dut.busy.value = 0
    assert await read(master, MEMORY) == 1234


@cocotb.test
async def commands_and_events(dut: Any) -> None:
    master = await host(dut, slow=False)
    assert await read(master, EVENT) == 0
    await write(master, COMMAND, 1)
    assert (await read(master, COMMAND), await read(master, EVENT)) == (0, 1)
    await write(master, EVENT, 1)
    assert await read(master, EVENT) == 0


@cocotb.test
@cocotb.parametrize(at=[1, 2, 3, 4, 5, 6])
async def after_a_reset_under_way_all_is_as_at_first(dut: Any, at: int) -> None:
    master = await host(dut, slow=False)
    await write(master, SCRATCH, 1)
    master.init_write(SCRATCH, bytes(4))
    master.init_read(SCRATCH, 4)
    await ClockCycles(dut.clk, at)
    dut.rst.value = 1
    await ClockCycles(dut.clk, 3)
    dut.rst.value = 0
    await ClockCycles(dut.clk, 2)
    assert await read(master, SCRATCH) == 7
    await write(master, SCRATCH, 5)
    assert await read(master, SCRATCH) == 5
