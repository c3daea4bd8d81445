"""AXI4-Lite: what a host may rely on, and what reaches the bus behind."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.hdl import Assert, Assume

from hw.axi_lite import OKAY, SLVERR, AxiLite
from tb.properties.watched import Watched, earlier

WRITE_CLOCKS, READ_CLOCKS = 4, 5  # from taking a request to its answer
TURN_CLOCKS = 11  # from a whole request to taking its answer, whatever goes on in the other direction


class AxiLiteObeys(Watched):
    """The host keeps what it offers until it is taken, as the protocol asks of it; all else is free."""

    block: AxiLite

    def properties(self, m: Module) -> None:
        b = self.block
        self._hold(m, Assume, "aw", b.bus_awaddr)
        self._hold(m, Assume, "w", b.bus_wdata, b.bus_wstrb)
        self._hold(m, Assume, "ar", b.bus_araddr)
        self._hold(m, Assert, "b", b.bus_bresp)
        self._hold(m, Assert, "r", b.bus_rdata, b.bus_rresp)
        happens = {name: self._handshake(name) for name in ("aw", "w", "b", "ar", "r")}

        # What was taken and not answered.
        addresses, words, reads = (Signal(2, name=name) for name in ("addresses", "words", "reads"))
        for waiting, request, answer in (("aw", addresses, "b"), ("w", words, "b"), ("ar", reads, "r")):
            m.d.sync += request.eq(request + happens[waiting] - happens[answer])
        m.d.comb += [
            Assert(Cat(count <= 1 for count in (addresses, words, reads)).all(), "one request of a kind at a time"),
            Assert(addresses == words, "address and data of a write are taken together"),
            Assert(~b.bus_bvalid | ((addresses != 0) & (words != 0)), "a write is answered once it is whole"),
            Assert(~b.bus_rvalid | (reads != 0), "a read is answered once it was asked for"),
        ]
        asks_write = (b.bus_awvalid | (addresses != 0)) & (b.bus_wvalid | (words != 0))
        asks_read = b.bus_arvalid | (reads != 0)
        for condition, limit, claim in (
            ((addresses != 0) & (words != 0) & ~b.bus_bvalid, WRITE_CLOCKS, "a whole write is answered in time"),
            ((reads != 0) & ~b.bus_rvalid, READ_CLOCKS, "a read is answered in time"),
            (asks_write & b.bus_bready & ~happens["b"], TURN_CLOCKS, "writes go on while the host takes answers"),
            (asks_read & b.bus_rready & ~happens["r"], TURN_CLOCKS, "reads go on while the host takes answers"),
        ):
            clocks = Signal(range(limit + 1))
            m.d.sync += clocks.eq(Mux(condition, clocks + 1, 0))
            m.d.comb += Assert(clocks != limit, claim)

        # Towards the bus: once for each request, with what the host sent, and the answer is the bus's.
        address, data, strobes = (
            self._sent(m, happens[name], port)
            for name, port in (("aw", b.bus_awaddr), ("w", b.bus_wdata), ("w", b.bus_wstrb))
        )
        written, refused = Signal(), Signal()
        with m.If(b.write):
            m.d.sync += written.eq(1)
        with m.Elif(happens["b"]):
            m.d.sync += written.eq(0)
        with m.If(earlier(m, b.write, 2)):
            m.d.sync += refused.eq(b.error)
        m.d.comb += [
            Assert(~(b.write & b.read), "a clock reads or writes"),
            Assert(~b.write | ~written, "a write is done once"),
            Assert(~written | ((addresses != 0) & (words != 0)), "what was written is answered next"),
            Assert(~b.write | ((b.address == address) & (b.write_data == data)), "what the host sent is written"),
            Assert(~b.write | strobes.all(), "only whole words are written"),
            Assert(~b.bus_bvalid | (written == strobes.all()), "whole words are written"),
            Assert(~(b.bus_bvalid & strobes.any() & ~strobes.all()) | (b.bus_bresp == SLVERR), "parts are refused"),
            Assert(
                ~(b.bus_bvalid & strobes.all()) | (b.bus_bresp == Mux(refused, SLVERR, OKAY)), "a write's error is told"
            ),
        ]
        asked = self._sent(m, happens["ar"], b.bus_araddr)
        found, missing, was_read = Signal(32), Signal(), Signal()
        with m.If(earlier(m, b.read, 2)):
            m.d.sync += missing.eq(b.error)
        with m.If(earlier(m, b.read, 3)):
            m.d.sync += [found.eq(b.read_data), was_read.eq(1)]
        with m.Elif(happens["r"]):
            m.d.sync += was_read.eq(0)
        m.d.comb += [
            Assert(~was_read | (reads != 0), "what was read is answered next"),
            Assert(~b.read | (b.address == asked), "what the host asked for is read"),
            Assert(~b.bus_rvalid | (was_read & (b.bus_rdata == found)), "what was read is answered"),
            Assert(~b.bus_rvalid | (b.bus_rresp == Mux(missing, SLVERR, OKAY)), "a read's error is told"),
        ]

    def _handshake(self, channel: str) -> Value:
        return getattr(self.block, f"bus_{channel}valid") & getattr(self.block, f"bus_{channel}ready")

    def _hold(self, m: Module, claim: Any, channel: str, *payload: Value) -> None:
        valid, ready = (getattr(self.block, f"bus_{channel}{end}") for end in ("valid", "ready"))
        waited, offered = earlier(m, valid & ~ready, 1), Cat(*payload)
        m.d.comb += [
            claim(~waited | valid, f"{channel} offers until it is taken"),
            claim(~waited | (offered == earlier(m, offered, 1)), f"{channel} offers the same until it is taken"),
        ]

    def _sent(self, m: Module, taken: Value, payload: Value) -> Value:
        """What a channel carries while it is taken, and carried last afterwards."""
        kept = Signal.like(payload)
        with m.If(taken):
            m.d.sync += kept.eq(payload)
        return Mux(taken, payload, kept)
