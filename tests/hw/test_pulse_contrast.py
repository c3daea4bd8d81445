# amaranth: UnusedElaboratable=no
"""Truth: ``sim``'s trains of pulses on what the lowering gathers from images, for any states in the memory."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from amaranth import Cat, Elaboratable, Module
from amaranth.hdl import Assert
from amaranth.lib.memory import Memory
from amaranth.sim import Simulator
from core_bench import CoreBench
from streams import pauses

import mapping
from eqprop import Conv2d, Coupling, Dense, Edge, EnergyNetwork, FixedPoint, Layer, SquaredError
from hw.config import ControllerConfig
from hw.delay import delayed
from hw.image import contents, lanes_of, lanes_word, with_trains
from hw.link import Linked, link
from hw.pulse_contrast import PulseContrast
from hw.sequencer import STATES
from hw.tables import Tables
from mapping import Target
from mapping.arithmetic.trains import stride
from mapping.dither import Lfsr
from mapping.fixed_point import codes_of_layer
from sim import Chip
from sim.learning.registers import RegisterTrains
from tb.arrays import Arrays, Codes, image_of
from tb.pulses import Counts, PulseCounter, by_tile, golden
from tb.reference import Reference, random_samples
from tb.traffic import words_of_numbers

PULSE, GAP = 2, 1
GAINS = {"x_a": 3e-4, "a_b": 2e-4, "b_output": 6e-4}  # of products of codes of 8 bits: some lines saturate


def network() -> EnergyNetwork:
    """Convolutions with strides and padding, from a signed image and from a free one, and dense from a signed one."""
    couplings: dict[str, Coupling] = {
        "x_a": Conv2d((2, 3, 3), 3, (2, 3), (2, 1), (1, 1)),
        "a_b": Conv2d((3, 2, 3), 2, (2, 2), (1, 1), (0, 1)),
        "b_output": Dense((2, 1, 4), (5,)),
    }
    for number, coupling in enumerate(couplings.values()):
        coupling.initialise(0.4, torch.Generator().manual_seed(number))
    layers = {
        "x": Layer((2, 3, 3), (-1.0, 1.0)),
        "a": Layer((3, 2, 3), (0.0, 1.0)),
        "b": Layer((2, 1, 4), (-1.0, 1.0)),
        "output": Layer((5,), (0.0, 1.0)),
    }
    edges = [Edge(name, *name.split("_")) for name in couplings]
    return EnergyNetwork(
        layers, ["x"], edges, couplings, SquaredError("output"), FixedPoint(max_sweeps=2, tolerance=0.0)
    )


def compiled(lanes: int, budget: int | None = None) -> mapping.Mapping:
    settings = [f"controller.lanes={lanes}", "controller.state_bits=8"]
    return mapping.compile(network(), Target.load("rram-hfo2", (8, 8), settings), budget=budget)


@dataclass
class Seen:
    """Beats that were taken; of every busy clock whether lines were pulsed, and how often that began."""

    beats: list[int] = field(default_factory=list)
    pulsing: str = ""
    begun: int = 0


class Bench(Elaboratable):
    """The unit on memories with the linker's tables, scalings of a gain, and states of one's own."""

    def __init__(self, mapped: mapping.Mapping, trains: RegisterTrains, seed: int = 0) -> None:
        self.mapped, self.linked, self.config = mapped, link(mapped), ControllerConfig.from_mapping(mapped)
        self.tables, self.trains, self.states = Tables(self.config), trains, random_states(self.config, seed)
        self.unit = PulseContrast(self.tables)
        init = contents(self.linked, self.tables)
        contrasts = with_trains_of(self.trains, self.tables, self.linked)
        self.memories = {
            "contrasts": contrasts,
            "list": init["sense_list"],
            "tile": init["tiles"],
            "state": self.states,
        }

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.unit = unit = self.unit
        for name, init in self.memories.items():
            answer = getattr(unit, f"{name}_data")
            m.submodules[name] = memory = Memory(shape=len(answer.as_value()), depth=len(init), init=init)
            reading = memory.read_port()
            clocks = 1 if name == "state" else 0  # of the register behind the choice of who asks
            m.d.comb += [
                reading.addr.eq(delayed(m, getattr(unit, f"{name}_address"), clocks)),
                answer.eq(reading.data),
            ]
        return m

    def simulate(self, bench: Callable[[Any], Any]) -> None:
        simulator = Simulator(self)
        simulator.add_clock(1e-8)
        simulator.add_testbench(bench)
        simulator.run()

    async def set_up(self, ctx: Any) -> None:
        """Ports of the trains, and the registers of drawn numbers."""
        trains, unit = self.trains, self.unit
        ports = {"slots": trains.slots, "fixed": trains.fixed, "stride": stride(trains.slots), "load": 1}
        ports |= {"row_seed": trains.rows.seed, "column_seed": trains.columns.seed}
        for name, value in (ports | {"pulse_clocks": PULSE, "gap_clocks": GAP}).items():
            ctx.set(getattr(unit, name), value)
        await ctx.tick()
        ctx.set(unit.load, 0)

    async def play(
        self, ctx: Any, index: int, sign: int, taken: str = "1", until: Callable[[int], bool] = lambda clock: False
    ) -> Seen:
        """One row of the table, to the end or ``until`` a clock."""
        unit, seen, held, clock = self.unit, Seen(), None, 0
        for name, value in (("index", index), ("sign", sign), ("start", 1)):
            ctx.set(getattr(unit, name), value)
        assert not ctx.get(unit.busy)
        await ctx.tick()
        ctx.set(unit.start, 0)
        while ctx.get(unit.busy) and not until(clock):
            ready = taken[clock % len(taken)] == "1"
            ctx.set(unit.pulse.ready, ready)
            valid = ctx.get(unit.pulse.valid)
            payload = ctx.get(unit.pulse.payload.as_value()) if valid or held is not None else None
            assert held is None or (valid and payload == held), "not held until taken"
            held = payload if valid and not ready else None
            if valid and ready:
                seen.beats.append(payload)
            pulsing = ctx.get(unit.pulsing)
            assert not (pulsing and valid), "lines change under a pulse"
            seen.pulsing += str(pulsing)
            seen.begun += ctx.get(unit.begun)
            await ctx.tick()
            clock += 1
            assert clock < 100_000, "stuck"
        return seen

    def run(self, runs: list[tuple[int, int]], taken: str = "1") -> list[Seen]:
        found: list[Seen] = []

        async def bench(ctx: Any) -> None:
            await self.set_up(ctx)
            found.extend([await self.play(ctx, index, sign, taken) for index, sign in runs])

        self.simulate(bench)
        return found

    def counted(self, beats: list[int]) -> PulseCounter:
        counter = PulseCounter(self.config)
        counter.take(words_of_numbers(beats, len(self.unit.pulse.payload.as_value())))
        assert not len(counter.open)
        return counter

    def image(self, layer: str, kind: str) -> Codes:
        """States of a layer, or those captured, as the memory holds them; clamped: there is one."""
        place, codes = self.linked.places[layer], codes_of_layer(self.mapped, layer)
        assert codes is not None
        channels, height, width = place.image
        first, lanes = place.first.get(kind, place.first["state"]), self.config.lanes
        words = self.states[first : first + height * width * -(-channels // lanes)]
        found = np.array([lanes_of(word, lanes, self.config.state_bits, codes.low < 0) for word in words])
        return image_of(found, self.mapped.network.layers[layer].shape)

    def golden(self, sign: int) -> Counts:
        """Of the program's contrasts, all in the phase of ``sign``; the trains go on."""
        present, captured = (
            {name: self.image(name, kind) for name in self.mapped.network.layers} for kind in ("state", "captured")
        )
        phases = (present, captured) if sign == 1 else (captured, present)
        return golden(self.mapped, self.linked, self.config, self.trains, GAINS, *phases)


