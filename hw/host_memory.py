"""Memory that the controller works with and a host fills."""

from __future__ import annotations

from amaranth import Cat, ClockSignal, Const, Instance, Module, Mux, Signal, Value
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out, Signature

from hw.delay import delayed, recalled
from hw.memory_modules import module_name
from hw.tables import address

HOST_BITS = 32
BLOCK_BITS = 1 << 14  # of a block memory of ECP5, whatever its width


class HostMemory(Component):
    """``rows`` words of ``bits`` with one read and one write port, both shared with a host's 32-bit bus.

    A row is columns of 32 bits, the lowest first, each in block memories of its own: so narrow that a block holds all
    rows, and nothing has to choose between blocks behind them. On the host's side a row takes as
    many columns as the next power of two. Columns beyond the row and rows beyond the memory read 0 and change nothing.

    Args:
        outside: whether a column's words lie in an instance of a module of :mod:`hw.memory_modules` instead.

    Attributes:
        columns: of a row.
        modules: rows and bits of each column's module, if words lie outside.

    Members:
        read_address, read_enable, read_data: the data is of the address of the clock before, held while not enabled.
        write_enable, write_address, write_data: a word changes at the end of the clock.
        engine_busy: the ports above are in use; else they are the host's. What a read gives in the clock of a write to
            its word may be anything.
        host: address (in 32-bit words: row * padded columns + column), enable, write, write_data. A word changes at the
            end of the next clock, for which address and data are held, unless the memory is busy by then.
        host_read_data: of the address three clocks before; 0 where ``enable`` was low, or the memory busy.

    Raises:
        ValueError: for fewer than one bit or row.
    """

    def __init__(self, bits: int, rows: int, outside: bool = False) -> None:
        if bits < 1 or rows < 1:
            raise ValueError(f"memory of {rows} rows of {bits} bits: expected at least one of each")
        self._bits, self._rows = bits, rows
        self.columns = -(-bits // HOST_BITS)
        widths = [min(HOST_BITS, bits - number * HOST_BITS) for number in range(self.columns)]
        self.modules = [(rows, width) for width in widths] if outside else []
        self._column_bits = (self.columns - 1).bit_length()
        row_bits = address(rows)
        self._block_width = min(HOST_BITS, max(1, BLOCK_BITS >> row_bits))
        host = {
            "address": Out(row_bits + self._column_bits),
            "enable": Out(1),
            "write": Out(1),
            "write_data": Out(HOST_BITS),
        }
        super().__init__(
            {
                "read_address": In(row_bits),
                "read_enable": In(1),
                "read_data": Out(bits),
                "write_enable": In(1),
                "write_address": In(row_bits),
                "write_data": In(bits),
                "engine_busy": In(1),
                "host": In(Signature(host)),
                "host_read_data": Out(HOST_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        host_row = self.host.address[self._column_bits :]
        host_column = self.host.address[: self._column_bits] if self._column_bits else 0
        inside = Signal()
        m.d.comb += inside.eq(self.host.enable & ~self.engine_busy & (host_row < self._rows))
        parts = []
        for number in range(self.columns):
            low, high = number * HOST_BITS, min(self._bits, (number + 1) * HOST_BITS)
            part = Signal(high - low, name=f"part_{number}", reset_less=True)  # becomes the memory's own register
            here = inside & (host_column == number)
            writes = delayed(m, here & self.host.write, 1)  # whose address it is takes a clock to find out
            given = Mux(self.engine_busy, self.write_data[low:high], self.host.write_data)
            ports = {
                "read_address": Mux(self.engine_busy, self.read_address, host_row),
                "read_enable": ~self.engine_busy | self.read_enable,
                "write_address": Mux(self.engine_busy, self.write_address, host_row),
                "write_enable": Mux(self.engine_busy, self.write_enable, writes),
                "write_data": given,
            }
            if self.modules:
                module = {f"i_{name}": value for name, value in (ports | {"write_data": given[: len(part)]}).items()}
                m.submodules[f"words_{number}"] = Instance(
                    module_name(*self.modules[number]), i_clk=ClockSignal(), o_read_data=part, **module
                )
            else:
                self._blocks(m, number, part, ports)
            others = Signal(init=1)  # a register that says so: synthesis makes the answer's reset of it
            m.d.sync += others.eq(~delayed(m, here, 1))
            parts.append((part, others))
        m.d.comb += self.read_data.eq(Cat(*(part for part, _ in parts)))
        answer: Value = Const(0)
        for part, others in parts:
            answer = Mux(others, 0, recalled(m, part)) | answer
        m.d.comb += self.host_read_data.eq(delayed(m, answer, 1))
        return m

    def _blocks(self, m: Module, column: int, part: Signal, ports: dict[str, Value]) -> None:
        """The words of a column in block memories; ``part`` is what was read."""
        for first in range(0, len(part), self._block_width):
            bits = slice(first, min(first + self._block_width, len(part)))
            # Nobody minds what a read gives in the clock of a write to its word: synthesis need not compare.
            block = Memory(shape=bits.stop - first, depth=self._rows, init=[], attrs={"no_rw_check": 1})
            m.submodules[f"block_{column}_{first}"] = block
            reading, writing = block.read_port(domain="comb"), block.write_port()
            with m.If(ports["read_enable"]):
                m.d.sync += part[bits].eq(reading.data)
            m.d.comb += [
                reading.addr.eq(ports["read_address"]),
                writing.addr.eq(ports["write_address"]),
                writing.data.eq(ports["write_data"][bits]),
                writing.en.eq(ports["write_enable"]),
            ]
