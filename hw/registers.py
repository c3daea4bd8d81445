"""Registers that software sees: described once, from which the decoder and every document are made.

A field is

    ro    what the hardware says; an input that nothing drives stays at the field's reset, which makes constants
    rw    what software wrote last
    w1s   a command: software writes 1 to set a bit, hardware clears it
    w1c   an event: hardware sets a bit, software writes 1 to clear it

Where both act on a bit in the same clock the hardware wins: a w1c bit that it sets stays 1 whatever software clears, a
w1s bit that it clears becomes 0 whatever software sets.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import Component, In, Out, Signature

from hw.delay import delayed

WORD_BITS = 32
WORD_BYTES = WORD_BITS // 8

Access = Literal["ro", "rw", "w1c", "w1s"]
ACCESSES: tuple[Access, ...] = get_args(Access)


def check_name(what: str, name: str) -> None:
    """Names become attributes in Python and macros in C.

    Raises:
        ValueError: for anything but lower case letters, digits and single underscores, or a word of Python.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise ValueError(f"{what} {name!r}: expected lower case letters, digits and single underscores")


def check_doc(what: str, doc: str) -> None:
    """Raises: ValueError if ``doc`` is not one line, or would end a comment of C."""
    if not doc.strip() or "\n" in doc or "*/" in doc or "/*" in doc:
        raise ValueError(f"{what}: doc {doc!r}: expected one line without comment marks")


@dataclass(frozen=True)
class Field:
    """Some bits of a register.

    Attributes:
        bits: 1 .. 32.
        reset: value after reset; of a ro field, what it reads while nothing drives it.
        doc: one line.

    Raises:
        ValueError: naming the field, the value and what is expected.
    """

    name: str
    bits: int
    access: Access
    reset: int
    doc: str

    def __post_init__(self) -> None:
        check_name("field", self.name)
        check_doc(f"field {self.name}", self.doc)
        if not 1 <= self.bits <= WORD_BITS:
            raise ValueError(f"field {self.name}: bits {self.bits}: expected 1 .. {WORD_BITS}")
        if self.access not in ACCESSES:
            raise ValueError(f"field {self.name}: access {self.access!r}: expected one of {', '.join(ACCESSES)}")
        if not 0 <= self.reset < 1 << self.bits:
            raise ValueError(f"field {self.name}: reset {self.reset}: expected 0 .. {(1 << self.bits) - 1}")

    @property
    def signature(self) -> Signature:
        """Its signals, seen from the registers."""
        held = {"o": Out(self.bits, init=self.reset)}
        return Signature(
            {
                "ro": {"i": In(self.bits, init=self.reset)},
                "rw": held,
                "w1c": {**held, "set": In(self.bits)},
                "w1s": {**held, "clear": In(self.bits)},
            }[self.access]
        )


@dataclass(frozen=True)
class Register:
    """One 32-bit word; the fields begin at bit 0 and follow each other without gaps. Bits beyond them read 0.

    Raises:
        ValueError: naming the register, the value and what is expected.
    """

    name: str
    fields: tuple[Field, ...]
    doc: str

    def __post_init__(self) -> None:
        check_name("register", self.name)
        check_doc(f"register {self.name}", self.doc)
        names = [field.name for field in self.fields]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"register {self.name}: fields {names}: expected at least one, with different names")
        if self.used_bits > WORD_BITS:
            raise ValueError(f"register {self.name}: {self.used_bits} bits: expected at most {WORD_BITS}")

    @property
    def used_bits(self) -> int:
        """Of all fields."""
        return sum(field.bits for field in self.fields)

    @property
    def reset(self) -> int:
        """The whole word after reset."""
        return sum(field.reset << shift for shift, field in self.placed())

    def placed(self) -> Iterator[tuple[int, Field]]:
        """Fields with their lowest bits."""
        shift = 0
        for field in self.fields:
            yield shift, field
            shift += field.bits


