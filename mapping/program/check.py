"""Does a program hold together: every row number inside its table, every loop closed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from eqprop.errors import InputError
from mapping.program.instructions import Opcode
from mapping.program.tables import NONE, ROW_ORDERS, Program

# Fields that name one row of another table; those on the left of "?" may be NONE.
REFERENCES: dict[str, dict[str, str]] = {
    "layers": {
        "state": "buffers",
        "constant?": "buffers",
        "drive?": "buffers",
        "snapshot?": "buffers",
        "captured?": "buffers",
    },
    "couplings": {"pre": "layers", "post?": "layers", "sums?": "buffers", "maxima?": "buffers", "logits?": "buffers"},
    "matrices": {
        "coupling": "couplings",
        "forward_from": "buffers",
        "forward_to": "buffers",
        "transposed_from": "buffers",
        "transposed_to?": "buffers",
    },
}

# Fields that name the first of several rows, and how many.
GROUPS: dict[str, tuple[str, str, str]] = {
    "couplings": ("first_matrix", "matrices", "matrices"),
    "matrices": ("first_replica", "replicas", "replicas"),
    "replicas": ("first_tile", "tiles", "tiles"),
}


def check(program: Program) -> None:
    """Raise InputError for the first thing that does not hold together."""
    if program.state_bytes not in (1, 2, 4):
        raise InputError(f"program: states of {program.state_bytes} bytes: expected 1, 2 or 4")
    for name, layer in program.layers.items():
        if not layer.clip[0] < layer.clip[1]:
            raise InputError(f"program: layer {name}: clip range {layer.clip}: expected low < high")
    for name, matrix in program.matrices.items():
        if matrix.kind > 1 or matrix.row_order >= len(ROW_ORDERS):
            raise InputError(f"program: matrix {name}: kind {matrix.kind}, row order {matrix.row_order}: unknown")
    for name, buffer in program.buffers.items():
        if buffer.address + buffer.bytes > program.memory_bytes:
            raise InputError(f"program: buffer {name}: ends beyond the memory of {program.memory_bytes} bytes")
    check_rows(program)
    check_code(program)


def check_rows(program: Program) -> None:
    for table, references in REFERENCES.items():
        for number, row in enumerate(rows_of(program, table)):
            for spelled, other in references.items():
                value = getattr(row, spelled.rstrip("?"))
                if value >= len(getattr(program, other)) and not (spelled.endswith("?") and value == NONE):
                    raise InputError(
                        f"program: {table} row {number}: {spelled.rstrip('?')} {value}: "
                        f"expected a row of {len(getattr(program, other))} {other}"
                    )
    for table, (first, count, other) in GROUPS.items():
        for number, row in enumerate(rows_of(program, table)):
            if getattr(row, first) + getattr(row, count) > len(getattr(program, other)):
                raise InputError(f"program: {table} row {number}: more {other} than the {other} table has")


def rows_of(program: Program, table: str) -> Iterator[Any]:
    rows = getattr(program, table)
    return iter(rows.values() if isinstance(rows, dict) else rows)


def check_code(program: Program) -> None:
    depth = 0
    replicas = [matrix.replicas for matrix in program.matrices.values()]
    for number, one in enumerate(program.code):
        word = f"program: word {number}: {one.opcode.name}"
        table = one.operation.index
        if table and one.index >= len(getattr(program, table)):
            raise InputError(f"{word} of row {one.index}: expected a row of {len(getattr(program, table))} {table}")
        if one.opcode == Opcode.LOOP and one.number == 0:
            raise InputError(f"{word} of 0: expected a count >= 1")
        if one.opcode == Opcode.READ and one.number >= replicas[one.index]:
            raise InputError(f"{word} of replica {one.number}: expected less than {replicas[one.index]}")
        if one.opcode == Opcode.ANSWER and one.number >= len(program.couplings if one.flags else program.layers):
            raise InputError(f"{word} of row {one.number}: expected a row of its table")
        depth += (one.opcode == Opcode.LOOP) - (one.opcode == Opcode.END)
        if depth < 0:
            raise InputError(f"{word} without LOOP")
    if depth or not program.code or program.code[-1].opcode != Opcode.HALT:
        raise InputError("program: expected every LOOP closed and HALT as the last word")
    for name, section in program.sections.items():
        if section.first_word >= len(program.code):
            raise InputError(f"program: section {name}: word {section.first_word} of {len(program.code)}")
