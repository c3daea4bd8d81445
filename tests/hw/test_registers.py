# amaranth: UnusedElaboratable=no
"""Truth: registers as a dictionary of Python integers, clock by clock; and, for the header, the system's C compiler."""

import dataclasses
import json
import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from amaranth.sim import Simulator

from hw.config import ControllerConfig
from hw.register_docs import as_json, c_header, markdown
from hw.register_map import IDENTITY, VERSION, controller_registers
from hw.registers import Field, Register, RegisterFile, RegisterMap

MIXED = RegisterMap(
    "mixed",
    (
        Register("first", (Field("a", 3, "ro", 5, "A."), Field("b", 7, "rw", 77, "B.")), "First."),
        Register("second", (Field("c", 9, "w1c", 256, "C."), Field("d", 9, "w1s", 1, "D.")), "Second."),
        Register("third", (Field("e", 32, "rw", 2**32 - 1, "E."),), "Third."),
        Register("fourth", tuple(Field(f"f{n}", 8, "ro" if n % 2 else "w1c", n, "F.") for n in range(4)), "Fourth."),
    ),
)
DIGITS = controller_registers(ControllerConfig.preset("digits"))


class Model:
    """What the documentation of hw/registers.py says, one bit at a time."""

    def __init__(self, registers: RegisterMap) -> None:
        self.fields: dict[int, list[tuple[str, str, int, str, int]]] = {}
        self.held: dict[tuple[str, str], int] = {}
        self.asked = (0, False, 0)
        for number, register in enumerate(registers.registers):
            shift = 0
            self.fields[4 * number] = []
            for field in register.fields:
                self.fields[4 * number].append((register.name, field.name, shift, field.access, field.bits))
                self.held[register.name, field.name] = field.reset
                shift += field.bits

    def read(self, address: int, inputs: dict[tuple[str, str], int]) -> int:
        word = 0
        for register, name, shift, access, _ in self.fields.get(address, []):
            value = inputs[register, name] if access == "ro" else self.held[register, name]
            word |= value << shift
        return word

    def clock(self, address: int, write: bool, data: int, inputs: dict[tuple[str, str], int]) -> None:
        """What is written arrives in the clock after."""
        asked, self.asked = self.asked, (address, write, data)
        address, write, data = asked
        for where, fields in self.fields.items():
            for register, name, shift, access, bits in fields:
                written = write and address == where
                value = self.held[register, name]
                if access == "rw" and written:
                    value = data >> shift & (1 << bits) - 1
                for bit in range(bits):
                    one, hardware = data >> shift + bit & 1, inputs.get((register, name), 0) >> bit & 1
                    if access == "w1c":
                        if hardware:
                            value |= 1 << bit
                        elif written and one:
                            value &= ~(1 << bit)
                    if access == "w1s":
                        if hardware:
                            value &= ~(1 << bit)
                        elif written and one:
                            value |= 1 << bit
                self.held[register, name] = value


def driven(file: RegisterFile) -> dict[tuple[str, str], tuple[Any, int]]:
    """The inputs among a file's field signals, and their widths."""
    ports = {"ro": "i", "w1c": "set", "w1s": "clear"}
    return {
        (register.name, field.name): (
            getattr(getattr(getattr(file.fields, register.name), field.name), ports[field.access]),
            field.bits,
        )
        for register in file.map.registers
        for field in register.fields
        if field.access in ports
    }


def simulate(file: RegisterFile, bench: Any) -> None:
    simulator = Simulator(file)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("registers", [MIXED, DIGITS], ids=["mixed", "digits"])