@dataclass(frozen=True)
class RegisterMap:
    """Registers in order: the n-th at byte address 4 n.

    Raises:
        ValueError: for no registers, or two with one name (also as REGISTER_FIELD, which macros are called by).
    """

    name: str
    registers: tuple[Register, ...]

    def __post_init__(self) -> None:
        check_name("map", self.name)
        names = [register.name for register in self.registers]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"map {self.name}: registers {names}: expected at least one, with different names")
        joined = [f"{register.name}_{field.name}" for register in self.registers for field in register.fields]
        twice = sorted({name for name in joined if joined.count(name) > 1})
        if twice:
            raise ValueError(f"map {self.name}: fields {twice} twice: expected different names REGISTER_FIELD")

    @property
    def bytes(self) -> int:
        """Addresses in use."""
        return WORD_BYTES * len(self.registers)

    def placed(self) -> Iterator[tuple[int, Register]]:
        """Registers with their byte addresses."""
        return ((WORD_BYTES * number, register) for number, register in enumerate(self.registers))

    def address(self, name: str) -> int:
        """Byte address of a register.

        Raises:
            ValueError: if there is none of that name.
        """
        for address, register in self.placed():
            if register.name == name:
                return address
        raise ValueError(f"map {self.name}: register {name!r}: expected one of {[r.name for r in self.registers]}")


class RegisterFile(Component):
    """The registers of a map behind a simple bus.

    Every clock one address: ``read_data`` is, one clock later, the word as it was in the clock of its address; with
    ``write`` the word changes at the end of the clock after. Addresses that are not a register's, those that are no
    multiple of 4 among them, read 0 and change nothing. Reading has no effects.

    Attributes:
        map: the registers.
        fields: of each register, by name, of each field, by name: ``o`` what it holds, ``i`` what a ro field reads,
            ``set`` bits of a w1c field, ``clear`` bits of a w1s field.

    Args:
        address_bits: of the byte address.

    Raises:
        ValueError: if the addresses of the map need more bits.
    """

    def __init__(self, registers: RegisterMap, address_bits: int = 12) -> None:
        if registers.bytes > 1 << address_bits:
            raise ValueError(f"address_bits {address_bits}: expected enough for {registers.bytes} bytes of registers")
        self.map = registers
        words = {
            register.name: Out(Signature({field.name: Out(field.signature) for field in register.fields}))
            for register in registers.registers
        }
        super().__init__(
            {
                "address": In(address_bits),
                "write": In(1),
                "write_data": In(WORD_BITS),
                "read_data": Out(WORD_BITS),
                "fields": Out(Signature(words)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        words = {}
        data = delayed(m, self.write_data, 1)
        for address, register in self.map.placed():
            ports = getattr(self.fields, register.name)
            write = delayed(m, self.write & (self.address == address), 1)  # a register: all bits of the word hang on it
            word = []
            for shift, field in register.placed():
                port = getattr(ports, field.name)
                word.append(port.i if field.access == "ro" else port.o)
                written = data[shift : shift + field.bits]
                # Masked with the write, so that what the hardware does goes on in every other clock.
                ones = written & write.replicate(field.bits)
                if field.access == "rw":
                    with m.If(write):
                        m.d.sync += port.o.eq(written)
                elif field.access == "w1c":
                    m.d.sync += port.o.eq(port.o & ~ones | port.set)
                elif field.access == "w1s":
                    m.d.sync += port.o.eq((port.o | ones) & ~port.clear)
            words[address] = Cat(*word)
        # A tree of two-way choices, shorter than asking every register whether it is meant; half of it a clock later.
        index_bits = max(1, (len(words) - 1).bit_length())
        found: list[Any] = [words.get(WORD_BYTES * n, 0) for n in range(1 << index_bits)]
        early = index_bits // 2
        found = chosen(found, self.address[2 : 2 + early])
        found = [delayed(m, Value.cast(word), 1) for word in found]
        (word,) = chosen(found, delayed(m, self.address[2 + early : 2 + index_bits], 1))
        outside = Signal(init=1)  # nothing was asked for before the first clock, nor during a reset
        m.d.sync += outside.eq(self.address[:2].any() | self.address[2 + index_bits :].any())
        m.d.comb += self.read_data.eq(Mux(outside, 0, word))
        return m


def chosen(words: list[Any], index: Value) -> list[Any]:
    """Of each group of 2^len(index) words the one with that number."""
    for bit in index:
        words = [Mux(bit, odd, even) for even, odd in zip(words[::2], words[1::2], strict=True)]
    return words
