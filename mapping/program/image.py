"""A program as bytes: what the controller loads.

Everything is little-endian. The file is

    header    8 bytes "EPSTEP\\0\\0", then 32-bit numbers: version, memory_bytes, state_bytes, the number of rows of
              buffers, layers, couplings, matrices, replicas, tiles and sections, the bytes of all names, and the words
              of code
    tables    the rows of each, in that order; a row holds its fields in the order of mapping/program/tables.py, each
              whole number 32 bits and each float 64 bits (a layer's clip range)
    names     of buffers, layers, couplings, matrices and sections: for each 16 bits with its bytes of UTF-8, then them;
              zeros up to a multiple of 8 bytes from the start of the file
    code      64-bit words, see mapping/program/instructions.py
    SHA-256   of everything before it
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any, TypeVar, get_type_hints

from eqprop.errors import InputError
from mapping.lowering import Span
from mapping.program.check import check
from mapping.program.instructions import MOST_NUMBER, Instruction
from mapping.program.tables import (
    BufferRow,
    CouplingRow,
    LayerRow,
    MatrixRow,
    Program,
    ReplicaRow,
    SectionRow,
    Shape,
    TileRow,
)

MAGIC = b"EPSTEP\0\0"
VERSION = 1
HEADER = struct.Struct("<8s12I")
HASH_BYTES = 32
ALIGNMENT = 8

# The tables in the order of the file, and whether their rows have names.
TABLES: tuple[tuple[str, type[Any], bool], ...] = (
    ("buffers", BufferRow, True),
    ("layers", LayerRow, True),
    ("couplings", CouplingRow, True),
    ("matrices", MatrixRow, True),
    ("replicas", ReplicaRow, False),
    ("tiles", TileRow, False),
    ("sections", SectionRow, True),
)

FORMATS: dict[Any, str] = {int: "I", Span: "2I", Shape: "3I", tuple[float, float]: "2d"}

Row = TypeVar("Row")


def layout(row: type[Any]) -> tuple[tuple[str, str], ...]:
    """Fields of a row and their ``struct`` formats, in the order of the file."""
    hints = get_type_hints(row)
    return tuple((field.name, FORMATS[hints[field.name]]) for field in fields(row))


LAYOUTS = {row: layout(row) for _, row, _ in TABLES}
STRUCTS = {row: struct.Struct("<" + "".join(form for _, form in entries)) for row, entries in LAYOUTS.items()}


def to_bytes(program: Program) -> bytes:
    """The image of a program.

    Raises:
        ValueError: if a number does not fit its field.
    """
    tables = [getattr(program, name) for name, _, _ in TABLES]
    names = b"".join(packed_name(name) for (_, _, named), rows in zip(TABLES, tables, strict=True) if named
                     for name in rows)  # fmt: skip
    counts = (*map(len, tables), len(names), len(program.code))
    try:
        parts = [HEADER.pack(MAGIC, VERSION, program.memory_bytes, program.state_bytes, *counts)]
        for (_, row, named), rows in zip(TABLES, tables, strict=True):
            parts += [STRUCTS[row].pack(*flat(one)) for one in (rows.values() if named else rows)]
    except struct.error as error:
        raise ValueError(f"program: {error}: expected numbers of at most {MOST_NUMBER}") from error
    body = b"".join(parts) + names
    body += bytes(-len(body) % ALIGNMENT) + struct.pack(f"<{len(program.code)}Q", *(one.word for one in program.code))
    return body + hashlib.sha256(body).digest()


def from_bytes(image: bytes) -> Program:
    """The program of an image.

    Raises:
        InputError: for anything :func:`to_bytes` does not write: another file, one cut short or with a byte changed, an
            unknown opcode, a row number beyond its table, loops that do not close.
    """
    if image[: len(MAGIC)] != MAGIC:
        raise InputError(f"program: begins with {image[: len(MAGIC)]!r}: expected {MAGIC!r}")
    if len(image) < HEADER.size + HASH_BYTES:
        raise InputError(f"program: {len(image)} bytes: expected at least {HEADER.size + HASH_BYTES}")
    body, seal = image[:-HASH_BYTES], image[-HASH_BYTES:]
    if hashlib.sha256(body).digest() != seal:
        raise InputError("program: cut short or changed (its last 32 bytes are not the SHA-256 of the rest)")
    _, version, memory_bytes, state_bytes, *counts, names_bytes, words = HEADER.unpack_from(body)
    if version != VERSION:
        raise InputError(f"program: version {version}: expected {VERSION}")
    sizes = [count * STRUCTS[row].size for count, (_, row, _) in zip(counts, TABLES, strict=True)]
    before_code = HEADER.size + sum(sizes) + names_bytes
    padding = -before_code % ALIGNMENT
    before_code += padding
    if len(body) != before_code + 8 * words:
        raise InputError(f"program: {len(body)} bytes before the hash: expected {before_code + 8 * words}")
    if any(body[before_code - padding : before_code]):
        raise InputError("program: expected zeros between names and code")
    named_rows = sum(count for count, (_, _, named) in zip(counts, TABLES, strict=True) if named)
    names = iter(read_names(body[HEADER.size + sum(sizes) :][:names_bytes], named_rows))
    tables: dict[str, Any] = {}
    start = HEADER.size
    for (table, row, named), count, size in zip(TABLES, counts, sizes, strict=True):
        rows = [nested(row, values) for values in STRUCTS[row].iter_unpack(body[start : start + size])]
        tables[table] = dict(zip((next(names) for _ in rows), rows, strict=True)) if named else tuple(rows)
        if len(tables[table]) != count:
            raise InputError(f"program: two {table} share a name")
        start += size
    code = tuple(Instruction.of_word(word) for (word,) in struct.iter_unpack("<Q", body[before_code:]))
    program = Program(memory_bytes, state_bytes, **tables, code=code)
    check(program)
    return program


def packed_name(name: str) -> bytes:
    encoded = name.encode()
    return struct.pack("<H", len(encoded)) + encoded


def read_names(packed: bytes, count: int) -> list[str]:
    names, start = [], 0
    try:
        for _ in range(count):
            (length,) = struct.unpack_from("<H", packed, start)
            names.append(packed[start + 2 : start + 2 + length].decode())
            start += 2 + length
    except (struct.error, UnicodeDecodeError) as error:
        raise InputError(f"program: names: {error}") from error
    if start != len(packed):
        raise InputError(f"program: {len(packed)} bytes of names: expected {start}")
    return names


def flat(row: Any) -> Iterable[float]:
    """The numbers of a row in the order of the file."""
    for name, _ in LAYOUTS[type(row)]:
        value = getattr(row, name)
        if isinstance(value, tuple):
            yield from value
        else:
            yield value


def nested(row: type[Row], values: Sequence[Any]) -> Row:
    """The row of its numbers."""
    left = list(values)
    arguments: list[Any] = []
    for _, form in LAYOUTS[row]:
        width = int(form[:-1] or 1)
        arguments.append(left[0] if width == 1 else tuple(left[:width]))
        del left[:width]
    return row(*arguments)