@pytest.mark.parametrize("seed", range(2))
def test_random_reads_and_writes_are_the_models(registers: RegisterMap, seed: int) -> None:
    draw = random.Random(seed)
    file, model = RegisterFile(registers, 8), Model(registers)
    shared = [4 * n for n, one in enumerate(registers.registers) if any(f.access[:2] == "w1" for f in one.fields)]
    earlier = (0, False, 0)
    met = {"beyond": 0, "unaligned": 0, "event won": 0, "command won": 0}

    async def bench(ctx: Any) -> None:
        nonlocal earlier
        inputs = driven(file)
        for _ in range(1500):
            address = draw.choice(
                [4 * draw.randrange(len(registers.registers)), draw.randrange(256), draw.choice(shared)]
            )
            write, data = draw.random() < 0.5, draw.choice([draw.getrandbits(32), 2**32 - 1, 0])
            values = {key: draw.choice([0, draw.getrandbits(bits)]) for key, (_, bits) in inputs.items()}
            for key, (port, _) in inputs.items():
                ctx.set(port, values[key])
            ctx.set(file.address, address)
            ctx.set(file.write, write)
            ctx.set(file.write_data, data)
            expected = model.read(address, values)
            model.clock(address, write, data, values)
            await ctx.tick()
            assert ctx.get(file.read_data) == expected
            for (register, name), value in model.held.items():
                port = getattr(getattr(file.fields, register), name)
                if not hasattr(port, "i"):
                    assert ctx.get(port.o) == value, (register, name)
            met["beyond"] += address >= registers.bytes and address % 4 == 0 and write
            met["unaligned"] += address % 4 != 0 and write
            (address, write, data), earlier = earlier, (address, write, data)
            for register, name, shift, access, bits in model.fields.get(address, []) if write else []:
                both = values.get((register, name), 0) & data >> shift & (1 << bits) - 1
                met["event won"] += access == "w1c" and both != 0
                met["command won"] += access == "w1s" and both != 0

    simulate(file, bench)
    assert all(count > 10 for count in met.values()), met


def test_an_event_in_the_clock_of_its_clearing_is_not_lost() -> None:
    file = RegisterFile(DIGITS)
    seen = []

    async def bench(ctx: Any) -> None:
        done = file.fields.interrupt_status.done
        ctx.set(file.address, DIGITS.address("interrupt_status"))
        for happens, write in [(1, 1), (1, 0), (0, 1), (0, 0)]:  # a write arrives in the clock after
            ctx.set(done.set, happens)
            ctx.set(file.write, write)
            ctx.set(file.write_data, 1)
            await ctx.tick()
            seen.append(ctx.get(done.o))

    simulate(file, bench)
    assert seen == [1, 1, 1, 0]


def test_a_command_in_the_clock_of_its_clearing_is_cleared() -> None:
    file = RegisterFile(DIGITS)
    seen = []

    async def bench(ctx: Any) -> None:
        start = file.fields.control.start
        ctx.set(file.address, DIGITS.address("control"))
        for clear, write in [(0, 1), (0, 1), (1, 0), (0, 1), (0, 0)]:  # a write arrives in the clock after
            ctx.set(start.clear, clear)
            ctx.set(file.write, write)
            ctx.set(file.write_data, 1)
            await ctx.tick()
            seen.append(ctx.get(start.o))

    simulate(file, bench)
    assert seen == [0, 1, 0, 0, 1]


def test_resets_are_those_of_the_configuration() -> None:
    config = dataclasses.replace(ControllerConfig.preset("digits"), settle_clocks=123, gap_clocks=45, nudged_sweeps=6)
    registers = controller_registers(config)
    file, words = RegisterFile(registers), {}

    async def bench(ctx: Any) -> None:
        for address, register in registers.placed():
            ctx.set(file.address, address)
            await ctx.tick()
            words[register.name] = ctx.get(file.read_data)

    simulate(file, bench)
    assert words["identity"] == IDENTITY == 0x45504D43
    assert words["version"] == VERSION
    assert words["config_hash"] == config.hash
    assert words["time_settle"] == 123
    assert words["time_gap"] == 45
    assert words["time_pulse"] == config.pulse_clocks
    assert words["time_convert"] == config.convert_clocks
    assert words["time_transposed_settle"] == config.transposed_settle_clocks
    assert words["time_transposed_convert"] == config.transposed_convert_clocks
    assert words["time_integrate"] == config.integrate_clocks
    assert words["time_discharge"] == config.discharge_clocks
    assert words["sweeps"] == config.free_sweeps | 6 << 16
    assert words["lfsr"] == 1
    zero = ["control", "status", "interrupt_enable", "interrupt_status", "label", "answer", "residual"]
    zero += [name for name in words if name.startswith(("count_", "nudge_"))]
    assert len(zero) == 7 + 8 + 4
    assert words["average"] == config.average
    assert not any(words[name] for name in zero)


@pytest.mark.parametrize("registers", [MIXED, DIGITS], ids=["mixed", "digits"])
def test_no_two_fields_share_a_bit(registers: RegisterMap) -> None:
    content = json.loads(as_json(registers))
    assert [register["address"] for register in content["registers"]] == list(range(0, content["bytes"], 4))
    for register in content["registers"]:
        bits = [bit for one in register["fields"] for bit in range(one["shift"], one["shift"] + one["bits"])]
        assert len(bits) == len(set(bits))
        assert max(bits) < 32
        assert register["reset"] == sum(one["reset"] << one["shift"] for one in register["fields"])


