"""Truth about whole EP steps: the core on memories and on the arrays of a chip, clock by clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from amaranth import Elaboratable, Module, Mux, Signal
from amaranth.lib.memory import Memory
from amaranth.sim import Simulator

from hw.array_timer import TIMES
from hw.config import ControllerConfig
from hw.core import WORK, Core
from hw.image import contents, lanes_of, lanes_word, word_bits
from hw.link import link
from hw.tables import Tables
from mapping import Mapping
from mapping.arithmetic import SquaredErrorNudge
from mapping.fixed_point import codes_of_layer
from tb.arrays import Answer, Arrays, Codes, image_of, words_of

PORTS = {"tiles": ("drive_tile", "sense_tile"), "sum": ("sum", "bus")}  # of memories that are read at two places
COPIES = ("snapshot", "captured", "state")
MOST_CLOCKS = 200_000


@dataclass
class Beat:
    """A beat of gradients: the lines of its lanes, and their values."""

    matrix: int
    crossbar: int
    row: int
    columns: tuple[int, ...]
    values: tuple[int, ...]


@dataclass
class Run:
    """One EP step.

    Attributes:
        phases: states of every free layer as codes: free phase, +beta, -beta.
        pulses: beats of the stream as numbers.
    """

    phases: list[dict[str, Codes]] = field(default_factory=list)
    gradients: list[Beat] = field(default_factory=list)
    pulses: list[int] = field(default_factory=list)
    clocks: int = 0
    reads: int = 0


class CoreBench(Elaboratable):
    """A core with the linker's tables in its memories; arrays answer in the clock after a request."""

    def __init__(self, mapping: Mapping) -> None:
        self.mapping, self.linked, self.config = mapping, link(mapping), ControllerConfig.from_mapping(mapping)
        self.tables = Tables(self.config)
        self.core = Core(self.tables)
        init, bits = contents(self.linked, self.tables), word_bits(self.tables)
        depths = {name: len(words) for name, words in init.items()}
        depths |= {"state": self.config.state_words, "sum": self.config.sum_words}
        self.memories = {
            name: Memory(shape=bits[name], depth=depth, init=init.get(name, [])) for name, depth in depths.items()
        }

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.core = core = self.core
        for name, memory in self.memories.items():
            m.submodules[name] = memory
            written: Any = 0
            if hasattr(core, f"{name}_write"):
                writing = memory.write_port()
                written = writing.en
                m.d.comb += [
                    writing.addr.eq(getattr(core, f"{name}_write_address")),
                    writing.data.eq(getattr(core, f"{name}_write_data")),
                    writing.en.eq(getattr(core, f"{name}_write")),
                ]
            for port in PORTS.get(name, (name,)):
                reading = memory.read_port()
                address, collided = getattr(core, f"{port}_address"), Signal()
                # What is read in the clock of a write to the word may be anything.
                m.d.sync += collided.eq(written & (getattr(core, f"{name}_write_address", 0) == address))
                m.d.comb += [
                    reading.addr.eq(address),
                    reading.en.eq(getattr(core, f"{port}_enable", 1)),
                    getattr(core, f"{port}_data").eq(Mux(collided, ~reading.data, reading.data)),
                ]
        return m

    def run(self, arrays: Arrays, x: dict[str, Codes], label: int, beta: float, sweeps: tuple[int, int]) -> Run:
        """One EP step of one sample; ``x`` are codes of the clamped layers."""
        run = Run()

        async def bench(ctx: Any) -> None:
            self.set_up(ctx, x, label, beta, sweeps)
            core, fed, answers, offered = self.core, [], [], []
            watched = Watched(arrays, run)
            while not ctx.get(core.done):
                if ctx.get(core.feed.valid):
                    fed.append(numbers(ctx, core.feed.p.codes))
                    row = ctx.get(core.feed.p.row)
                    if len(fed) == self.linked.reads[row]["feed_words"]:
                        answer = arrays.answer(row, np.array(fed))
                        answers += answer.codes.tolist()
                        watched.open.append(answer)
                        fed = []
                if ctx.get(core.drive.valid):
                    watched.drives.append(head(ctx, core.drive.p) + numbers(ctx, core.drive.p.codes))
                if ctx.get(core.request.valid):
                    watched.asked(head(ctx, core.request.p))
                offered = [answers.pop(0)] if ctx.get(core.request.valid) else []
                if ctx.get(core.gradient.valid):
                    run.gradients.append(beat_of(ctx, core.gradient.p))
                if ctx.get(core.pulse.valid):
                    run.pulses.append(ctx.get(core.pulse.payload.as_value()))
                await ctx.tick()
                run.clocks += 1
                assert run.clocks < MOST_CLOCKS
                assert not ctx.get(core.failed)
                ctx.set(core.codes.valid, len(offered))
                for codes in offered:
                    ctx.set(core.codes.payload, codes)
            run.phases = [{name: self.states(ctx, name, kind) for name in self.mapping.network.free} for kind in COPIES]

        simulator = Simulator(self)
        for domain in ("sync", WORK):
            simulator.add_clock(1e-8, domain=domain)
        simulator.add_testbench(bench)
        simulator.run()
        return run

    def set_up(self, ctx: Any, x: dict[str, Codes], label: int, beta: float, sweeps: tuple[int, int]) -> None:
        """States of clamped layers, registers, start."""
        core, config = self.core, self.config
        for name, codes in x.items():
            first = self.linked.places[name].first["state"]
            for number, word in enumerate(words_of(codes, config.lanes).tolist()):
                ctx.set(self.memories["state"].data[first + number], lanes_word(tuple(word), config.state_bits))
        registers = {"free_sweeps": sweeps[0], "nudged_sweeps": sweeps[1], "average": config.average, "target": label}
        registers |= {"timeout": 1000, "learn": 1, "start": 1, **dict.fromkeys(TIMES, 1)}
        for name, value in registers.items():
            ctx.set(getattr(core, name), value)
        output = self.mapping.network.cost.layer
        one = round(1.0 / self.codes(output).step)
        for number, sign in enumerate((1, -1)):
            nudge = SquaredErrorNudge.build(sign * beta, self.mapping.network.layers[output].stiffness, one)
            given = {"push": nudge.push, "multiplier": nudge.divide.multiplier, "shift": nudge.divide.shift}
            ctx.set(core.nudges[number], given)
        for stream in (core.drive, core.request, core.gradient, core.pulse):
            ctx.set(stream.ready, 1)

    def codes(self, layer: str) -> Any:
        codes = codes_of_layer(self.mapping, layer)
        assert codes is not None
        return codes

    def states(self, ctx: Any, layer: str, kind: str) -> Codes:
        """A layer's states, or a copy of them."""
        place, config = self.linked.places[layer], self.config
        words = place.image[1] * place.image[2] * -(-place.image[0] // config.lanes)
        memory, first, signed = self.memories["state"], place.first[kind], self.codes(layer).low < 0
        held = [ctx.get(memory.data[first + number]) for number in range(words)]
        found = np.array([lanes_of(word, config.lanes, config.state_bits, signed) for word in held])
        return image_of(found, self.mapping.network.layers[layer].shape)


@dataclass
class Watched:
    """Drives and requests of reads that are under way; those of a read that is over are held to the mapping's."""

    arrays: Arrays
    run: Run
    open: list[Answer] = field(default_factory=list)
    drives: list[list[int]] = field(default_factory=list)
    requests: list[list[int]] = field(default_factory=list)

    def asked(self, request: list[int]) -> None:
        self.requests.append(request)
        answer = self.open[0]
        if len(self.requests) == len(answer.codes):
            wanted = np.tile(self.arrays.requests(answer.row), (len(answer.driven), 1))
            assert self.requests == wanted.tolist(), f"read {answer.row} asks for other lines"
            count = len(answer.driven) * self.arrays.linked.reads[answer.row]["drive_count"]
            self.arrays.check_drive(answer, np.array(self.drives[:count]))
            del self.drives[:count], self.open[0]
            self.requests = []
            self.run.reads += 1


def head(ctx: Any, beat: Any) -> list[int]:
    """Crossbar, line, stride and mask."""
    return [ctx.get(getattr(beat, name)) for name in ("crossbar", "line", "stride", "mask")]


def beat_of(ctx: Any, given: Any) -> Beat:
    """What the gradient stream offers."""
    line, stride, mask = (ctx.get(getattr(given, name)) for name in ("column", "stride", "mask"))
    values, lines = numbers(ctx, given.values), 1 << len(given.column)
    used = [lane for lane in range(len(values)) if mask >> lane & 1]
    columns = tuple((line + lane * stride) % lines for lane in used)
    places = (ctx.get(getattr(given, name)) for name in ("matrix", "crossbar", "row"))
    return Beat(*places, columns, tuple(values[lane] for lane in used))


def numbers(ctx: Any, lanes: Any) -> list[int]:
    """Of all lanes."""
    return [ctx.get(lanes[lane]) for lane in range(lanes.shape().length)]
