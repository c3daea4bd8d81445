"""The controller: core, memories and registers behind one AXI4-Lite port."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from hw.address_map import AddressMap, Window
from hw.array_timer import TIMES
from hw.axi_lite import AxiLite
from hw.clocked_core import ClockedCore
from hw.config import ControllerConfig
from hw.core import ENABLED
from hw.delay import delayed
from hw.host_memory import HostMemory
from hw.image import word_bits
from hw.register_map import COUNTERS, EVENTS, controller_registers
from hw.registers import RegisterFile
from hw.tables import Tables

# Memories that the host sees, and the ports of the core that each answers. The first is the one a host reads through.
MEMORIES: dict[str, tuple[tuple[str, ...], str]] = {
    "program": (("program",), "Microprogram, 64-bit words."),
    "reads": (("reads",), "Table of reads."),
    "drive_list": (("drive_list",), "Beats to the DACs."),
    "sense_list": (("sense_list",), "Beats from the ADCs."),
    "tiles": (("drive_tile", "sense_tile"), "Table of tiles."),
    "layer": (("layer",), "Table of layers."),
    "source": (("source",), "Table of sources."),
    "contrasts": (("contrasts",), "Table of contrasts."),
    "state": (("state",), "States, their snapshots and captured copies."),
    "sum": (("sum", "bus"), "Sums of ADC codes."),
    "constant": (("constant",), "Constant drives and biases."),
}

# Ports of the core that go straight to the outside, and those that registers serve.
ARRAY_STREAMS = ("feed", "drive", "request", "codes", "gradient", "pulse")
ARRAY_SIGNALS = ("row", "direction", "apply", "latch", "stage", "rest", "pulsing", "state", "opcode", "phase", "busy")
TRAINS = ("slots", "stride", "fixed", "load")


def address_map(config: ControllerConfig) -> AddressMap:
    """Where registers and memories are on the bus."""
    bits, rows = word_bits(Tables(config)), memory_rows(config)
    windows = tuple(Window(name, rows[name], bits[name], doc) for name, (_, doc) in MEMORIES.items())
    return AddressMap(controller_registers(config), windows)


def memory_rows(config: ControllerConfig) -> dict[str, int]:
    """Words of each memory."""
    return {
        "program": config.program_words,
        "reads": config.read_rows,
        "drive_list": config.drive_beats,
        "sense_list": config.sense_beats,
        "tiles": config.tile_rows,
        "layer": config.layer_rows,
        "source": config.source_rows,
        "contrasts": config.contrast_rows,
        "state": config.state_words,
        "sum": config.sum_words,
        "constant": config.constant_words,
    }


class Controller(Component):
    """Runs EP steps on arrays of crossbars, commanded over AXI4-Lite.

    While a program runs the memories are its own: the host reads 0 from them and writes nothing.

    Args:
        outside: whether the words of memories lie in modules of their own (:mod:`hw.memory_modules`).

    Attributes:
        config: what it is built for.
        map: of the bus.
        modules: rows and bits of each of those modules, one for each instance.

    Members:
        bus_*: AXI4-Lite, see :class:`hw.axi_lite.AxiLite`.
        interrupt: an enabled event was seen.
        feed, drive, request, codes, gradient: streams, see :class:`hw.reader.Reader` and :class:`hw.contrast.Contrast`.
        pulse, pulsing: stream and level of pulses, see :class:`hw.pulse_contrast.PulseContrast`.
        row, direction, apply, latch, stage, rest: to the arrays, see :class:`hw.core.Core`.
        state, phase, busy: what runs, as in the register ``status``; opcode: of the word that runs.
    """

    def __init__(self, config: ControllerConfig, outside: bool = False) -> None:
        self.config, self.map = config, address_map(config)
        tables = Tables(config)
        bits, rows = word_bits(tables), memory_rows(config)
        self._memories: dict[str, list[tuple[str, HostMemory]]] = {}
        for name, (ports, _) in MEMORIES.items():
            # Where the core reads two places at once there are two alike.
            used = ports if name != "sum" or config.chained else ports[:1]
            self._memories[name] = [(port, HostMemory(bits[name], rows[name], outside)) for port in used]
        self.modules = [shape for copies in self._memories.values() for _, memory in copies for shape in memory.modules]
        self._core, self._bus = ClockedCore(tables), AxiLite(self.map.address_bits)
        core, bus = self._core.signature.members, self._bus.signature.members
        super().__init__(
            {
                **{name: member for name, member in bus.items() if name.startswith("bus_")},
                "interrupt": Out(1),
                **{name: core[name] for name in (*ARRAY_STREAMS, *ARRAY_SIGNALS)},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.core = core = self._core
        m.submodules.bus = bus = self._bus
        m.submodules.registers = registers = RegisterFile(self.map.registers, self.map.address_bits)
        for name, member in bus.signature.members.items():
            if name.startswith("bus_"):
                ours, theirs = getattr(self, name), getattr(bus, name)
                m.d.comb += theirs.eq(ours) if member.flow == In else ours.eq(theirs)
        for name in ARRAY_STREAMS:
            ours, theirs = flipped(getattr(self, name)), getattr(core, name)
            connect(m, theirs, ours) if name != "codes" else connect(m, ours, theirs)
        m.d.comb += [getattr(self, name).eq(getattr(core, name)) for name in ARRAY_SIGNALS]

        self._connect_memories(m, core)
        self._decode(m, bus, registers)
        self._settings(m, core, registers.fields)
        self._report(m, core, registers.fields)
        return m

    def _connect_memories(self, m: Module, core: Any) -> None:
        """All memories to the core."""
        for name, copies in self._memories.items():
            for port, memory in copies:
                m.submodules[f"memory_{port}"] = memory
                # A register, as a whole memory hangs on it, and each has its own; the core's first access is later.
                busy = Signal(name=f"{port}_is_busy", attrs={"keep": 1})
                m.d.sync += busy.eq(core.busy)
                m.d.comb += [
                    memory.engine_busy.eq(busy),
                    memory.read_address.eq(getattr(core, f"{port}_address")),
                    memory.read_enable.eq(getattr(core, f"{port}_enable") if port in ENABLED else 1),
                    getattr(core, f"{port}_data").eq(memory.read_data),
                ]
                if hasattr(core, f"{name}_write"):
                    m.d.comb += [
                        memory.write_enable.eq(getattr(core, f"{name}_write")),
                        memory.write_address.eq(getattr(core, f"{name}_write_address")),
                        memory.write_data.eq(getattr(core, f"{name}_write_data")),
                    ]

    def _decode(self, m: Module, bus: Any, registers: RegisterFile) -> None:
        """From the bus to the registers and windows, and back three clocks later."""
        at_registers = bus.address < self.map.registers_bytes
        m.d.sync += [
            registers.address.eq(bus.address),
            registers.write.eq(bus.write & at_registers),
            registers.write_data.eq(bus.write_data),
        ]
        heres = [at_registers]
        for name, copies in self._memories.items():
            base, size = self.map.base(name), self.map.size(name)
            here = bus.address[size.bit_length() - 1 :] == base >> size.bit_length() - 1
            heres.append(here)
            for _, memory in copies:
                m.d.comb += [
                    memory.host.address.eq(bus.address[2 : size.bit_length() - 1]),
                    memory.host.enable.eq(here & (bus.read | bus.write)),
                    memory.host.write.eq(here & bus.write),
                    memory.host.write_data.eq(bus.write_data),
                ]
        # Whoever is not asked answers 0.
        answers: list[Value] = [
            delayed(m, registers.read_data, 1),
            *(copies[0][1].host_read_data for copies in self._memories.values()),
        ]
        m.d.comb += [bus.read_data.eq(reduce(or_, answers)), bus.error.eq(~delayed(m, Cat(*heres).any(), 2))]

    def _settings(self, m: Module, core: Any, fields: Any) -> None:
        """What registers tell the core."""
        control = fields.control
        m.d.comb += [
            core.start.eq(control.start.o),
            core.stop.eq(control.stop.o),
            core.abort.eq(control.abort.o),
            control.start.clear.eq(core.started | core.aborted),
            control.stop.clear.eq(core.stopped | core.aborted),
            control.abort.clear.eq(core.aborted),
            core.free_sweeps.eq(fields.sweeps.free.o),
            core.nudged_sweeps.eq(fields.sweeps.nudged.o),
            core.early_stop.eq(fields.options.early_stop.o),
            core.learn.eq(fields.options.gradients.o | fields.options.pulses.o),
            core.pulses.eq(fields.options.pulses.o),
            core.target.eq(fields.label.number.o),
            core.average.eq(fields.average.conversions.o),
            core.timeout.eq(fields.time_timeout.clocks.o),
            *(getattr(core, name).eq(getattr(fields, f"time_{name}").clocks.o) for name in TIMES),
        ]
        for number, sign in enumerate(("plus", "minus")):
            push, divide = getattr(fields, f"nudge_{sign}_push"), getattr(fields, f"nudge_{sign}_divide")
            m.d.comb += [
                core.nudges[number].push.eq(push.codes.o.as_signed()),
                core.nudges[number].multiplier.eq(divide.multiplier.o.as_signed()),
                core.nudges[number].shift.eq(divide.shift.o),
            ]
        trains, seeds = fields.trains, fields.train_seeds
        m.d.comb += [
            trains.load.clear.eq(trains.load.o),
            *(getattr(core, f"train_{name}").eq(getattr(trains, name).o) for name in TRAINS),
            core.train_row_seed.eq(not_zero(seeds.row.o)),
            core.train_column_seed.eq(not_zero(seeds.column.o)),
            core.train_pulse_clocks.eq(fields.time_pulse.clocks.o),
            core.train_gap_clocks.eq(fields.time_gap.clocks.o),
        ]
        lfsr = fields.lfsr
        m.d.comb += lfsr.load.clear.eq(lfsr.load.o)
        if self.config.dither:
            m.d.comb += [core.load.eq(lfsr.load.o), core.seed.eq(not_zero(lfsr.seed.o))]

    def _report(self, m: Module, core: Any, fields: Any) -> None:
        """What the core tells registers: status, events, counters."""
        status = fields.status
        m.d.comb += [
            status.state.i.eq(core.state),
            status.phase.i.eq(core.phase),
            status.busy.i.eq(core.busy),
            fields.answer.number.i.eq(core.answer),
            fields.train_numbers.row.i.eq(core.train_row_number),
            fields.train_numbers.column.i.eq(core.train_column_number),
        ]
        residual, done, error = Signal.like(fields.residual.codes.i), Signal(), Signal()
        with m.If(core.swept):
            m.d.sync += residual.eq(core.residual)
        with m.If(core.started):
            m.d.sync += [done.eq(0), error.eq(0)]
        with m.If(core.done):
            m.d.sync += done.eq(1)
        with m.If(core.failed | core.late):
            m.d.sync += error.eq(1)
        m.d.comb += [fields.residual.codes.i.eq(residual), status.done.i.eq(done), status.error.i.eq(error)]

        events = {"done": core.done, "aborted": core.aborted, "error": core.failed, "timeout": core.late}
        seen = fields.interrupt_status
        for name, _ in EVENTS:
            m.d.comb += getattr(seen, name).set.eq(events[name])
        enabled = [getattr(seen, name).o & getattr(fields.interrupt_enable, name).o for name, _ in EVENTS]
        m.d.comb += self.interrupt.eq(Cat(*enabled).any())

        steps = {
            "phases": core.begun,
            "sweeps": core.swept,
            "cycles": core.busy,
            "beats": core.answered,
            "saturations": core.saturated,
            "clips": core.clipped,
            "timeouts": core.late,
            "pulses": core.pulsed,
        }
        clear = fields.control.clear_counters
        clearing = Signal(init=1)  # one register clears them all, after a reset too
        m.d.comb += clear.clear.eq(clear.o)
        m.d.sync += clearing.eq(clear.o)
        for name, _ in COUNTERS:
            count = Signal(32, name=f"count_{name}", reset_less=True)
            with m.If(clearing):
                m.d.sync += count.eq(0)
            with m.Else():
                m.d.sync += count.eq(count + delayed(m, steps[name], 1))
            m.d.comb += getattr(fields, f"count_{name}").value.i.eq(count)


def not_zero(seed: Value) -> Value:
    """A seed as a register of numbers can have it: 0 would stay 0."""
    return Mux(seed == 0, 1, seed)
