"""The registers on paper, all from the same map: a Markdown table, a C header, JSON."""

from __future__ import annotations

import json
from typing import Any

from hw.registers import RegisterMap


def markdown(registers: RegisterMap) -> str:
    """A table with a row for every field."""
    lines = [
        "| address | register | field | bits | access | reset | meaning |",
        "|---|---|---|---|---|---|---|",
    ]
    for address, register in registers.placed():
        for number, (shift, field) in enumerate(register.placed()):
            bits = str(shift) if field.bits == 1 else f"{shift + field.bits - 1}:{shift}"
            doc = f"{register.doc} {field.doc}" if number == 0 else field.doc
            cells = (f"0x{address:03x}", register.name, field.name, bits, field.access, f"0x{field.reset:x}", doc)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def c_header(registers: RegisterMap) -> str:
    """Macros: MAP_BYTES; of a register MAP_REGISTER_OFFSET and _RESET; of a field MAP_REGISTER_FIELD_SHIFT and _MASK.

    Offsets are in bytes; masks are in place: ``(word & MASK) >> SHIFT`` is the field.
    """
    prefix = registers.name.upper()
    lines = [f"#ifndef {prefix}_REGISTERS_H", f"#define {prefix}_REGISTERS_H", ""]
    lines += [f"#define {prefix}_BYTES 0x{registers.bytes:03x}u"]
    for address, register in registers.placed():
        word = f"{prefix}_{register.name.upper()}"
        lines += ["", f"/* {register.doc} */"]
        lines += [f"#define {word}_OFFSET 0x{address:03x}u", f"#define {word}_RESET 0x{register.reset:08x}u"]
        for shift, field in register.placed():
            name = f"{word}_{field.name.upper()}"
            mask = (1 << field.bits) - 1 << shift
            lines += [f"/* {field.access}: {field.doc} */"]
            lines += [f"#define {name}_SHIFT {shift}u", f"#define {name}_MASK 0x{mask:08x}u"]
    return "\n".join([*lines, "", "#endif", ""])


def as_json(registers: RegisterMap) -> str:
    """Registers and fields with addresses (bytes), lowest bits, widths, access, resets and meanings."""
    content: dict[str, Any] = {
        "name": registers.name,
        "bytes": registers.bytes,
        "registers": [
            {
                "name": register.name,
                "address": address,
                "reset": register.reset,
                "doc": register.doc,
                "fields": [
                    {
                        "name": field.name,
                        "shift": shift,
                        "bits": field.bits,
                        "access": field.access,
                        "reset": field.reset,
                        "doc": field.doc,
                    }
                    for shift, field in register.placed()
                ],
            }
            for address, register in registers.placed()
        ],
    }
    return json.dumps(content, indent=2) + "\n"
