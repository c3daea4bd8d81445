"""Registers: who may change a bit, who wins, and what the bus reads."""

from __future__ import annotations

from amaranth import Cat, Module, Signal
from amaranth.hdl import Assert

from hw.registers import RegisterFile
from tb.properties.watched import Watched, earlier


class RegistersObey(Watched):
    """Every field of a :class:`hw.registers.RegisterFile` changes as its access says, in every clock, bit by bit."""

    block: RegisterFile

    def properties(self, m: Module) -> None:
        bus = self.block
        # One clock later: what the bus asked for then, and what every field held then. A write takes a clock more.
        asked = {address: earlier(m, bus.address == address, 1) for address, _ in bus.map.placed()}
        write, data = earlier(m, bus.write, 2), earlier(m, bus.write_data, 2)

        words = []
        for address, register in bus.map.placed():
            ports = getattr(bus.fields, register.name)
            word = []
            for shift, field in register.placed():
                port, name = getattr(ports, field.name), f"{register.name}.{field.name}"
                written = Signal(field.bits, name=f"written_{register.name}_{field.name}")
                m.d.comb += written.eq((write & earlier(m, asked[address], 1)).replicate(field.bits))
                ones = written & data[shift : shift + field.bits]
                if field.access == "ro":
                    word.append(earlier(m, port.i, 1))
                    continue
                now, before = port.o, earlier(m, port.o, 1)
                word.append(before)
                if field.access == "rw":
                    m.d.comb += [
                        Assert(
                            ~written.any() | (now == data[shift : shift + field.bits]), f"{name} takes what is written"
                        ),
                        Assert(written.any() | (now == before), f"{name} stays while nobody writes it"),
                    ]
                elif field.access == "w1c":
                    happened = earlier(m, port.set, 1)
                    m.d.comb += [
                        Assert((happened & ~now) == 0, f"{name} is set by its event, whatever is written"),
                        Assert((ones & ~happened & now) == 0, f"{name} is cleared by writing 1"),
                        Assert((~ones & ~happened & (now ^ before)) == 0, f"{name} stays otherwise"),
                    ]
                elif field.access == "w1s":
                    cleared = earlier(m, port.clear, 1)
                    m.d.comb += [
                        Assert((cleared & now) == 0, f"{name} is cleared by the hardware, whatever is written"),
                        Assert((ones & ~cleared & ~now) == 0, f"{name} is set by writing 1"),
                        Assert((~ones & ~cleared & (now ^ before)) == 0, f"{name} stays otherwise"),
                    ]
            words.append((asked[address], Cat(*word), register.name))

        for here, word, name in words:
            m.d.comb += Assert(~here | (bus.read_data == word), f"{name} reads as what it was a clock ago")
        elsewhere = ~Cat(here for here, _, _ in words).any()
        m.d.comb += Assert(~elsewhere | (bus.read_data == 0), "no other address reads anything")
