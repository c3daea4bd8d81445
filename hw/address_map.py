"""Addresses on the bus: registers first, then a window for each memory."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hw.host_memory import HOST_BITS
from hw.register_docs import as_json, c_header, markdown
from hw.registers import WORD_BYTES, RegisterMap, check_doc, check_name


@dataclass(frozen=True)
class Window:
    """A memory on the bus.

    Attributes:
        rows, bits: of the memory.
        doc: one line.

    Raises:
        ValueError: for a name or a doc that documents cannot hold, fewer than one row or bit.
    """

    name: str
    rows: int
    bits: int
    doc: str

    def __post_init__(self) -> None:
        check_name("window", self.name)
        check_doc(f"window {self.name}", self.doc)
        if self.rows < 1 or self.bits < 1:
            raise ValueError(f"window {self.name}: {self.rows} rows of {self.bits} bits: expected at least one of each")

    @property
    def row_bytes(self) -> int:
        """Of a row on the bus: a power of two."""
        return WORD_BYTES << (-(-self.bits // HOST_BITS) - 1).bit_length()

    @property
    def size(self) -> int:
        """Bytes: a power of two."""
        return 1 << (self.row_bytes * self.rows - 1).bit_length()


@dataclass(frozen=True)
class AddressMap:
    """Registers at 0; behind them the windows, the smallest first, each at a multiple of its size.

    So the bits of an address above a window's size tell whether it is in the window. Documents keep the given order.

    Raises:
        ValueError: for two windows of one name.
    """

    registers: RegisterMap
    windows: tuple[Window, ...]

    def __post_init__(self) -> None:
        names = [window.name for window in self.windows]
        if len(set(names)) != len(names):
            raise ValueError(f"windows {names}: expected different names")

    @property
    def registers_bytes(self) -> int:
        """Addresses of registers, up to the next power of two."""
        return 1 << (self.registers.bytes - 1).bit_length()

    def placed(self) -> dict[str, int]:
        """Base address of each window."""
        found: dict[str, int] = {}
        end = self.registers_bytes
        for window in sorted(self.windows, key=lambda one: one.size):
            found[window.name] = -(-end // window.size) * window.size
            end = found[window.name] + window.size
        return {window.name: found[window.name] for window in self.windows}

    def window(self, name: str) -> Window:
        """The window of a name.

        Raises:
            ValueError: if there is none.
        """
        for window in self.windows:
            if window.name == name:
                return window
        raise ValueError(f"window {name!r}: expected one of {[window.name for window in self.windows]}")

    def base(self, name: str) -> int:
        """Byte address of a window."""
        self.window(name)
        return self.placed()[name]

    def size(self, name: str) -> int:
        """Bytes of a window."""
        return self.window(name).size

    @property
    def address_bits(self) -> int:
        """Of every byte address."""
        end = max([self.registers_bytes, *(self.base(window.name) + window.size for window in self.windows)])
        return (end - 1).bit_length()

    def markdown(self) -> str:
        """Registers, then windows, as tables."""
        lines = ["", "| base | memory | rows | bits | bytes a row | meaning |", "|---|---|---|---|---|---|"]
        lines += [
            f"| 0x{self.base(w.name):06x} | {w.name} | {w.rows} | {w.bits} | {w.row_bytes} | {w.doc} |"
            for w in self.windows
        ]
        return markdown(self.registers) + "\n".join(lines) + "\n"

    def c_header(self) -> str:
        """Macros of the registers, and MAP_WINDOW_BASE, _ROWS and _ROW_BYTES of each window."""
        prefix = self.registers.name.upper()
        lines = []
        for window in self.windows:
            word = f"{prefix}_{window.name.upper()}"
            lines += [
                f"/* {window.doc} */",
                f"#define {word}_BASE 0x{self.base(window.name):06x}u",
                f"#define {word}_ROWS {window.rows}u",
                f"#define {word}_ROW_BYTES {window.row_bytes}u",
            ]
        before, _, end = c_header(self.registers).rpartition("#endif")
        return before + "\n".join(lines) + "\n\n#endif" + end

    def as_json(self) -> str:
        """As :func:`hw.register_docs.as_json`, with windows."""
        content: dict[str, Any] = json.loads(as_json(self.registers))
        content["windows"] = [
            {
                "name": window.name,
                "base": self.base(window.name),
                "rows": window.rows,
                "bits": window.bits,
                "row_bytes": window.row_bytes,
                "doc": window.doc,
            }
            for window in self.windows
        ]
        return json.dumps(content, indent=2) + "\n"
