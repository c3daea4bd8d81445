"""One row of a matrix and one beat of its columns: products of states of two phases, added up over positions."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from hw.delay import delayed, recalled
from hw.tables import Tables, address
from hw.walk import Walk


class ContrastSum(Component):
    """values[lane] <- sum over positions of x+ y+[lane] - x- y-[lane].

    Golden model: ``mapping.arithmetic.contrast``. At every position words of the states' memory are read in four
    clocks: x, captured x, y, captured y. Stages behind an address: the memory's (two), the word, factors (two:
    multipliers of an FPGA lie far apart), products (one multiplier a lane), the same with their sign, sums. Busy for
    4 positions + 8 clocks.

    Members:
        begin: start from 0 with what the next clock shows; all inputs are held until the end.
        row: of the table of contrasts. of_row, of_column: beats; lane: of the row in its beat.
        minus: the present states are those of the phase of -beta.
        state_address, state_data: port of the states' memory, two clocks from address to data.
        busy: from the clock after begin until the values are right.
        values: the sums, held until the next begin.
    """

    def __init__(self, tables: Tables) -> None:
        c = self._config = tables.config
        super().__init__(
            {
                "begin": In(1),
                "row": In(tables.contrasts),
                "of_row": In(tables.sense),
                "of_column": In(tables.sense),
                "lane": In(range(c.lanes)),
                "minus": In(1),
                "state_address": Out(address(c.state_words)),
                "state_data": In(data.ArrayLayout(c.state_bits, c.lanes)),
                "busy": Out(1),
                "values": Out(data.ArrayLayout(signed(c.gradient_bits), c.lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row, x_at, y_at = self.row, *(Signal.like(self.state_address, reset_less=True) for _ in range(2))
        m.submodules.pre = pre = Walk(row.pre.shape(), len(row.rows))
        m.submodules.post = post = Walk(row.post.shape(), len(row.rows))
        placing, asking, inside, is_last = (Signal() for _ in range(4))
        captured, of_post = Signal(), Signal()

        # Places of a position are worked out while the one before is read.
        m.d.sync += placing.eq(self.begin)
        with m.If(placing | (asking & captured & of_post)):
            m.d.sync += [
                asking.eq(placing | ~is_last),
                x_at.eq(pre.address + self.of_row.offset),
                y_at.eq(post.address + self.of_column.offset),
                inside.eq(pre.sees(self.of_row.down, self.of_row.across)),
                is_last.eq(pre.is_last),
            ]
        with m.If(placing):
            m.d.sync += [captured.eq(0), of_post.eq(0)]
        with m.If(asking):
            m.d.sync += Cat(captured, of_post).eq(Cat(captured, of_post) + 1)
        advance = delayed(m, asking & ~captured & ~of_post, 1)
        for walk, of in ((pre, row.pre), (post, row.post)):
            m.d.comb += [
                walk.walk.eq(of),
                walk.rows.eq(row.rows),
                walk.columns.eq(row.columns),
                walk.begin.eq(self.begin),
                walk.advance.eq(advance),
            ]
        copy = Mux(of_post, row.post_captured, row.pre_captured)
        m.d.comb += self.state_address.eq(Mux(of_post, y_at, x_at) + Mux(captured, copy, 0))

        # The word came: x waits for its y.
        word = recalled(m, self.state_data)
        come, is_captured, is_post = (delayed(m, each, 3) for each in (asking, captured, of_post))
        x = Signal(signed(self._config.state_bits + 1))
        present, other = (Signal.like(x, name=name, reset_less=True) for name in ("x0", "x1"))
        m.d.comb += x.eq(Mux(delayed(m, inside, 3), extended(word[self.lane], row.pre_signed), 0))
        with m.If(come & ~is_post & ~is_captured):
            m.d.sync += present.eq(x)
        with m.If(come & ~is_post & is_captured):
            m.d.sync += other.eq(x)

        # Factors, product, sum: of the phase of +beta added, of the other one taken away.
        factors = delayed(m, come & is_post, 1)
        multiplies, takes = delayed(m, factors, 1), delayed(m, is_captured ^ self.minus, 3)
        signs = delayed(m, multiplies, 1)
        adds = delayed(m, signs, 1)
        factor = delayed(m, Mux(is_captured, other, present), 1)
        for lane in range(self._config.lanes):
            # Multipliers lie far apart.
            own = Signal.like(x, name=f"factor_{lane}", reset_less=True, attrs={"keep": 1})
            m.d.sync += own.eq(factor)
            product = delayed(m, own * delayed(m, extended(word[lane], row.post_signed), 2), 1)
            summand = delayed(m, Mux(takes, -product, product), 1)
            value = Signal(self.values[lane].shape(), name=f"value_{lane}", reset_less=True)
            m.d.comb += self.values[lane].eq(value)
            with m.If(placing):
                m.d.sync += value.eq(0)
            with m.Elif(adds):
                m.d.sync += value.eq(value + summand)
        asked = delayed(m, asking, 1) | delayed(m, asking, 2)
        m.d.comb += self.busy.eq(placing | asking | asked | come | factors | multiplies | signs | adds)
        return m


def extended(state: Value, is_signed: Value) -> Value:
    """A state with one bit more, which is its sign if it has one."""
    return Cat(state, is_signed & state[-1]).as_signed()
