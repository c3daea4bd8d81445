"""One circuit for all benches of single blocks: they stand side by side, so that it is built once."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal, signed
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from hw import DacFeeder, LinearNudger, Neuron, RulePort, Scaler, SquaredErrorNudger
from hw.address_map import AddressMap, Window
from hw.axi_lite import AxiLite
from hw.delay import delayed
from hw.host_memory import HostMemory
from hw.registers import Field, Register, RegisterFile, RegisterMap
from mapping.dither import Lfsr

DRIVE, BIAS, STATE = signed(24), signed(20), signed(17)
LANES, LFSR = 3, Lfsr(16, seed=0xACE1)

MAP = AddressMap(
    RegisterMap(
        "bench",
        (
            Register("identity", (Field("value", 32, "ro", 0x1234ABCD, "A constant."),), "What this is."),
            Register("scratch", (Field("value", 32, "rw", 7, "Anything."),), "Nothing depends on it."),
            Register("narrow", (Field("low", 5, "rw", 3, "Anything."), Field("high", 9, "rw", 0, "Too.")), "Nor here."),
            Register("command", (Field("ring", 1, "w1s", 0, "Rings the bell, and is cleared."),), "A command."),
            Register("event", (Field("rang", 1, "w1c", 0, "The bell rang."),), "An event."),
        ),
    ),
    (Window("memory", 5, 40, "Rows of more than a word."),),
)


def blocks() -> dict[str, Any]:
    """The blocks with streams."""
    return {
        "scaler": Scaler(DRIVE, RulePort(signed(22))),
        "feeder": DacFeeder(STATE, RulePort(signed(8)), LANES, LFSR),
        "neuron": Neuron(DRIVE, BIAS, RulePort(STATE)),
        "squared_error": SquaredErrorNudger(DRIVE, BIAS, signed(18), RulePort(STATE)),
        "linear": LinearNudger(signed(20), STATE),
    }


class Top(Component):
    """All blocks, and registers and a memory on a bus.

    Members:
        scaler, feeder, ...: ports of the blocks.
        bus_*: AXI4-Lite, to what ``MAP`` holds; nobody has the other addresses.
        busy: the memory is not the host's.
    """

    def __init__(self) -> None:
        self._blocks, self._bus = blocks(), AxiLite(MAP.address_bits)
        super().__init__(
            {
                **{name: Out(block.signature) for name, block in self._blocks.items()},
                **{name: member for name, member in self._bus.signature.members.items() if name.startswith("bus_")},
                "busy": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for name, block in self._blocks.items():
            m.submodules[name] = block
            connect(m, flipped(getattr(self, name)), block)

        m.submodules.bus = bus = self._bus
        m.submodules.registers = registers = RegisterFile(MAP.registers, MAP.address_bits)
        window = MAP.window("memory")
        m.submodules.memory = memory = HostMemory(window.bits, window.rows)
        for name, member in bus.signature.members.items():
            if name.startswith("bus_"):
                ours, theirs = getattr(self, name), getattr(bus, name)
                m.d.comb += theirs.eq(ours) if member.flow is In else ours.eq(theirs)
        in_registers, in_memory = Signal(), Signal()
        m.d.comb += [
            in_registers.eq(bus.address < MAP.registers_bytes),
            in_memory.eq(bus.address // window.size == MAP.base("memory") // window.size),
            registers.address.eq(bus.address),
            registers.write.eq(bus.write & in_registers),
            registers.write_data.eq(bus.write_data),
            memory.engine_busy.eq(self.busy),
            memory.host.address.eq(bus.address[2:]),
            memory.host.enable.eq(in_memory & (bus.read | bus.write)),
            memory.host.write.eq(bus.write),
            memory.host.write_data.eq(bus.write_data),
            bus.read_data.eq(Mux(delayed(m, in_memory, 2), memory.host_read_data, delayed(m, registers.read_data, 1))),
            bus.error.eq(~delayed(m, in_memory | in_registers, 2)),
        ]
        ring, rang = registers.fields.command.ring, registers.fields.event.rang
        m.d.comb += [ring.clear.eq(ring.o), rang.set.eq(ring.o)]
        return m
