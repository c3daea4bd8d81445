"""A window that moves over an image, position by position: its place, and the address of its first word."""

from __future__ import annotations

from amaranth import Module, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out


class Walk(Component):
    """Positions of a region, columns first; the address modulo its width.

    Parameters:
        layout: of one side's walk, ``Tables.walk``.
        count_bits: of the region's rows and columns.

    Members:
        walk: where the window begins, and its steps: of an image of height x width; held while it moves.
        rows, columns: of the region.
        begin: the next clock shows the first position.
        advance: the next clock shows the next position; after the last comes the first.
        top, left: place of the window, negative in the padding; see also :meth:`sees`.
        address: of the window's first word.
        is_last: whether this is the last position.
    """

    def __init__(self, layout: data.StructLayout, count_bits: int) -> None:
        fields = dict(layout)
        super().__init__(
            {
                "walk": In(layout),
                "rows": In(count_bits),
                "columns": In(count_bits),
                "begin": In(1),
                "advance": In(1),
                "top": Out(fields["top"].shape),
                "left": Out(fields["left"].shape),
                "address": Out(fields["base"].shape),
                "is_last": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        start = Signal.like(self.address)
        # Counted down, and compared a clock ahead: a comparison and an address's sum in one clock would be slow.
        rows_left, columns_left = Signal.like(self.rows), Signal.like(self.columns)
        end_of_row, end_of_rows = Signal(), Signal()
        m.d.comb += self.is_last.eq(end_of_row & end_of_rows)
        with m.If(self.begin | (self.advance & self.is_last)):
            m.d.sync += [
                rows_left.eq(self.rows),
                columns_left.eq(self.columns),
                end_of_rows.eq(self.rows == 1),
                end_of_row.eq(self.columns == 1),
                self.top.eq(self.walk.top),
                self.left.eq(self.walk.left),
                self.address.eq(self.walk.base),
                start.eq(self.walk.base),
            ]
        with m.Elif(self.advance & end_of_row):
            m.d.sync += [
                rows_left.eq(rows_left - 1),
                columns_left.eq(self.columns),
                end_of_rows.eq(rows_left == 2),
                end_of_row.eq(self.columns == 1),
                self.top.eq(self.top + self.walk.down),
                self.left.eq(self.walk.left),
                self.address.eq(start + self.walk.base_down),
                start.eq(start + self.walk.base_down),
            ]
        with m.Elif(self.advance):
            m.d.sync += [
                columns_left.eq(columns_left - 1),
                end_of_row.eq(columns_left == 2),
                self.left.eq(self.left + self.walk.across),
                self.address.eq(self.address + self.walk.base_across),
            ]
        return m

    def sees(self, down: Value, across: Value) -> Value:
        """Whether a place in the window lies in the image, or in its padding."""
        y, x = self.top + down, self.left + across
        return (y >= 0) & (y < self.walk.height) & (x >= 0) & (x < self.walk.width)
