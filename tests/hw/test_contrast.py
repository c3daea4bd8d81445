# amaranth: UnusedElaboratable=no
"""Truth: ``mapping.arithmetic.contrasts`` of what the lowering gathers from images, for any states in the memory."""

import itertools
import random
from typing import Any

import numpy as np
import pytest
import torch
from amaranth import Elaboratable, Module
from amaranth.lib.memory import Memory
from amaranth.sim import Simulator
from core_bench import Beat, CoreBench, beat_of
from streams import BACKPRESSURE, pauses

import mapping
from eqprop import Conv2d, Coupling, Dense, Edge, EnergyNetwork, FixedPoint, Layer, SquaredError, models
from hw.config import ControllerConfig
from hw.contrast import Contrast
from hw.delay import delayed
from hw.image import contents, lanes_of, lanes_word
from hw.link import Linked, link
from hw.tables import Tables
from mapping import Target
from mapping.arithmetic.contrast import contrasts
from mapping.fixed_point import codes_of_layer
from mapping.program import Opcode
from sim import Chip
from sim.learning.contrasts import whole_contrasts
from sim.scheduled import Scheduled
from tb.arrays import Arrays, image_of

MATRICES = ("x_a", "a_b", "b_c", "c_d", "c_output")


def network() -> EnergyNetwork:
    """Convolutions with strides and padding, from a signed image and from a free one, and dense between images."""
    couplings: dict[str, Coupling] = {
        "x_a": Conv2d((3, 4, 3), 5, (3, 2), (2, 1), (1, 1)),
        "a_b": Conv2d((5, 2, 4), 9, (1, 3), (2, 3), (0, 1)),
        "b_c": Dense((9, 1, 2), (3, 2, 2)),
        "c_d": Dense((3, 2, 2), (7,)),
        "c_output": Dense((3, 2, 2), (3,)),
    }
    for number, coupling in enumerate(couplings.values()):
        coupling.initialise(0.4, torch.Generator().manual_seed(number))
    layers = {
        "x": Layer((3, 4, 3), (-1.0, 1.0)),
        "a": Layer((5, 2, 4), (0.0, 1.0)),
        "b": Layer((9, 1, 2), (-1.0, 1.0)),
        "c": Layer((3, 2, 2), (0.0, 1.0)),
        "d": Layer((7,), (-1.0, 1.0)),
        "output": Layer((3,), (0.0, 1.0)),
    }
    edges = [Edge(name, *name.split("_")) for name in couplings]
    return EnergyNetwork(
        layers, ["x"], edges, couplings, SquaredError("output"), FixedPoint(max_sweeps=2, tolerance=0.0)
    )


def compiled(lanes: int, state_bits: int = 8, budget: int | None = None) -> mapping.Mapping:
    settings = [f"controller.lanes={lanes}", f"controller.state_bits={state_bits}"]
    return mapping.compile(network(), Target.load("rram-hfo2", (16, 16), settings), budget=budget)