def with_trains_of(trains: RegisterTrains, tables: Tables, linked: Linked) -> list[int]:
    """Words of the table of contrasts."""
    return [
        with_trains(tables, row, *(side.scaling for side in trains.sides(GAINS[name])))
        for name, row in zip(linked.contrast_names, linked.contrasts, strict=True)
    ]


def in_codes(mapped: mapping.Mapping, layer: str, values: torch.Tensor) -> Codes:
    codes = codes_of_layer(mapped, layer)
    assert codes is not None
    return codes.encode_(values.double().clone()).numpy().astype(np.int64)


def random_states(config: ControllerConfig, seed: int) -> list[int]:
    """Any bits in every word."""
    draw, bits = random.Random(seed), config.state_bits
    return [
        lanes_word(tuple(draw.getrandbits(bits) for _ in range(config.lanes)), bits) for _ in range(config.state_words)
    ]


@pytest.mark.parametrize(("lanes", "fixed", "sign"), [(1, False, 1), (2, True, 3), (4, False, 3)])
def test_devices_meet_the_pulses_that_sim_counts(lanes: int, fixed: bool, sign: int) -> None:
    mapped = compiled(lanes)
    bench = Bench(mapped, RegisterTrains(5, fixed, lanes, 1.0, rows=Lfsr(seed=77)), lanes)
    assert bench.linked.contrast_names == tuple(GAINS)
    assert all(len(matrix.replicas[0].tiles) == 2 for matrix in mapped.matrices.values())
    assert {mapped.matrices[name].lowering.order for name in ("x_a", "a_b")} == {"channel-major", "tap-major"}
    seen = bench.run([(index, sign) for index in range(len(GAINS))])
    counter, wanted = bench.counted([beat for one in seen for beat in one.beats]), bench.golden(sign)
    assert wanted.up.any()
    assert wanted.down.any()
    assert counter.counts.equals(wanted)
    assert sum(one.begun for one in seen) == counter.met
    assert sum(one.pulsing.count("1") for one in seen) == PULSE * counter.met


