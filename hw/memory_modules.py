"""Memories as Verilog modules of their own, for teams that put macros of their process in their place."""

from __future__ import annotations

from collections.abc import Iterable

from hw.tables import address

# A word read while it is written is unknown, as macros have it.
MODULE = """\
module {name} (
  input clk,
  input [{address}:0] read_address,
  input read_enable,
  output reg [{word}:0] read_data,
  input [{address}:0] write_address,
  input write_enable,
  input [{word}:0] write_data
);
  reg [{word}:0] words [0:{last}];
  always @(posedge clk) begin
    if (read_enable)
      read_data <= write_enable && write_address == read_address ? {bits}'bx : words[read_address];
    if (write_enable)
      words[write_address] <= write_data;
  end
endmodule
"""


def module_name(rows: int, bits: int) -> str:
    """Of the memory with so many words of so many bits."""
    return f"memory_{rows}x{bits}"


def memory_modules(shapes: Iterable[tuple[int, int]]) -> str:
    """A model of each (rows, bits), the smallest first: one port to read, one to write, both on the edge of ``clk``.

    ``read_data`` is of the address at the last edge with ``read_enable``, and unknown if that word was written then.
    No word has a value before it is written.
    """
    return "\n".join(
        MODULE.format(name=module_name(rows, bits), address=address(rows) - 1, word=bits - 1, last=rows - 1, bits=bits)
        for rows, bits in sorted(set(shapes))
    )
