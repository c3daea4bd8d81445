"""Write-verify in a circuit: one device after the other is read and pulsed until it is near enough to its target."""

from __future__ import annotations

from amaranth import Module, Mux, Shape, Signal, unsigned
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from hw.register_map import CLOCK_BITS

ATTEMPT_BITS = 8
REQUEST_BITS = 4


class WriteVerify(Component):
    """Reads a device; unless its code is near enough to the target, pulses it towards the target and reads it again.

    Golden model: ``mapping.arithmetic.write_verify.write_verify``. One device at a time. Each read has a number, and
    its code brings it back: a code that comes too late, or after an abort, is known by it and dropped. Codes are always
    taken. With requests that are taken at once and codes n clocks after them, a device with a pulses that does not time
    out takes (a + 1) (n + 3) clocks from i to o.

    Parameters:
        code: shape of a code, signed or unsigned.
        tag: shape of what names a device.

    Members:
        i: stream of devices: tag, and target, the code that a read shall give.
        read: stream of requests: tag, and number, modulo 16.
        code: stream of answers: code, and number of its request. One that comes in the clock of its request is late.
        pulse: stream of pulses: tag, up. The next read is requested from the clock after the pulse is taken on.
        o: stream of results: tag, attempts (pulses), failed.
        tolerance: largest accepted |target - code|. attempts: most pulses of a device. timeout: clocks that a read
            may be without its code; the device fails in the next. All three held while busy.
        abort: drop the device, and rest. No pulse is offered in its clock; the other streams withdraw what they offer
            in the next.
        busy: a device is being written, or its result waits.
    """

    def __init__(self, code: Shape, tag: Shape) -> None:
        code, tag = Shape.cast(code), Shape.cast(tag)
        number = unsigned(REQUEST_BITS)
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout({"target": code, "tag": tag}))),
                "read": Out(stream.Signature(data.StructLayout({"tag": tag, "number": number}))),
                "code": In(stream.Signature(data.StructLayout({"code": code, "number": number}))),
                "pulse": Out(stream.Signature(data.StructLayout({"tag": tag, "up": 1}))),
                "o": Out(stream.Signature(data.StructLayout({"tag": tag, "attempts": ATTEMPT_BITS, "failed": 1}))),
                "tolerance": In(code.width),
                "attempts": In(ATTEMPT_BITS),
                "timeout": In(CLOCK_BITS),
                "abort": In(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        device, given = Signal(self.i.payload.shape()), Signal.like(self.code.p.code)
        number, patience = Signal(REQUEST_BITS), Signal(CLOCK_BITS)
        attempts, failed = Signal(ATTEMPT_BITS), Signal()
        error = device.target - given
        distance = Mux(error < 0, -error, error)
        answered = self.code.valid & (self.code.p.number == number)
        m.d.comb += [
            self.code.ready.eq(1),
            self.read.p.tag.eq(device.tag),
            self.read.p.number.eq(number),
            self.pulse.p.tag.eq(device.tag),
            self.pulse.p.up.eq(error > 0),
            self.o.p.tag.eq(device.tag),
            self.o.p.attempts.eq(attempts),
            self.o.p.failed.eq(failed),
        ]

        def stop_on_abort() -> None:
            with m.If(self.abort):
                m.d.sync += number.eq(number + 1)
                m.next = "rest"

        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("rest"))
            with m.State("rest"):
                m.d.comb += self.i.ready.eq(~self.abort)
                m.d.sync += [device.eq(self.i.payload), attempts.eq(0), failed.eq(0)]
                with m.If(self.i.valid & ~self.abort):
                    m.next = "read"
            with m.State("read"):
                m.d.comb += self.read.valid.eq(1)
                m.d.sync += patience.eq(0)
                with m.If(self.read.ready):
                    m.next = "wait"
                stop_on_abort()
            with m.State("wait"):
                m.d.sync += [given.eq(self.code.p.code), patience.eq(patience + 1)]
                with m.If(answered):
                    m.d.sync += number.eq(number + 1)
                    m.next = "judge"
                with m.Elif(patience == self.timeout):
                    m.d.sync += [number.eq(number + 1), failed.eq(1)]
                    m.next = "result"
                stop_on_abort()
            with m.State("judge"):
                with m.If(distance <= self.tolerance):
                    m.next = "result"
                with m.Elif(attempts == self.attempts):
                    m.d.sync += failed.eq(1)
                    m.next = "result"
                with m.Else():
                    m.next = "pulse"
                stop_on_abort()
            with m.State("pulse"):
                m.d.comb += self.pulse.valid.eq(~self.abort)
                with m.If(self.pulse.ready):
                    m.d.sync += attempts.eq(attempts + 1)
                    m.next = "read"
                stop_on_abort()
            with m.State("result"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "rest"
                stop_on_abort()
        return m
