"""The fast loop: the controller compiled by CXXRTL, a chip's arrays called once a read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from amaranth.back import rtlil
from torch import Tensor

from hw.config import ControllerConfig
from hw.controller import Controller
from hw.link import link
from mapping import Mapping
from sim.chip import Chip
from tb.arrays import Arrays, Codes
from tb.cxxrtl import Channel, Model, Reason, Sink, Source, Watch, compile_model
from tb.gradients import gradients_of
from tb.host import COPIES, Copy, Host, Write
from tb.pulses import PulseCounter
from tb.step import Step
from tb.traffic import ControllerError, Traffic, packed_codes

MOST_CLOCKS = 50_000_000


def compiled(config: ControllerConfig, cache: Path | None = None) -> Path:
    """The simulation of a controller, compiled now or some time before."""
    return compile_model(rtlil.convert(Controller(config), name="controller", emit_src=False), "controller", cache)


class FastLoop:
    """A controller running EP steps on the arrays of a chip.

    Args:
        check: whether every line's drive and every request of every read is looked at.
        latency: clocks from a request to its answer.
    """

    def __init__(
        self, mapping: Mapping, chip: Chip, library: Path | None = None, *, check: bool = True, latency: int = 1
    ) -> None:
        self.mapping, self.linked = mapping, link(mapping)
        self.config = ControllerConfig.from_mapping(mapping)
        self.host = Host(mapping, self.linked, self.config)
        self.traffic = Traffic(Arrays(chip, self.linked, self.config.average), self.config, check)
        self.pulses = PulseCounter(self.config)
        channels: list[Channel] = [
            Sink("feed"),
            Sink("drive"),
            Sink("request"),
            Sink("gradient"),
            Sink("pulse"),
            Source("codes", answers="request", latency=latency),
            Watch("interrupt", stops=True),
        ]
        self.model = Model(library or compiled(self.config), channels)
        self.model.reset()
        self.carry_out(self.host.loading())

    def carry_out(self, writes: Iterable[Write]) -> None:
        """Transactions, one after the other."""
        for write in writes:
            self.model.axi_write(write.address, write.words)

    def register(self, name: str) -> int:
        """A register's word."""
        return int(self.model.axi_read(self.host.register_read(name).address)[0])

    def times(self, **clocks: int) -> None:
        """Set time registers: settle=1 and so on."""
        self.carry_out(self.host.register(f"time_{name}", value) for name, value in clocks.items())

    def step(
        self,
        x: dict[str, Tensor],
        label: int,
        beta: float,
        sweeps: tuple[int, int],
        gradients: bool = True,
        pulses: bool = False,
        early_stop: bool = False,
    ) -> Step:
        """One EP step of one sample: inputs in their own units, without a batch.

        Raises:
            ControllerError: if the program does not come to its end, or the arrays were used in a wrong way.
        """
        host = self.host
        self.carry_out(host.settings(beta, *sweeps, gradients, pulses, early_stop))
        self.carry_out(host.sample({name: host.codes(name, value) for name, value in x.items()}, label))
        self.carry_out([host.register("interrupt_status", 0xF), host.command(clear_counters=1)])
        self.traffic.phase = -1
        self.carry_out([host.command(start=1)])
        self.run()
        status = self.register("status")
        if not host.field_of("status", "done", status):
            raise ControllerError(f"status {status:#x}, events {self.register('interrupt_status'):#x}: expected done")
        phases = [{name: self.states(name, copy) for name in self.mapping.network.free} for copy in COPIES]
        counters = {
            name.removeprefix("count_"): self.register(name)
            for name in (one.name for one in host.map.registers.registers)
            if name.startswith("count_")
        }
        beats = self.model.log("gradient").payloads
        asked = gradients and not pulses
        given = gradients_of(beats, self.mapping, self.linked, self.config) if asked else {}
        return Step(phases, self.register("answer"), given, counters)

    def states(self, name: str, copy: Copy = "state") -> Codes:
        """States of a layer, read over the bus."""
        read = self.host.states_read(name, copy)
        return self.host.states_of(name, self.model.axi_read(read.address, read.count).tolist())

    def run(self) -> None:
        """Until the interrupt; reads are answered on the way."""
        while True:
            reason = self.model.run(MOST_CLOCKS)
            self.collect()
            if reason == Reason.STOPPED:
                return
            if reason == Reason.CLOCKS:
                raise ControllerError(f"no interrupt after {MOST_CLOCKS} clocks")
            self.supply()

    def supply(self) -> None:
        """Answers to the read that is asked for first."""
        self.model.supply(
            "codes", packed_codes(self.traffic.answer(self.model.get("phase")), self.config.code_adc_bits)
        )

    def collect(self) -> None:
        """What the streams out brought."""
        for name in ("feed", "drive", "request"):
            getattr(self.traffic, name)(self.model.log(name).payloads)
        self.pulses.take(self.model.log("pulse").payloads)
