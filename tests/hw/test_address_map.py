"""Truth: every address of small maps, one by one; and, for the header, the system's C compiler."""

import json
import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hw.address_map import AddressMap, Window
from hw.config import ControllerConfig
from hw.register_map import controller_registers
from hw.registers import Field, Register, RegisterMap

REGISTERS = RegisterMap(
    "small", tuple(Register(f"r{n}", (Field("f", 1, "rw", 0, "A bit."),), "One.") for n in range(5))
)


def some_windows(seed: int) -> tuple[Window, ...]:
    draw = random.Random(seed)
    return tuple(
        Window(f"w{n}", draw.randrange(1, 40), draw.choice([1, 31, 32, 33, 64, 65, 200]), f"Window {n}.")
        for n in range(draw.randrange(1, 7))
    )


MAPS = [AddressMap(REGISTERS, some_windows(seed)) for seed in range(12)]
DIGITS = AddressMap(
    controller_registers(ControllerConfig.preset("digits")),
    (Window("program", 100, 64, "Words."), Window("states", 3000, 176, "States."), Window("tiles", 7, 20, "Tiles.")),
)


@pytest.mark.parametrize("given", [*MAPS, DIGITS])
def test_every_address_is_at_most_one_thing_s_and_upper_bits_tell_whose(given: AddressMap) -> None:
    owners: dict[int, str] = dict.fromkeys(range(0, given.registers.bytes, 4), "registers")
    for window in given.windows:
        base, size = given.base(window.name), given.size(window.name)
        assert size & size - 1 == 0
        assert base % size == 0
        assert base >= given.registers_bytes
        for address in range(base, base + window.rows * window.row_bytes, 4):
            assert owners.setdefault(address, window.name) == window.name
    for address in range(0, 1 << given.address_bits, 4):
        decoded = ["registers"] if address < given.registers_bytes else []
        decoded += [w.name for w in given.windows if address // given.size(w.name) == given.placed()[w.name] // w.size]
        assert len(decoded) <= 1
        assert owners.get(address) in (*decoded, None)
    assert max(owners) < 1 << given.address_bits <= 4 * (max(owners) + 4)


@pytest.mark.parametrize(
    ("rows", "bits", "row_bytes", "size"),
    [(1, 1, 4, 4), (5, 32, 4, 32), (4, 33, 8, 32), (3, 65, 16, 64), (3, 128, 16, 64), (2, 129, 32, 64)],
)
def test_rows_and_windows_take_powers_of_two(rows: int, bits: int, row_bytes: int, size: int) -> None:
    window = Window("w", rows, bits, "W.")
    assert (window.row_bytes, window.size) == (row_bytes, size)


def test_windows_are_placed_smallest_first_whatever_their_order() -> None:
    windows = (Window("large", 64, 32, "L."), Window("small", 2, 32, "S."), Window("middle", 8, 32, "M."))
    given = AddressMap(REGISTERS, windows)
    assert given.registers_bytes == 32
    assert given.placed() == {"large": 256, "small": 32, "middle": 64}
    assert given.address_bits == 9
    assert AddressMap(REGISTERS, windows[::-1]).placed() == given.placed()


@pytest.mark.parametrize("given", [MAPS[3], DIGITS])
def test_documents_list_every_window_with_its_place(given: AddressMap) -> None:
    listed = json.loads(given.as_json())["windows"]
    assert [one["name"] for one in listed] == [window.name for window in given.windows]
    for one, window in zip(listed, given.windows, strict=True):
        assert (one["base"], one["rows"], one["bits"]) == (given.base(window.name), window.rows, window.bits)
        assert (one["row_bytes"], one["doc"]) == (window.row_bytes, window.doc)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in given.markdown().split("\n\n")[1].splitlines()]
    assert len(rows[0]) == 6
    assert [(int(row[0], 16), row[1], *map(int, row[2:5]), row[5]) for row in rows[2:]] == [
        (one["base"], one["name"], one["rows"], one["bits"], one["row_bytes"], one["doc"]) for one in listed
    ]


@pytest.mark.parametrize("given", [MAPS[3], DIGITS])
def test_the_c_compiler_reads_the_numbers_of_the_json(given: AddressMap, tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler on this machine")
    prefix, expected = given.registers.name.upper(), {}
    for one in json.loads(given.as_json())["windows"]:
        word = f"{prefix}_{one['name'].upper()}"
        expected |= {f"{word}_BASE": one["base"], f"{word}_ROWS": one["rows"], f"{word}_ROW_BYTES": one["row_bytes"]}
    (tmp_path / "map.h").write_text(given.c_header())
    lines = [f'    printf("{name} %lu\\n", (unsigned long)({name}));' for name in expected]
    source = '#include <stdio.h>\n#include "map.h"\n#include "map.h"\nint main(void) {\n'
    (tmp_path / "print.c").write_text(source + "\n".join(lines) + "\n    return 0;\n}\n")
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    subprocess.run([compiler, *flags, "print.c", "-o", "print"], cwd=tmp_path, check=True)
    printed = subprocess.run([tmp_path / "print"], capture_output=True, text=True, check=True).stdout
    assert {name: int(number) for name, number in map(str.split, printed.splitlines())} == expected


W = Window("w", 1, 1, "W.")
WRONG: list[tuple[str, Any]] = [
    ("window 'W'", lambda: Window("W", 1, 1, "W.")),
    ("window w: doc 'A\\nB': expected one line", lambda: Window("w", 1, 1, "A\nB")),
    ("window w: 0 rows of 1 bits: expected at least one of each", lambda: Window("w", 0, 1, "W.")),
    ("window w: 1 rows of 0 bits: expected at least one of each", lambda: Window("w", 1, 0, "W.")),
    ("windows ['w', 'w']: expected different names", lambda: AddressMap(REGISTERS, (W, W))),
    ("window 'v': expected one of ['w']", lambda: AddressMap(REGISTERS, (W,)).base("v")),
    ("window 'v': expected one of ['w']", lambda: AddressMap(REGISTERS, (W,)).size("v")),
]


@pytest.mark.parametrize(("message", "make"), WRONG)
def test_what_does_not_fit_is_refused_by_name(message: str, make: Any) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()
