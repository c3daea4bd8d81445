"""cocotb: carries out driver software's transactions as an AXI4-Lite host that costs nothing while it rests.

The bus itself is held to someone else's host in :mod:`tb.benches.bus`; that one runs in every clock of the simulation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from cocotb.triggers import RisingEdge

from hw.axi_lite import OKAY
from hw.registers import WORD_BYTES
from tb.host import Host, Write


class HostPort:
    """The host's side of the port ``bus``: words one after the other, whose answers are taken at once.

    Raises:
        AssertionError: for an answer that is not OKAY.
    """

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        for name in ("awvalid", "wvalid", "arvalid", "awprot", "arprot"):
            getattr(dut, f"bus_{name}").value = 0
        dut.bus_wstrb.value = 0xF
        dut.bus_bready.value = dut.bus_rready.value = 1

    async def carry_out(self, writes: Iterable[Write]) -> None:
        """Writes, one after the other."""
        dut = self.dut
        for address, word in addressed(writes):
            dut.bus_awaddr.value, dut.bus_wdata.value = address, word
            dut.bus_awvalid.value = dut.bus_wvalid.value = 1
            await self._taken(dut.bus_awready)
            dut.bus_awvalid.value = dut.bus_wvalid.value = 0
            await self._answer(dut.bus_bvalid)
            assert int(dut.bus_bresp.value) == OKAY, f"write to {address:#x} is refused"

    async def read(self, address: int, count: int) -> list[int]:
        """So many words."""
        dut, found = self.dut, []
        for at in range(address, address + WORD_BYTES * count, WORD_BYTES):
            dut.bus_araddr.value = at
            dut.bus_arvalid.value = 1
            await self._taken(dut.bus_arready)
            dut.bus_arvalid.value = 0
            await self._answer(dut.bus_rvalid)
            assert int(dut.bus_rresp.value) == OKAY, f"read of {at:#x} is refused"
            found.append(int(dut.bus_rdata.value))
        return found

    async def register(self, host: Host, name: str) -> int:
        """A register's word."""
        return (await self.read(host.register_read(name).address, 1))[0]

    async def _taken(self, ready: Any) -> None:
        edge = RisingEdge(self.dut.clk)
        await edge
        while not ready.value:
            await edge

    async def _answer(self, valid: Any) -> None:
        await RisingEdge(valid)
        await RisingEdge(self.dut.clk)


def addressed(writes: Iterable[Write]) -> Iterator[tuple[int, int]]:
    """Words with their byte addresses."""
    for write in writes:
        for number, word in enumerate(write.words):
            yield write.address + WORD_BYTES * number, word
