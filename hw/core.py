"""The controller without its bus and memories: sequencer, reader, updater and both contrast units, wired up."""

from __future__ import annotations

from typing import Any

from amaranth import DomainRenamer, Module, ResetSignal, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from hw.contrast import Contrast
from hw.delay import delayed
from hw.pulse_contrast import PULSER_PORTS, PulseContrast
from hw.reader import TIMES, Reader
from hw.sequencer import Sequencer
from hw.tables import Tables, address
from hw.updater import Updater

# To the arrays, from the reader.
ARRAY_PORTS = (
    "feed",
    "drive",
    "request",
    "codes",
    "row",
    "direction",
    "apply",
    "latch",
    "stage",
)
TRAIN_PORTS = tuple(name for name in PULSER_PORTS if name != "pulsing")
COMMANDS = ("start", "stop", "abort", "free_sweeps", "nudged_sweeps", "early_stop", "learn")
REPORTS = ("started", "stopped", "aborted", "state", "opcode", "phase", "busy", "done", "failed", "begun", "swept")
UPDATER_PORTS = ("nudges", "target", "moved", "residual", "saturated", "answer")


WORK = "work"


class Core(Component):
    """Runs the program on memories outside: every ``NAME_address`` is answered by ``NAME_data`` a clock later.

    States and sums are asked for by way of a register behind the choice of who asks, so blocks have them two clocks
    after their addresses; states and constants are written a clock after a block says so.

    A memory whose port has ``NAME_enable`` holds its data while that is low. Memories that are written have
    ``NAME_write``, ``NAME_write_address`` and ``NAME_write_data``; a read in the clock of a write to the same word
    may give anything. Where low-rank couplings are chained, sums are read at two addresses (``bus``).

    Reader, updater and contrast unit are in a clock domain of their own, ``work``, which has the clock of ``sync``
    (:class:`hw.clocked_core.ClockedCore`). Its reset is a register of the sequencer's: nothing stands between it and
    their thousands of registers.

    Members:
        Ports to the arrays: ``feed``, ``drive``, ``request``, ``codes``, ``row``, ``direction``, ``apply``,
        ``latch``, ``stage`` (see :class:`hw.reader.Reader`); ``rest``: every line to rest, forget what was asked for.
        ``gradient``: stream of what learning takes (see :class:`hw.contrast.Contrast`). ``pulse``, ``pulsing``: trains
        of pulses instead, with ``pulses`` (see :class:`hw.pulse_contrast.PulseContrast`).
        Registers: commands and times (see :class:`hw.sequencer.Sequencer`, :class:`hw.reader.Reader`), ``nudges``,
        ``target``, ``train_NAME`` (see :class:`hw.pulser.Pulser`); what happened: ``late``, ``clipped``, ``answered``
        (a beat of codes was taken), ``pulsed`` (a pulse began) and the reports.
    """

    def __init__(self, tables: Tables) -> None:
        c = self._config = tables.config
        self._sequencer, self._reader, self._updater = Sequencer(tables), Reader(tables), Updater(tables)
        self._contrast, self._pulses = Contrast(tables), PulseContrast(tables)
        sequencer, reader, updater = (part.signature.members for part in (self._sequencer, self._reader, self._updater))
        word = {
            "state": data.ArrayLayout(c.state_bits, c.lanes),
            "sum": data.ArrayLayout(signed(c.accumulator_bits), c.lanes),
            "constant": data.ArrayLayout(signed(c.constant_bits), c.lanes),
        }
        self._dither = tuple(name for name in ("load", "seed", "number") if name in reader)
        self._rows: dict[str, tuple[int, Any]] = {
            "program": (c.program_words, sequencer["program_data"].shape),
            "reads": (c.read_rows, tables.reads),
            "drive_list": (c.drive_beats, tables.drive),
            "sense_list": (c.sense_beats, tables.sense),
            "drive_tile": (c.tile_rows, tables.tiles),
            "sense_tile": (c.tile_rows, tables.tiles),
            "layer": (c.layer_rows, tables.layers),
            "source": (c.source_rows, tables.sources),
            "contrasts": (c.contrast_rows, tables.contrasts),
            "state": (c.state_words, word["state"]),
            "sum": (c.sum_words, word["sum"]),
            "bus": (c.sum_words, word["sum"]),
            "constant": (c.constant_words, word["constant"]),
        }
        members: dict[str, Any] = {}
        for name, (rows, shape) in self._rows.items():
            members |= {f"{name}_address": Out(address(rows)), f"{name}_data": In(shape)}
            if name in word:
                members |= {f"{name}_write": Out(1), f"{name}_write_address": Out(address(rows))}
                members |= {f"{name}_write_data": Out(shape)}
        members |= {f"{name}_enable": Out(1) for name in ENABLED}
        members |= {name: reader[name] for name in (*ARRAY_PORTS, *TIMES, "timeout", "late", "clipped", *self._dither)}
        members |= {name: sequencer[name] for name in (*COMMANDS, *REPORTS)}
        members |= {name: updater[name] for name in UPDATER_PORTS}
        members |= {"rest": Out(1), "answered": Out(1), "gradient": self._contrast.signature.members["gradient"]}
        pulses = self._pulses.signature.members
        members |= {"pulses": In(1), "pulsed": Out(1), **{name: pulses[name] for name in ("pulse", "pulsing")}}
        members |= {f"train_{name}": pulses[name] for name in TRAIN_PORTS}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sequencer, reader, updater, contrast = self._sequencer, self._reader, self._updater, self._contrast
        m.submodules.sequencer = sequencer
        for name, block in (("reader", reader), ("updater", updater), ("contrast", contrast)):
            m.submodules[name] = DomainRenamer(WORK)(block)
        m.d.comb += ResetSignal(WORK).eq(sequencer.reset)
        m.submodules.pulses = pulses = self._pulses

        units: tuple[Any, ...] = (contrast, pulses)

        connect(m, sequencer.read, reader.i)
        starts = delayed(m, sequencer.layer_start, 1)  # what starts is held meanwhile
        m.d.comb += [
            sequencer.reading.eq(reader.busy),
            sequencer.late.eq(reader.late),
            sequencer.layer_busy.eq(updater.busy | starts),
            sequencer.moved.eq(updater.moved),
            updater.start.eq(starts),
            *(getattr(updater, name).eq(getattr(sequencer, name)) for name in ("opcode", "index", "number", "cost")),
            updater.sign.eq(sequencer.sign),
            updater.new_sweep.eq(delayed(m, sequencer.new_sweep, 1)),
            contrast.start.eq(sequencer.contrast_start & ~self.pulses),
            pulses.start.eq(sequencer.contrast_start & self.pulses),
            sequencer.contrast_busy.eq(contrast.busy | pulses.busy),
            *(getattr(unit, name).eq(getattr(sequencer, name)) for unit in units for name in ("index", "sign")),
            pulses.abort.eq(sequencer.reset),
            self.pulsing.eq(pulses.pulsing),
            self.pulsed.eq(pulses.begun),
            self.rest.eq(sequencer.reset),
            self.late.eq(reader.late & ~sequencer.reset),  # what was late is reported once
            self.answered.eq(self.codes.valid & self.codes.ready),
        ]
        for block, names in (
            (sequencer, COMMANDS),
            (reader, (*TIMES, "timeout", *(name for name in self._dither if name != "number"))),
            (updater, ("nudges", "target")),
        ):
            m.d.comb += [getattr(block, name).eq(getattr(self, name)) for name in names]
        reports = [name for name in ARRAY_PORTS if name not in ("feed", "drive", "request", "codes")]
        for block, names in (
            (sequencer, REPORTS),
            (reader, (*reports, "clipped", *(name for name in self._dither if name == "number"))),
            (updater, ("moved", "residual", "saturated", "answer")),
        ):
            m.d.comb += [getattr(self, name).eq(getattr(block, name)) for name in names]
        connect(m, reader.feed, flipped(self.feed))
        connect(m, reader.drive, flipped(self.drive))
        connect(m, reader.request, flipped(self.request))
        connect(m, flipped(self.codes), reader.codes)
        connect(m, contrast.gradient, flipped(self.gradient))
        connect(m, pulses.pulse, flipped(self.pulse))
        for name in TRAIN_PORTS:
            ours, theirs = getattr(self, f"train_{name}"), getattr(pulses, name)
            m.d.comb += ours.eq(theirs) if name.endswith("number") else theirs.eq(ours)

        for block, names in (
            (sequencer, ("program",)),
            (reader, ("reads", "drive_list", "sense_list", "drive_tile", "sense_tile")),
            (updater, ("layer", "source", "constant")),
            (contrast, ("contrasts",)),
        ):
            for name in names:
                m.d.comb += [
                    getattr(self, f"{name}_address").eq(getattr(block, f"{name}_address")),
                    getattr(block, f"{name}_data").eq(getattr(self, f"{name}_data")),
                ]
        m.d.comb += [getattr(self, f"{name}_enable").eq(getattr(reader, f"{name}_enable")) for name in ENABLED]
        m.d.sync += self.bus_address.eq(reader.bus_address)
        m.d.comb += reader.bus_data.eq(self.bus_data)
        m.d.comb += pulses.contrasts_data.eq(self.contrasts_data)  # both units ask for the same row
        # Beats, tiles and states are a contrast unit's while it works. No read runs then, and no update.
        # (Each is told a clock before it asks for anything, so a register can choose.)
        works = [delayed(m, unit.busy, 1) for unit in units]
        updates = delayed(m, updater.busy, 1)
        asked = {name: Signal.like(getattr(self, f"{name}_address")) for name in ("state", "sum")}
        m.d.sync += [getattr(self, f"{name}_address").eq(chosen) for name, chosen in asked.items()]
        for unit, working in zip(units, works, strict=True):
            for ours, theirs in (("sense_list", "list"), ("sense_tile", "tile")):
                m.d.comb += getattr(unit, f"{theirs}_data").eq(getattr(self, f"{ours}_data"))
                with m.If(working):
                    m.d.comb += getattr(self, f"{ours}_address").eq(getattr(unit, f"{theirs}_address"))
        # Otherwise states and sums are the updater's while it works, else the reader's.
        for name, chosen in asked.items():
            m.d.comb += [
                getattr(reader, f"{name}_data").eq(getattr(self, f"{name}_data")),
                getattr(updater, f"{name}_data").eq(getattr(self, f"{name}_data")),
                chosen.eq(getattr(reader, f"{name}_address")),
            ]
            with m.If(updates):
                m.d.comb += chosen.eq(getattr(updater, f"{name}_address"))
        for unit, working in zip(units, works, strict=True):
            m.d.comb += unit.state_data.eq(self.state_data)
            with m.If(working):
                m.d.comb += asked["state"].eq(unit.state_address)
        for end in ("write", "write_address", "write_data"):
            m.d.comb += [
                getattr(self, f"{name}_{end}").eq(delayed(m, getattr(updater, f"{name}_{end}"), 1))
                for name in ("state", "constant")
            ]
            m.d.comb += getattr(self, f"sum_{end}").eq(getattr(reader, f"sum_{end}"))
            with m.If(updates):
                m.d.comb += getattr(self, f"sum_{end}").eq(getattr(updater, f"sum_{end}"))
        return m


# Ports that hold their data.
ENABLED = ("reads",)
