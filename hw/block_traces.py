"""What is shown of blocks in their pages: small runs of the circuits themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amaranth import signed

from hw.array_timer import STAGES, ArrayTimer
from hw.axi_lite import AxiLite
from hw.config import ControllerConfig
from hw.dac_feeder import DacFeeder
from hw.fixed import Rule
from hw.pulser import Pulser
from hw.scaler import Scaler
from hw.sequencer import STATES, WORD, Sequencer
from hw.tables import Tables
from hw.waves import Row, traced
from hw.write_verify import WriteVerify
from mapping.arithmetic import Scaling
from mapping.dither import Lfsr
from mapping.program import Opcode


def scaler() -> dict[str, Any]:
    """Four elements; the sink does not want in two clocks."""
    block, xs = Scaler(signed(12), Rule(Scaling.nearest(0.3), (-128, 127))), [100, -100, 500, 7]
    queue = list(xs)

    def drive(ctx: Any, clock: int) -> None:
        ctx.set(block.o.ready, int(clock not in (8, 9)))
        ctx.set(block.i.valid, int(bool(queue)))
        if queue:
            ctx.set(block.i.payload, queue[0])
            if ctx.get(block.i.ready):
                queue.pop(0)

    rows = [
        Row("i.valid", block.i.valid), Row("i.ready", block.i.ready),
        Row("i.payload", block.i.payload, valid=block.i.valid), Row("o.valid", block.o.valid),
        Row("o.ready", block.o.ready), Row("o.payload", block.o.payload, valid=block.o.valid),
    ]  # fmt: skip
    return traced(block, rows, 16, drive, "x 0.3, in -128 .. 127: two clocks nobody takes")


def dac_feeder() -> dict[str, Any]:
    """The same code three times, dithered: its DAC codes differ."""
    block = DacFeeder(signed(12), Rule(Scaling.nearest(0.03), (-8, 7)), 2, Lfsr(8, seed=0x5A, shifts=1))

    def drive(ctx: Any, clock: int) -> None:
        ctx.set(block.o.ready, 1)
        ctx.set(block.i.valid, int(clock < 4))
        ctx.set(block.i.p.used, 3)
        for lane in range(2):
            ctx.set(block.i.p.codes[lane], 80)

    rows = [
        Row("i.valid", block.i.valid), Row("i.codes[0]", block.i.p.codes[0], valid=block.i.valid),
        Row("number", block.number, shown=hex), Row("o.valid", block.o.valid),
        *(Row(f"o.codes[{lane}]", block.o.p.codes[lane], valid=block.o.valid) for lane in range(2)),
    ]  # fmt: skip
    return traced(block, rows, 14, drive, "80 x 0.03 = 2.4, dithered, in two lanes")


def array_timer() -> dict[str, Any]:
    """A turn with two conversions averaged; codes of the turn before are fetched until clock 17."""
    block = ArrayTimer()
    times = {"settle": 2, "integrate": 2, "convert": 2, "discharge": 2, "conversions": 1, "average": 2}

    def drive(ctx: Any, clock: int) -> None:
        for name, value in times.items():
            ctx.set(getattr(block, name), value)
        ctx.set(block.loaded, int(1 <= clock <= 2 or clock >= 12))
        ctx.set(block.may_latch, int(clock > 16))

    rows = [
        Row("loaded", block.loaded), Row("apply", block.apply),
        *(Row(name, block.stage[number]) for number, name in enumerate(STAGES)),
        Row("may_latch", block.may_latch), Row("latch", block.latch),
    ]  # fmt: skip
    return traced(block, rows, 26, drive, "settle 2, two of integrate 2 and convert 2, discharge 2")


def pulser() -> dict[str, Any]:
    """A train of two slots on three rows and two columns."""
    block = Pulser(signed(5), 4, 4, Lfsr(8, seed=0x21, shifts=1), Lfsr(8, seed=0x6D, shifts=7))
    groups = [{"codes": [9, -15, 3, 0], "used": 7, "is_row": 1}, {"codes": [12, -6, 0, 0], "used": 3, "is_row": 0}]
    rule, sent = {"multiplier": 15, "shift": 0}, [0]
    ports = {"row_rule": rule, "column_rule": rule, "slots": 2, "pulse_clocks": 3, "gap_clocks": 2}

    def drive(ctx: Any, clock: int) -> None:
        for name, value in ports.items():
            ctx.set(getattr(block, name), value)
        ctx.set(block.o.ready, 1)
        left = groups[sent[0] :]
        ctx.set(block.i.valid, int(bool(left)))
        if left:
            ctx.set(block.i.payload, left[0] | {"last": len(left) == 1})
            sent[0] += ctx.get(block.i.ready)

    def bits(value: int) -> str:
        return f"{value:04b}"

    rows = [
        Row("i.valid", block.i.valid), Row("o.valid", block.o.valid),
        Row("o.is_row", block.o.p.is_row, valid=block.o.valid),
        Row("o.pulses", block.o.p.pulses, bits, block.o.valid),
        Row("o.negative", block.o.p.negative, bits, block.o.valid),
        Row("pulsing", block.pulsing), Row("done", block.done),
    ]  # fmt: skip
    return traced(block, rows, 38, drive, "two slots: which lines pulse, then the pulse")


def write_verify() -> dict[str, Any]:
    """A device at 20 that every pulse moves by 9, to be written to 40 within 5."""
    block = WriteVerify(signed(8), 4)
    ports = {"tolerance": 5, "attempts": 9, "timeout": 20}
    state = {"code": 20, "asked": -1, "answer": -1}

    def drive(ctx: Any, clock: int) -> None:
        for name, value in ports.items():
            ctx.set(getattr(block, name), value)
        for stream in (block.read, block.pulse, block.o):
            ctx.set(stream.ready, 1)
        ctx.set(block.i.valid, int(clock == 0))
        ctx.set(block.i.payload, {"target": 40, "tag": 3})
        ctx.set(block.code.valid, int(clock == state["answer"]))
        ctx.set(block.code.payload, {"code": state["code"], "number": max(0, state["asked"])})
        if ctx.get(block.read.valid):
            state["asked"], state["answer"] = ctx.get(block.read.p.number), clock + 2
        if ctx.get(block.pulse.valid):
            state["code"] += 9 if ctx.get(block.pulse.p.up) else -9

    rows = [
        Row("i.valid", block.i.valid), Row("i.target", block.i.p.target, valid=block.i.valid),
        Row("read.valid", block.read.valid), Row("code.valid", block.code.valid),
        Row("code.code", block.code.p.code, valid=block.code.valid), Row("pulse.valid", block.pulse.valid),
        Row("pulse.up", block.pulse.p.up, valid=block.pulse.valid), Row("o.valid", block.o.valid),
        Row("o.attempts", block.o.p.attempts, valid=block.o.valid),
    ]  # fmt: skip
    return traced(block, rows, 24, drive, "from 20 to 40 within 5, 9 a pulse")


def axi_lite() -> dict[str, Any]:
    """A write of 7 to 0x20, and a read of it."""
    block = AxiLite(8)
    memory: dict[int, int] = {}
    answers = [0, 0]
    wants = {"aw": 1, "w": 1, "ar": 0}

    def drive(ctx: Any, clock: int) -> None:
        if clock == 7:
            wants["ar"] = 1
        for channel, want in wants.items():
            ctx.set(getattr(block, f"bus_{channel}valid"), want)
        held = {"awaddr": 0x20, "araddr": 0x20, "wdata": 7, "wstrb": 15, "bready": 1, "rready": 1}
        for name, value in held.items():
            ctx.set(getattr(block, f"bus_{name}"), value)
        for channel in wants:
            wants[channel] &= not ctx.get(getattr(block, f"bus_{channel}ready"))
        if ctx.get(block.write):
            memory[ctx.get(block.address)] = ctx.get(block.write_data)
        ctx.set(block.read_data, answers.pop(0))
        answers.append(memory.get(ctx.get(block.address), 0))

    rows = [
        Row("awvalid, wvalid", block.bus_awvalid), Row("awready, wready", block.bus_awready),
        Row("bvalid", block.bus_bvalid), Row("arvalid", block.bus_arvalid), Row("arready", block.bus_arready),
        Row("rvalid", block.bus_rvalid), Row("rdata", block.bus_rdata, valid=block.bus_rvalid),
        Row("write", block.write), Row("read", block.read), Row("address", block.address, hex),
    ]  # fmt: skip
    return traced(block, rows, 15, drive, "a write, then a read")


def sequencer() -> dict[str, Any]:
    """A phase of one sweep: a read, and the update of a layer."""
    block = Sequencer(Tables(ControllerConfig.preset("tiny")))
    words = [(Opcode.BETA, 0), (Opcode.LOOP, 1), (Opcode.READ, 0), (Opcode.WAIT, 0), (Opcode.UPDATE, 0)]
    words += [(Opcode.END, 0), (Opcode.HALT, 0)]
    busy = {"read": 0, "layer": 0}
    fetched = [0]

    def drive(ctx: Any, clock: int) -> None:
        opcode, flags = words[min(fetched[0], len(words) - 1)]
        ctx.set(block.program_data, {"number": 0, "index": 0, "flags": flags, "opcode": opcode.value})
        ctx.set(block.start, int(clock == 0))
        ctx.set(block.free_sweeps, 1)
        ctx.set(block.read.ready, 1)
        ctx.set(block.reading, int(busy["read"] > 0))
        ctx.set(block.layer_busy, int(busy["layer"] > 0))
        for name in busy:
            busy[name] = max(0, busy[name] - 1)
        if ctx.get(block.read.valid):
            busy["read"] = 4
        if ctx.get(block.layer_start):
            busy["layer"] = 3
        fetched[0] = ctx.get(block.program_address)

    def named(opcode: int) -> str:
        return Opcode(opcode).name

    names = dict(enumerate(STATES))
    rows = [
        Row("start", block.start), Row("state", block.state, names.__getitem__), Row("opcode", block.opcode, named),
        Row("read.valid", block.read.valid), Row("reading", block.reading), Row("layer_start", block.layer_start),
        Row("layer_busy", block.layer_busy), Row("swept", block.swept), Row("done", block.done),
    ]  # fmt: skip
    assert WORD.size == len(block.program_data.as_value())
    return traced(block, rows, 40, drive, "one sweep: READ, WAIT, UPDATE", scale=2)


TRACES: dict[str, Callable[[], dict[str, Any]]] = {
    "scaler": scaler,
    "dac_feeder": dac_feeder,
    "array_timer": array_timer,
    "pulser": pulser,
    "write_verify": write_verify,
    "axi_lite": axi_lite,
    "sequencer": sequencer,
}
