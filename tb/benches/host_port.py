"""cocotb: carries out driver software's transactions with cocotbext-axi's AXI4-Lite master."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from cocotbext.axi import AxiLiteBus, AxiLiteMaster

from tb.host import Host, Write


class HostPort:
    """The host's side of the port ``bus``."""

    def __init__(self, dut: Any) -> None:
        self.master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "bus"), dut.clk, dut.rst)
        for side in (self.master.write_if, self.master.read_if):
            side.log.setLevel(logging.WARNING)

    async def carry_out(self, writes: Iterable[Write]) -> None:
        """Writes, one after the other."""
        for write in writes:
            await self.master.write(write.address, b"".join(word.to_bytes(4, "little") for word in write.words))

    async def read(self, address: int, count: int) -> list[int]:
        """So many words."""
        data = bytes((await self.master.read(address, 4 * count)).data)
        return [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)]

    async def register(self, host: Host, name: str) -> int:
        """A register's word."""
        return (await self.read(host.register_read(name).address, 1))[0]