def clocks(bench: Bench, index: int, met: int) -> int:
    """As the unit's docstring says."""
    row, slots = bench.linked.contrasts[index], bench.trains.slots
    trains = 2 * row["rows"] * row["columns"] * row["copies"]
    total = 1 + row["copies"] * (1 + row["tiles"]) + met * (PULSE + GAP)
    for _, of_rows, of_columns in by_tile(bench.linked, row):
        groups = len(of_rows) + len(of_columns)
        total += trains * (17 + 6 * groups + slots * (groups + 6))
    return total


def test_every_copy_is_pulsed_for_all_outputs_in_so_many_clocks() -> None:
    mapped = compiled(4, budget=8)
    bench = Bench(mapped, RegisterTrains(3, False, 4, 1.0))
    copies = {name: len(mapped.matrices[name].replicas) for name in GAINS}
    assert copies["a_b"] == 2
    runs = list(range(len(GAINS)))
    seen, wanted = bench.run([(index, 1) for index in runs]), bench.golden(1)
    counters = [bench.counted(one.beats) for one in seen]
    assert all(np.any([getattr(counter.counts, way) for way in ("up", "down")]) for counter in counters)
    assert np.array_equal(sum(counter.counts.up for counter in counters), wanted.up)
    assert np.array_equal(sum(counter.counts.down for counter in counters), wanted.down)
    assert [len(one.pulsing) for one in seen] == [clocks(bench, index, counters[index].met) for index in runs]


def test_both_signs_of_beta_pulse_the_opposite_way() -> None:
    mapped = compiled(4)
    assert mapped.matrices["b_output"].lowering.positions == 1
    bench = Bench(mapped, RegisterTrains(15, True, 4, 1.0))
    plus, minus = (bench.counted(seen.beats).counts for seen in bench.run([(2, 1), (2, 3)]))
    assert plus.up.any()
    assert not np.array_equal(plus.up, plus.down)
    assert plus.equals(Counts(minus.down, minus.up))


@pytest.mark.parametrize("taken", ["0001", pauses(2, 0.5)])
def test_pulses_wait_until_all_lines_are_taken(taken: str) -> None:
    mapped = compiled(2)
    freely, slowly = (Bench(mapped, RegisterTrains(5, False, 2, 1.0)).run([(2, 1)], how)[0] for how in ("1", taken))
    assert slowly.beats == freely.beats
    assert slowly.pulsing.count("1") == freely.pulsing.count("1")
    assert len(slowly.pulsing) > len(freely.pulsing)