@pytest.mark.parametrize("registers", [MIXED, DIGITS], ids=["mixed", "digits"])
def test_markdown_lists_every_field_once(registers: RegisterMap) -> None:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in markdown(registers).splitlines()[2:]]
    listed = [(int(row[0], 16), row[1], row[2], row[3], row[4], int(row[5], 16)) for row in rows]
    expected = []
    for register in json.loads(as_json(registers))["registers"]:
        for field in register["fields"]:
            low, high = field["shift"], field["shift"] + field["bits"] - 1
            span = str(low) if low == high else f"{high}:{low}"
            expected.append(
                (register["address"], register["name"], field["name"], span, field["access"], field["reset"])
            )
    assert listed == expected
    assert all(len(row) == 7 and row[6] for row in rows)


def test_a_bar_in_a_meaning_does_not_break_the_table() -> None:
    registers = RegisterMap("m", (Register("r", (Field("f", 1, "rw", 0, "A | B."),), "R."),))
    assert re.split(r"(?<!\\)\|", markdown(registers).splitlines()[2])[7].strip() == "R. A \\| B."


@pytest.mark.parametrize("registers", [MIXED, DIGITS], ids=["mixed", "digits"])
def test_the_c_compiler_reads_the_numbers_of_the_json(registers: RegisterMap, tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler on this machine")
    content, prefix = json.loads(as_json(registers)), registers.name.upper()
    expected = {f"{prefix}_BYTES": content["bytes"]}
    for register in content["registers"]:
        word = f"{prefix}_{register['name'].upper()}"
        expected |= {f"{word}_OFFSET": register["address"], f"{word}_RESET": register["reset"]}
        for field in register["fields"]:
            name = f"{word}_{field['name'].upper()}"
            expected |= {f"{name}_SHIFT": field["shift"], f"{name}_MASK": (2 ** field["bits"] - 1) << field["shift"]}
    (tmp_path / "registers.h").write_text(c_header(registers))
    lines = [f'    printf("{name} %lu\\n", (unsigned long)({name}));' for name in expected]
    source = '#include <stdio.h>\n#include "registers.h"\n#include "registers.h"\nint main(void) {\n'
    (tmp_path / "print.c").write_text(source + "\n".join(lines) + "\n    return 0;\n}\n")
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    subprocess.run([compiler, *flags, "print.c", "-o", "print"], cwd=tmp_path, check=True)
    printed = subprocess.run([tmp_path / "print"], capture_output=True, text=True, check=True).stdout
    assert {name: int(number) for name, number in map(str.split, printed.splitlines())} == expected
    defined = set(re.findall(r"#define (\w+) ", c_header(registers)))
    assert defined == set(expected), "macros that the JSON does not know, or the other way round"


F = Field("f", 1, "rw", 0, "F.")
WRONG: list[tuple[str, Any]] = [
    ("field 'F'", lambda: Field("F", 1, "rw", 0, "F.")),
    ("field 'if'", lambda: Field("if", 1, "rw", 0, "F.")),
    ("bits 0", lambda: Field("f", 0, "rw", 0, "F.")),
    ("bits 33", lambda: Field("f", 33, "rw", 0, "F.")),
    ("access 'wo'", lambda: Field("f", 1, "wo", 0, "F.")),  # type: ignore[arg-type]
    ("reset 4: expected 0 .. 3", lambda: Field("f", 2, "rw", 4, "F.")),
    ("one line", lambda: Field("f", 2, "rw", 0, "A.\nB.")),
    ("comment marks", lambda: Field("f", 2, "rw", 0, "A */ int x;")),
    ("33 bits", lambda: Register("r", (F, Field("g", 32, "rw", 0, "G.")), "R.")),
    ("different names", lambda: Register("r", (F, F), "R.")),
    ("at least one", lambda: Register("r", (), "R.")),
    ("different names", lambda: RegisterMap("m", (Register("r", (F,), "R."), Register("r", (F,), "R.")))),
    (
        "'a_b_c'",
        lambda: RegisterMap(
            "m",
            (
                Register("a", (Field("b_c", 1, "rw", 0, "F."),), "R."),
                Register("a_b", (Field("c", 1, "rw", 0, "F."),), "R."),
            ),
        ),
    ),
    ("address_bits 3: expected enough for 16 bytes", lambda: RegisterFile(MIXED, 3)),
    ("register 'fifth'", lambda: MIXED.address("fifth")),
]


@pytest.mark.parametrize(("message", "make"), WRONG, ids=[message for message, _ in WRONG])
def test_what_does_not_fit_is_refused_by_name(message: str, make: Any) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()
