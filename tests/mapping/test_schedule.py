"""Truth: the graph of the network, walked here to say what a phase must read, and crossbars marked read by read."""

from hypothesis import given, settings
from hypothesis import strategies as st

import mapping
from eqprop import EnergyNetwork, models
from eqprop.ordering import blocks
from mapping.schedule import Read, Round
from tests.mapping.graphs import compilations, ideal_target, networks

some = settings(max_examples=30)


@st.composite
def compiled(draw: st.DrawFn) -> mapping.Mapping:
    sides = st.integers(2, 40)
    return draw(compilations(networks(), ideal_target(draw(sides), draw(sides))))


def every_round(mapped: mapping.Mapping) -> list[Round]:
    plan = mapped.schedule
    rounds = [*plan.prologue, *plan.answer]
    for step in plan.steps:
        rounds += [*step.rounds, *step.nudged_rounds]
    return rounds


def wanted(mapped: mapping.Mapping, coupling: str, direction: str) -> set[Read]:
    """The reads that a read of a coupling is made of."""
    return {
        Read(name, direction, number)  # type: ignore[arg-type]
        for name in mapped.chains[coupling]
        for number in range(len(mapped.matrices[name].replicas))
    }


@some
@given(compiled())
def test_every_read_of_a_sweep_appears_once(mapped: mapping.Mapping) -> None:
    network = mapped.network
    for step in mapped.schedule.steps:
        expected: set[Read] = set()
        for layer in step.layers:
            for edge in network.edges:
                # Clamped layers drive once a phase, not once a sweep, and nothing is sensed for them.
                if edge.post == layer and edge.pre not in network.inputs:
                    expected |= wanted(mapped, edge.name, "forward")
                if edge.pre == layer:
                    expected |= wanted(mapped, edge.name, "transposed")
        reads = [read for reads in step.rounds for read in reads]
        assert len(reads) == len(set(reads))
        assert set(reads) == expected


@some
@given(compiled())
def test_a_phase_starts_with_clamped_inputs_and_maxima_not_read_yet(mapped: mapping.Mapping) -> None:
    network = mapped.network
    turn = {layer: number for number, step in enumerate(mapped.schedule.steps) for layer in step.layers}
    expected: set[Read] = set()
    for edge in network.edges:
        if edge.pre in network.inputs or (edge.pool is not None and turn[edge.pre] < turn[edge.post]):
            expected |= wanted(mapped, edge.name, "forward")
    reads = [read for reads in mapped.schedule.prologue for read in reads]
    assert len(reads) == len(set(reads))
    assert set(reads) == expected


@some
@given(compiled())
def test_no_two_reads_of_a_round_share_a_crossbar_and_no_adc_senses_more_lines_than_it_may(
    mapped: mapping.Mapping,
) -> None:
    for reads in every_round(mapped):
        assert reads
        holders: dict[int, Read] = {}
        for read in reads:
            for tile in mapped.matrices[read.matrix].replicas[read.replica].tiles:
                assert holders.setdefault(tile.crossbar, read) == read
    timing = mapped.timing
    for reads in every_round(mapped):
        for read in reads:
            matrix = mapped.matrices[read.matrix]
            adc = mapped.target.adc_of(read.direction)
            # Tile by tile, converter by converter: lines in turn, of which none waits longer than the schedule says.
            slowest = 0
            for crossbar in {tile.crossbar for tile in matrix.replicas[read.replica].tiles}:
                turns = 0
                for tile in matrix.replicas[read.replica].tiles:
                    if tile.crossbar != crossbar:
                        continue
                    first, last = (tile.columns, tile.rows)[read.direction == "transposed"]
                    start = tile.at[0] if read.direction == "transposed" else tile.at[1] // 2
                    groups: dict[int, int] = {}
                    for line in range(start, start + last - first):
                        groups[line // adc.sharing] = groups.get(line // adc.sharing, 0) + 1
                    assert max(groups.values()) <= adc.sharing
                    turns += max(groups.values())
                slowest = max(slowest, turns)
            needed = slowest * matrix.replicas[read.replica].region.positions
            assert timing.read_clocks(read) >= needed * timing.reads.clocks(adc.time_s)


@some
@given(compiled())
def test_factors_of_a_low_rank_coupling_are_read_one_after_the_other(mapped: mapping.Mapping) -> None:
    for step in mapped.schedule.steps:
        number = {read: place for place, reads in enumerate(step.rounds) for read in reads}
        for chain in mapped.chains.values():
            for direction, order in (("forward", chain), ("transposed", chain[::-1])):
                turns = [number.get(Read(name, direction)) for name in order]  # type: ignore[arg-type]
                assert turns == sorted(set(turns), key=lambda turn: turn or 0) or turns == [None] * len(turns)


@some
@given(networks())
def test_nudged_phases_read_a_readout_forward_and_then_back(network: EnergyNetwork) -> None:
    mapped = mapping.compile(network, ideal_target(16, 16))
    name = network.cost.readout
    for step in mapped.schedule.steps:
        expected = ()
        if name is not None and network.cost.layer in step.layers:
            expected = ((Read(name, "forward"),), (Read(name, "transposed"),))
        assert step.nudged_rounds == expected
    assert mapped.schedule.answer == (() if name is None else ((Read(name, "forward"),),))


@some
@given(networks())
def test_steps_are_the_colours_of_the_free_graph(network: EnergyNetwork) -> None:
    mapped = mapping.compile(network, ideal_target(8, 8))
    assert tuple(step.layers for step in mapped.schedule.steps) == blocks("coloured", network.free, network.edges)
    for step in mapped.schedule.steps:
        assert not any(edge.pre in step.layers and edge.post in step.layers for edge in network.edges)


def test_long_reads_come_first_and_short_ones_fill_in() -> None:
    network = models.build("hopfield-resnet", classes=3, size=8, width=0.1)
    mapped = mapping.compile(network, ideal_target(24, 24))
    for step in mapped.schedule.steps:
        longest = [max(map(mapped.timing.read_clocks, reads)) for reads in step.rounds]
        assert longest == sorted(longest, reverse=True)