def test_without_a_scaling_no_device_is_pulsed() -> None:
    bench = Bench(compiled(4), RegisterTrains(3, False, 4, 1.0))
    fresh = link(bench.mapped)
    bench.memories["contrasts"] = contents(fresh, bench.tables)["contrasts"]
    (seen,) = bench.run([(2, 1)])
    assert seen.beats
    assert not seen.begun


@pytest.mark.parametrize("state", ["1", "0"])
def test_an_abort_ends_a_pulse_at_once_and_the_next_run_begins_anew(state: str) -> None:
    mapped = compiled(4)
    whole = Bench(mapped, RegisterTrains(5, True, 4, 1.0)).run([(2, 1)])[0]
    at = whole.pulsing.index(state, whole.pulsing.index("1"))  # in a pulse, and after it

    async def bench(ctx: Any) -> None:
        await one.set_up(ctx)
        seen = await one.play(ctx, 2, 1, until=lambda clock: clock == at)
        assert seen.pulsing == whole.pulsing[:at]
        ctx.set(one.unit.abort, 1)
        assert not ctx.get(one.unit.pulsing)
        await ctx.tick()
        ctx.set(one.unit.abort, 0)
        assert not ctx.get(one.unit.busy)
        assert not ctx.get(one.unit.pulse.valid)
        assert await one.play(ctx, 2, 1) == whole

    one = Bench(mapped, RegisterTrains(5, True, 4, 1.0))
    one.simulate(bench)


class CoreWithTrains(CoreBench):
    """A core that pulses, with scalings in its table; nothing may pulse while lines are driven, read or told of."""

    def __init__(self, mapped: mapping.Mapping, trains: RegisterTrains) -> None:
        super().__init__(mapped)
        self.trains, table = trains, self.memories["contrasts"]
        table.data.init = with_trains_of(trains, self.tables, self.linked)

    def elaborate(self, platform: object) -> Module:
        m, core = super().elaborate(platform), self.core
        reads = Cat(core.feed.valid, core.drive.valid, core.request.valid, core.stage, core.apply, core.latch).any()
        m.d.comb += [
            Assert(~core.pulsing | (core.state == STATES.index("contrast")), "pulses in a contrast only"),
            Assert(~core.pulsing | ~reads, "no pulse while a read is under way"),
            Assert(~core.pulsing | ~core.pulse.valid, "no pulse while lines change"),
        ]
        return m

    def set_up(self, ctx: Any, *step: Any) -> None:
        super().set_up(ctx, *step)
        ports = {
            "slots": self.trains.slots,
            "fixed": self.trains.fixed,
            "stride": 1,
            "pulse_clocks": 2,
            "gap_clocks": 1,
        }
        for name, value in ports.items():
            ctx.set(getattr(self.core, f"train_{name}"), value)
        ctx.set(self.core.pulses, 1)


def test_an_ep_step_of_the_core_pulses_what_sim_counts_at_its_own_states_and_never_during_a_read() -> None:
    mapped, beta = compiled(4, budget=8), 0.5
    trains = RegisterTrains(4, False, 4, 1.0)
    bench, reference = CoreWithTrains(mapped, trains), Reference(Chip(mapped, 3), beta, (1, 1))
    x, label = next(random_samples(mapped, 1, 1))
    clamped = {"x": in_codes(mapped, "x", x["x"])}
    run = bench.run(Arrays(Chip(mapped, 3), bench.linked, bench.config.average), clamped, label, beta, (1, 1))
    phases = reference.step(x, label).phases
    plus, minus = ({**states, **clamped} for states in phases[1:])
    wanted = golden(mapped, bench.linked, bench.config, trains, GAINS, plus, minus)
    counter = PulseCounter(bench.config)
    counter.take(words_of_numbers(run.pulses, len(bench.core.pulse.payload.as_value())))
    assert counter.met
    assert not run.gradients
    assert counter.counts.equals(wanted)
