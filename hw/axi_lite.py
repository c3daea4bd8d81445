"""AXI4-Lite: a host's transactions, one at a time, to a simple bus."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out

OKAY, SLVERR = 0, 2


class AxiLite(Component):
    """A subordinate with 32-bit data. Reads and writes take turns; of each there is one at a time.

    A transaction taken in clock n is carried out in n + 1. A write is answered in n + 4, a read in n + 5; one of the
    other kind may follow in that clock, one of its own in the next. A write is taken when both its address and its data
    are there.

    A write with all four strobes changes a word; one with none does nothing; any other answers SLVERR and changes
    nothing, and so does an address that ``error`` says nobody has. PROT is ignored.

    Members:
        bus_*: AMBA AXI4-Lite (ARM IHI 0022), without the optional signals.
        read, write: strobes; address, write_data: held until the next.
        error: answer, two clocks later; read_data: answer, three clocks later.
    """

    def __init__(self, address_bits: int) -> None:
        super().__init__(
            {
                "bus_awaddr": In(address_bits), "bus_awprot": In(3), "bus_awvalid": In(1), "bus_awready": Out(1),
                "bus_wdata": In(32), "bus_wstrb": In(4), "bus_wvalid": In(1), "bus_wready": Out(1),
                "bus_bresp": Out(2), "bus_bvalid": Out(1), "bus_bready": In(1),
                "bus_araddr": In(address_bits), "bus_arprot": In(3), "bus_arvalid": In(1), "bus_arready": Out(1),
                "bus_rdata": Out(32), "bus_rresp": Out(2), "bus_rvalid": Out(1), "bus_rready": In(1),
                "address": Out(address_bits), "read": Out(1), "write": Out(1), "write_data": Out(32),
                "read_data": In(32), "error": In(1),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        writes, reads = Signal(), Signal()
        whole, partial = Signal(), Signal()
        # One clock after the other: on the simple bus, looked up, answered.
        carries_write, finds_write, answers_write = Signal(), Signal(), Signal()
        finds_read, chooses_read, answers_read, wrong = Signal(), Signal(), Signal(), Signal()
        occupied = Signal()  # any of these: known a clock ahead, as all that a host sends waits for it
        m.d.sync += occupied.eq(reads | writes | carries_write | finds_write | self.read | finds_read | chooses_read)
        m.d.comb += [
            # Both address and data of a write are there, and no answer waits to be taken.
            writes.eq(self.bus_awvalid & self.bus_wvalid & ~self.bus_bvalid & ~occupied),
            reads.eq(self.bus_arvalid & ~self.bus_rvalid & ~occupied),
        ]
        m.d.sync += [
            self.read.eq(reads),
            carries_write.eq(writes & ~reads),
            finds_write.eq(carries_write),
            answers_write.eq(finds_write),
            finds_read.eq(self.read),
            chooses_read.eq(finds_read),
            answers_read.eq(chooses_read),
            wrong.eq(self.error),
        ]
        m.d.comb += self.write.eq(carries_write & whole)
        # A read goes first; the next one has to wait long enough for a write to follow.
        with m.If(reads):
            m.d.comb += self.bus_arready.eq(1)
            m.d.sync += self.address.eq(self.bus_araddr)
        with m.Elif(writes):
            m.d.comb += [self.bus_awready.eq(1), self.bus_wready.eq(1)]
            m.d.sync += [self.address.eq(self.bus_awaddr), self.write_data.eq(self.bus_wdata)]
            m.d.sync += [whole.eq(self.bus_wstrb.all()), partial.eq(self.bus_wstrb.any() & ~self.bus_wstrb.all())]

        with m.If(answers_write):
            m.d.sync += [
                self.bus_bvalid.eq(1),
                self.bus_bresp.eq(Mux(partial | self.error, SLVERR, OKAY)),
            ]
        with m.If(answers_read):
            m.d.sync += [
                self.bus_rvalid.eq(1),
                self.bus_rdata.eq(self.read_data),
                self.bus_rresp.eq(Mux(wrong, SLVERR, OKAY)),
            ]
        with m.If(self.bus_bvalid & self.bus_bready):
            m.d.sync += self.bus_bvalid.eq(0)
        with m.If(self.bus_rvalid & self.bus_rready):
            m.d.sync += self.bus_rvalid.eq(0)
        return m
