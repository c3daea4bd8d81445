"""The contents of the controller's memories as numbers, and as the file that a host loads them from.

The file is little-endian: 8 bytes "EPIMAGE\\0", the configuration's hash (32 bits), the number of memories (32 bits);
for each memory its name (16 bytes, zeros behind), bits of a word and number of words (32 bits each); then the words of
all memories in that order, each in as many whole 32-bit numbers as it needs; at the end the SHA-256 of all before it.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import asdict
from typing import Any

from amaranth.lib import data

from hw.beats import Beat
from hw.link import Linked
from hw.tables import Tables, packed
from mapping.arithmetic import Scaling

MAGIC = b"EPIMAGE\0"
MEMORY = struct.Struct("<16sII")

# Fields of addresses that may be negative.
MODULO = ("base", "base_across", "base_down", "pre_captured", "post_captured")


def contents(linked: Linked, tables: Tables) -> dict[str, list[int]]:
    """Words of the memories that a host must fill, by name; constants begin with those that KEEP writes."""
    c = tables.config
    empty = [0] * (c.constant_words - len(linked.biases))
    return {
        "program": [word.word for word in linked.program],
        "reads": [packed(tables.reads, wrapped(tables.reads, row)) for row in linked.reads],
        "drive_list": [packed(tables.drive, beat_row(beat, c.line_bits)) for beat in linked.drive],
        "sense_list": [packed(tables.sense, beat_row(beat, c.line_bits)) for beat in linked.sense],
        "tiles": [packed(tables.tiles, row) for row in linked.tiles],
        "layer": [packed(tables.layers, row) for row in linked.layers],
        "source": [packed(tables.sources, row) for row in linked.sources],
        "contrasts": [packed(tables.contrasts, wrapped(tables.contrasts, row)) for row in linked.contrasts],
        "constant": empty + [lanes_word(word, c.constant_bits) for word in linked.biases],
    }  # fmt: skip


def beat_row(beat: Beat, line_bits: int) -> dict[str, int]:
    """A beat's fields; lines modulo the width of their field, since that of lane 0 may lie outside the tile."""
    row = {name: int(value) for name, value in asdict(beat).items()}
    return row | {name: row[name] & (1 << line_bits) - 1 for name in ("line", "stride")}


def wrapped(layout: data.StructLayout, row: dict[str, Any]) -> dict[str, Any]:
    """A row with its addresses modulo the width of their fields: windows begin in the padding, copies lie before."""
    fields, made = dict(layout), dict(row)
    for name, value in row.items():
        if isinstance(value, dict):
            made[name] = wrapped(fields[name].shape, value)
        elif name in MODULO:
            made[name] = value & (1 << fields[name].width) - 1
    return made


def with_trains(tables: Tables, row: dict[str, Any], rows: Scaling, columns: Scaling) -> int:
    """A row of contrasts as a word, with scalings from the codes of both sides to shares of a train of pulses."""
    sides = (("row_rule", rows), ("column_rule", columns))
    rules = {name: {"multiplier": scaling.multiplier, "shift": scaling.shift} for name, scaling in sides}
    return packed(tables.contrasts, wrapped(tables.contrasts, row | rules))


def lanes_word(values: tuple[int, ...], bits: int) -> int:
    """Numbers side by side, the first in the lowest bits."""
    return sum((value & (1 << bits) - 1) << bits * lane for lane, value in enumerate(values))


def lanes_of(word: int, lanes: int, bits: int, signed: bool) -> tuple[int, ...]:
    """The inverse of :func:`lanes_word`."""
    found = [word >> bits * lane & (1 << bits) - 1 for lane in range(lanes)]
    return tuple(value - (value >> bits - 1 << bits) if signed else value for value in found)


def to_bytes(linked: Linked, tables: Tables) -> bytes:
    """The file."""
    memories = contents(linked, tables)
    widths = word_bits(tables)
    parts = [MAGIC, struct.pack("<II", tables.config.hash, len(memories))]
    parts += [MEMORY.pack(name.encode(), widths[name], len(words)) for name, words in memories.items()]
    parts += [
        b"".join(word.to_bytes(4 * (-(-widths[name] // 32)), "little") for word in words)
        for name, words in memories.items()
    ]
    body = b"".join(parts)
    return body + hashlib.sha256(body).digest()


def word_bits(tables: Tables) -> dict[str, int]:
    """Bits of a word of each memory."""
    c = tables.config
    return {
        "program": 64,
        "reads": tables.reads.size,
        "drive_list": tables.drive.size,
        "sense_list": tables.sense.size,
        "tiles": tables.tiles.size,
        "layer": tables.layers.size,
        "source": tables.sources.size,
        "contrasts": tables.contrasts.size,
        "state": c.lanes * c.state_bits,
        "sum": c.lanes * c.accumulator_bits,
        "constant": c.lanes * c.constant_bits,
    }
