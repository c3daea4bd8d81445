"""Reads: fed, driven, converted and collected, each stage busy with another position or another read."""

from __future__ import annotations

from amaranth import Cat, Module, Signal, signed
from amaranth.lib import data, stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from hw.array_timer import TIMES as ARRAY_TIMES
from hw.array_timer import ArrayTimer
from hw.collector import Collector
from hw.feeder import Feeder
from hw.line_driver import LineDriver
from hw.tables import Tables, address

TIMES = (*ARRAY_TIMES, "average")
WRITES = ("write", "write_address", "write_data")


class Reader(Component):
    """Runs reads one after the other; of one read, and from read to read, the stages overlap:

        Feeder      a layer's states to codes in one of two banks
        LineDriver  codes to the DACs, for one turn of a position ahead of the arrays
        ArrayTimer  the arrays settle, integrate and convert
        Collector   codes of the turn before are fetched and added up

    Members:
        i: stream of rows of the reads' table; taken while what came before is still under way.
        busy: anything is.
        row, direction: of what is in the arrays.
        feed: stream of what the Feeder writes (row of the read, codes of ``lanes`` channels in the order of memory),
            for arrays with input buffers of their own and for observers. A tap: it does not wait for ready.
        drive, request, codes: streams to the DACs, and to and from the ADCs; see the blocks.
        apply, latch, stage, late, clipped: see the blocks.
        Times, timeout and average: see :class:`ArrayTimer` and :class:`Collector`.
        Ports of memories: reads, drive lists, sense lists, tiles (two), states, sums.
    """

    def __init__(self, tables: Tables) -> None:
        c = tables.config
        self._tables = tables
        self._feeder, self._driver = Feeder(tables), LineDriver(tables)
        self._timer, self._collector = ArrayTimer(), Collector(tables)
        feeder, driver, timer, collector = (
            part.signature.members for part in (self._feeder, self._driver, self._timer, self._collector)
        )
        dither = {name: feeder[name] for name in ("load", "seed", "number") if name in feeder}
        fed = data.StructLayout({"row": address(c.read_rows), "codes": data.ArrayLayout(signed(c.code_bits), c.lanes)})
        super().__init__(
            {
                "i": In(stream.Signature(address(c.read_rows))),
                "busy": Out(1),
                "row": Out(address(c.read_rows)),
                "direction": Out(1),
                "feed": Out(stream.Signature(fed)),
                "drive": driver["o"],
                "request": collector["o"],
                "codes": collector["codes"],
                **{name: timer[name] for name in TIMES},
                **{name: timer[name] for name in ("apply", "latch", "stage")},
                **{name: collector[name] for name in ("timeout", "late", "clipped")},
                "reads_address": Out(address(c.read_rows)),
                "reads_enable": Out(1),
                "reads_data": In(tables.reads),
                **{name: feeder[name] for name in ("state_address", "state_data")},
                "bus_address": feeder["sum_address"],
                "bus_data": feeder["sum_data"],
                **{name: collector[name] for name in ("sum_address", "sum_data")},
                **{f"sum_{name}": collector[name] for name in WRITES},
                **{f"drive_{name}": driver[name] for name in driver if name[:4] in ("list", "tile")},
                **{f"sense_{name}": collector[name] for name in collector if name[:4] in ("list", "tile")},
                **dither,
            }
        )
        self._dither = tuple(dither)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        c = self._tables.config
        m.submodules.feeder = feeder = self._feeder
        m.submodules.driver = driver = self._driver
        m.submodules.timer = timer = self._timer
        m.submodules.collector = collector = self._collector

        # The row of a read: asked for, then offered to the feeder.
        asked, known, number = Signal(), Signal(), Signal.like(self.row)
        fed, driven = Signal.like(self.row), Signal.like(self.row)
        m.d.comb += [
            self.i.ready.eq(~asked & ~known),
            self.reads_address.eq(self.i.payload),
            self.reads_enable.eq(self.i.ready),
            feeder.i.valid.eq(known | asked),
            feeder.i.payload.eq(self.reads_data),
        ]
        m.d.sync += asked.eq(self.i.valid & self.i.ready)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += number.eq(self.i.payload)
        with m.If(feeder.i.valid):
            m.d.sync += known.eq(~feeder.i.ready)
        with m.If(feeder.i.valid & feeder.i.ready):
            m.d.sync += fed.eq(number)
        with m.If(driver.i.valid & driver.i.ready):
            m.d.sync += driven.eq(fed)

        # Two banks of codes between feeder and driver.
        parts, width = c.drive_lanes // c.lanes, c.code_bits * c.lanes
        rows = 2 << address(c.code_words)
        m.submodules.codes = codes = Memory(shape=width * parts, depth=rows, init=(), attrs={"no_rw_check": 1})
        writing, reading = codes.write_port(granularity=width), codes.read_port(domain="comb")
        word = Signal(width * parts, reset_less=True)  # becomes the memory's own register
        with m.If(driver.code_enable):
            m.d.sync += word.eq(reading.data)
        m.d.comb += [
            writing.addr.eq(Cat(feeder.write_word, feeder.write_bank)),
            writing.data.eq(feeder.codes.as_value().replicate(parts)),
            writing.en.eq(feeder.write << feeder.write_part),
            reading.addr.eq(driver.code_address),
            driver.code_data.eq(word),
            driver.bank.eq(feeder.bank),
            self.feed.valid.eq(feeder.write),
            self.feed.p.row.eq(fed),
            self.feed.p.codes.eq(feeder.codes),
        ]
        connect(m, feeder.o, driver.i)

        # A read goes on to the collector when its first turn is applied.
        pending, next_row = Signal(), Signal(self._tables.reads, reset_less=True)
        m.d.comb += [
            collector.i.valid.eq(pending),
            collector.i.payload.eq(next_row),
            timer.loaded.eq(driver.loaded),
            timer.transposed.eq(driver.row.transposed),
            timer.conversions.eq(driver.row.conversions),
            timer.may_latch.eq(collector.may_latch),
            driver.applied.eq(timer.apply),
            collector.latch.eq(timer.latch),
            collector.average.eq(self.average),
            collector.timeout.eq(self.timeout),
            *(getattr(timer, name).eq(getattr(self, name)) for name in TIMES),
        ]
        with m.If(pending & collector.i.ready):
            m.d.sync += pending.eq(0)
        with m.If(timer.apply):
            m.d.sync += self.row.eq(driven)
            with m.If(driver.is_first):
                m.d.sync += [pending.eq(1), next_row.eq(driver.row)]

        connect(m, driver.o, flipped(self.drive))
        connect(m, collector.o, flipped(self.request))
        connect(m, flipped(self.codes), collector.codes)
        m.d.comb += [
            self.apply.eq(timer.apply),
            self.latch.eq(timer.latch),
            self.stage.eq(timer.stage),
            self.direction.eq(timer.is_transposed),
            self.late.eq(collector.late),
            self.clipped.eq(collector.clipped),
            self.busy.eq(~self.i.ready | ~feeder.i.ready | ~driver.i.ready | timer.busy | pending | collector.busy),
            self.state_address.eq(feeder.state_address),
            feeder.state_data.eq(self.state_data),
            self.bus_address.eq(feeder.sum_address),
            feeder.sum_data.eq(self.bus_data),
            self.sum_address.eq(collector.sum_address),
            collector.sum_data.eq(self.sum_data),
            *(getattr(self, f"sum_{name}").eq(getattr(collector, name)) for name in WRITES),
        ]
        for prefix, block in (("drive", driver), ("sense", collector)):
            for table in ("list", "tile"):
                m.d.comb += [
                    getattr(self, f"{prefix}_{table}_address").eq(getattr(block, f"{table}_address")),
                    getattr(block, f"{table}_data").eq(getattr(self, f"{prefix}_{table}_data")),
                ]
        if self._dither:
            m.d.comb += [feeder.load.eq(self.load), feeder.seed.eq(self.seed), self.number.eq(feeder.number)]
        return m