class Bench(Elaboratable):
    """The unit on memories with the linker's tables and with states of one's own."""

    def __init__(self, mapped: mapping.Mapping, states: list[int]) -> None:
        self.mapped, self.linked = mapped, link(mapped)
        self.config = ControllerConfig.from_mapping(mapped)
        self.tables = Tables(self.config)
        self.unit, self.states = Contrast(self.tables), states

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.unit = unit = self.unit
        init = {**contents(self.linked, self.tables), "state": self.states}
        for name, port in (("contrasts", "contrasts"), ("sense_list", "list"), ("tiles", "tile"), ("state", "state")):
            answer = getattr(unit, f"{port}_data")
            m.submodules[name] = memory = Memory(shape=len(answer.as_value()), depth=len(init[name]), init=init[name])
            reading = memory.read_port()
            clocks = 1 if name == "state" else 0  # of the register behind the choice of who asks
            m.d.comb += [
                reading.addr.eq(delayed(m, getattr(unit, f"{port}_address"), clocks)),
                answer.eq(reading.data),
            ]
        return m

    def run(self, runs: list[tuple[int, int]], taken: str = "1") -> tuple[list[Beat], list[int]]:
        """Rows of the table one after the other, each with a sign: what came, and busy's clocks of each run."""
        out: list[Beat] = []
        clocks: list[int] = []
        unit, given = self.unit, self.unit.gradient.payload

        async def bench(ctx: Any) -> None:
            clock, held = 0, None
            for index, sign in runs:
                ctx.set(unit.index, index)
                ctx.set(unit.sign, sign)
                ctx.set(unit.start, 1)
                assert not ctx.get(unit.busy)
                await ctx.tick()
                ctx.set(unit.start, 0)
                began = clock
                while ctx.get(unit.busy):
                    ready = taken[clock % len(taken)] == "1"
                    ctx.set(unit.gradient.ready, ready)
                    valid = ctx.get(unit.gradient.valid)
                    payload = ctx.get(given.as_value()) if valid or held is not None else None
                    assert held is None or (valid and payload == held), "not held until taken"
                    held = payload if valid and not ready else None
                    if valid and ready:
                        out.append(beat_of(ctx, given))
                    await ctx.tick()
                    clock += 1
                    assert clock < 500_000, "stuck"
                clocks.append(clock - began)

        simulator = Simulator(self)
        simulator.add_clock(1e-8)
        simulator.add_testbench(bench)
        simulator.run()
        return out, clocks

    def image(self, layer: str, kind: str) -> torch.Tensor:
        """States of a layer, or those captured, as the memory holds them; float32, exact. Clamped: there is one."""
        place, codes = self.linked.places[layer], codes_of_layer(self.mapped, layer)
        assert codes is not None
        channels, height, width = place.image
        first, lanes = place.first.get(kind, place.first["state"]), self.config.lanes
        words = self.states[first : first + height * width * -(-channels // lanes)]
        found = np.array([lanes_of(word, lanes, self.config.state_bits, codes.low < 0) for word in words])
        return torch.from_numpy(image_of(found, self.mapped.network.layers[layer].shape)).float().unsqueeze(0)

    def expected(self, name: str, sign: int) -> torch.Tensor:
        """Of one matrix [rows, columns]."""
        pre, post = name.split("_")
        lowering = self.mapped.matrices[name].lowering
        phases = ("state", "captured") if sign == 1 else ("captured", "state")
        ends = []
        for kind in phases:
            ends += [lowering.rows_by_position(self.image(pre, kind)).long(),
                     lowering.columns_by_position(self.image(post, kind)).long()]  # fmt: skip
        return contrasts(*ends)


def of_weights(mapped: mapping.Mapping, name: str, given: list[Beat]) -> torch.Tensor:
    """Gradients of a matrix [rows, columns] from beats, by where the first copy's tiles are; each weight comes once."""
    matrix, per_weight = mapped.matrices[name], mapped.encoding(name).devices_per_weight
    places = {}
    for tile in matrix.replicas[0].tiles:
        top, left = tile.at[0], tile.at[1] // per_weight
        for i, j in itertools.product(range(*tile.rows), range(*tile.columns)):
            places[tile.crossbar, top + i - tile.rows[0], left + j - tile.columns[0]] = i, j
    values = torch.zeros(matrix.lowering.rows, matrix.lowering.columns, dtype=torch.int64)
    for beat in given:
        for column, value in zip(beat.columns, beat.values, strict=True):
            values[places.pop((beat.crossbar, beat.row, column))] = value
    assert not places
    return values


def in_codes(mapped: mapping.Mapping, layer: str, states: torch.Tensor) -> np.ndarray:
    """Of the first sample."""
    codes = codes_of_layer(mapped, layer)
    assert codes is not None
    return codes.encode_(states[0].double().clone()).numpy().astype(np.int64)


def random_states(mapped: mapping.Mapping, seed: int, *, ends: bool = False) -> list[int]:
    """Any bits in every word; with ``ends`` only numbers with all bits set or none."""
    draw, config = random.Random(seed), ControllerConfig.from_mapping(mapped)
    highest = (1 << config.state_bits) - 1
    words = []
    for _ in range(config.state_words):
        values = tuple(draw.choice((0, highest)) if ends else draw.randint(0, highest) for _ in range(config.lanes))
        words.append(lanes_word(values, config.state_bits))
    return words


def busy_clocks(linked: Linked, index: int, positions: int) -> int:
    """As the unit's docstring says."""
    row, lanes = linked.contrasts[index], linked.lanes
    of_rows = linked.sense[row["row_first"] : row["row_first"] + row["row_count"]]
    of_columns = linked.sense[row["column_first"] : row["column_first"] + row["column_count"]]
    clocks = 2
    for beat in of_rows:
        rows = beat.mask.bit_count()
        gradients = rows * sum(other.tile == beat.tile for other in of_columns)
        clocks += 7 + beat.mask.bit_length() + 4 * rows + gradients * (4 * positions + 11)
    assert all(beat.mask < 1 << lanes for beat in (*of_rows, *of_columns))
    return clocks


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_gradients_of_every_matrix_are_the_golden_model_s(lanes: int) -> None:
    mapped = compiled(lanes)
    bench = Bench(mapped, random_states(mapped, lanes))
    assert bench.linked.contrast_names == MATRICES
    orders = {mapped.matrices[name].lowering.order for name in ("x_a", "a_b")}
    assert orders == {"channel-major", "tap-major"}
    assert len({(tile.rows, tile.columns) for tile in mapped.matrices["b_c"].replicas[0].tiles}) == 4
    runs = [(index, 1 if index % 2 else 3) for index in range(len(MATRICES))]
    given, clocks = bench.run(runs)
    for (index, sign), taken in zip(runs, clocks, strict=True):
        name = MATRICES[index]
        of_matrix = [beat for beat in given if beat.matrix == index]
        assert torch.equal(of_weights(mapped, name, of_matrix), bench.expected(name, sign)), name
        assert taken == busy_clocks(bench.linked, index, mapped.matrices[name].lowering.positions)
        # One tile after the other, and of a tile one row after the other.
        lines = [line for line, _ in itertools.groupby((beat.crossbar, beat.row) for beat in of_matrix)]
        assert len(lines) == sum(tile.rows[1] - tile.rows[0] for tile in mapped.matrices[name].replicas[0].tiles)


def test_both_signs_of_beta_give_opposite_gradients() -> None:
    mapped = compiled(4)
    bench = Bench(mapped, random_states(mapped, 7))
    given, _ = bench.run([(3, 1), (3, 3)])
    half = len(given) // 2
    plus, minus = (of_weights(mapped, "c_d", beats) for beats in (given[:half], given[half:]))
    assert plus.any()
    assert torch.equal(plus, -minus)


@pytest.mark.parametrize("state_bits", [4, 16])
def test_nothing_overflows_at_the_ends_of_the_states(state_bits: int) -> None:
    mapped = compiled(4, state_bits=state_bits)
    bench = Bench(mapped, random_states(mapped, 3, ends=True))
    given, _ = bench.run([(1, 1), (4, 3)])
    for index, sign in ((1, 1), (4, 3)):
        beats = [beat for beat in given if beat.matrix == index]
        assert torch.equal(of_weights(mapped, MATRICES[index], beats), bench.expected(MATRICES[index], sign))


@pytest.mark.parametrize("taken", [taken for _, taken in BACKPRESSURE[1:]] + [pauses(5, 0.05)])
def test_what_is_offered_is_held_until_it_is_taken(taken: str) -> None:
    mapped = compiled(2)
    states = random_states(mapped, 5)
    freely, _ = Bench(mapped, states).run([(4, 1)])
    slowly, _ = Bench(mapped, states).run([(4, 1)], taken)
    assert [(beat.row, beat.columns, beat.values) for beat in slowly] == [
        (beat.row, beat.columns, beat.values) for beat in freely
    ]


def test_a_matrix_with_copies_is_contrasted_once_over_all_outputs() -> None:
    mapped = compiled(4, budget=16)
    assert len(mapped.matrices["a_b"].replicas) > 1
    bench = Bench(mapped, random_states(mapped, 9))
    given, _ = bench.run([(1, 3)])
    assert torch.equal(of_weights(mapped, "a_b", given), bench.expected("a_b", 3))


def test_factors_of_low_rank_couplings_have_neither_row_nor_word() -> None:
    bilinear = models.build("bilinear", classes=3, size=4, channels=1, units=6, modules=2, rank=2)
    mapped = mapping.compile(bilinear, Target.load("rram-hfo2", (16, 16), ["controller.lanes=2"]), low_rank="keep")
    alone = [chain[0] for chain in mapped.chains.values() if len(chain) == 1]
    linked = link(mapped)
    assert 0 < len(alone) < len(mapped.chains)
    assert list(linked.contrast_names) == alone
    contrasted = [word.index for word in linked.program if word.opcode == Opcode.CONTRAST]
    assert contrasted == list(range(len(alone)))
    ControllerConfig.from_mapping(mapped)


def test_an_ep_step_of_the_core_gives_the_contrasts_of_the_simulator_s_states() -> None:
    mapped, sweeps, beta = compiled(4), (1, 2), 0.5
    chip, played = Chip(mapped, 3), Chip(mapped, 3)
    x = torch.rand(1, 3, 4, 3, generator=torch.Generator().manual_seed(2)) * 2.0 - 1.0
    free = chip.relax(x, dynamics=Scheduled("coloured", sweeps[0], 0.0)).states
    nudged = Scheduled("coloured", sweeps[1], 0.0)
    phases = [free] + [
        chip.relax(x, target=torch.tensor([1]), beta=sign * beta, start=dict(free), dynamics=nudged).states
        for sign in (1, -1)
    ]
    bench = CoreBench(mapped)
    codes = {"x": in_codes(mapped, "x", chip.clamp(x)["x"])}
    run = bench.run(Arrays(played, bench.linked, bench.config.average), codes, 1, beta, sweeps)
    for states, found in zip(phases, run.phases, strict=True):
        for name in mapped.network.free:
            assert np.array_equal(found[name], in_codes(mapped, name, states[name])), name
    wanted = whole_contrasts(chip, phases[1], phases[2])
    assert all(contrast.any() for contrast in wanted.values())
    for index, name in enumerate(MATRICES):
        assert torch.equal(of_weights(mapped, name, [b for b in run.gradients if b.matrix == index]), wanted[name])
