"""Truth: clocks added up by hand for a small network, and position by position for random ones."""

import pytest
from hypothesis import given, settings

import mapping
from eqprop import models
from mapping import Target
from mapping.schedule import Read
from mapping.timing import ReadTiming
from tests.mapping.graphs import compilations, ideal_target, networks

# 10 MHz: settling 3 clocks, integration 2, a conversion 4, discharge 1; two lines share a converter; 3 lanes.
SETTINGS = [
    "controller.clock_hz=10e6",
    "controller.lanes=3",
    "controller.free_sweeps=7",
    "controller.nudged_sweeps=5",
    "dac.settle_s=0.3e-6",
    "read.time_s=0.2e-6",
    "read.discharge_s=0.1e-6",
    "adc.time_s=0.4e-6",
    "adc.sharing=2",
    "pulses.width_s=0.2e-6",
    "pulses.gap_s=0.1e-6",
    "pulses.train=4",
]


def test_an_mlp_added_up_by_hand() -> None:
    network = models.mlp([5], channels=1, size=2, classes=2)  # input 4, h1 5, output 2
    mapped = mapping.compile(network, Target.load("ideal", (8, 16), SETTINGS), packed=False)
    timing = mapped.timing
    one = 3 + 2 + 2 * 4 + 1  # both lines of a converter, one after the other
    assert timing.read_clocks(Read("input_h1", "forward")) == one
    assert timing.read_clocks(Read("h1_output", "forward")) == one
    assert timing.read_clocks(Read("h1_output", "transposed")) == one
    # h1: the transposed read, then 5 states in 3 lanes; output: the forward read, 2 states.
    sweep = (one + 2) + (one + 1)
    assert timing.sweep_clocks("free") == timing.sweep_clocks("nudged") == sweep
    assert timing.prologue_clocks == one
    assert timing.phase_clocks("free") == timing.inference_clocks == one + 7 * sweep
    assert timing.phase_clocks("nudged") == one + 5 * sweep
    copy = 3  # 7 states in 3 lanes
    pulses = 2 * 4 * (2 + 1)  # two nudged phases, trains of 4
    assert timing.ep_step_clocks == (one + 7 * sweep) + copy + 2 * (one + 5 * sweep) + copy + pulses
    assert timing.seconds(10_000_000) == 1.0


def test_two_orders_of_nudged_phases() -> None:
    network = models.mlp([5], channels=1, size=2, classes=2)
    two, four = (
        mapping.compile(network, Target.load("ideal", (8, 16), [*SETTINGS, f"controller.nudges={order}"])).timing
        for order in ("+-", "+--+")
    )
    nudged = two.phase_clocks("nudged")
    assert four.ep_step_clocks - two.ep_step_clocks == 2 * (nudged + two.copy_clocks) + two.learning_clocks


@pytest.mark.parametrize(
    ("settings_", "forward", "transposed"),
    [
        ([], 1, 1),
        (["read.average=4"], 4, 4),
        (["dac={bits: 5, input: bit-serial}"], 4, 4),  # signed: a sign and four bits
        (["cell={levels: 4, slices: 2}"], 1, 2),  # transposed, the slices of a weight are driven one by one
        (["cell={levels: 4, slices: 2}", "read.average=3", "dac={bits: 5, input: bit-serial}"], 12, 24),
    ],
)
def test_reads_repeat_for_bits_averages_and_slices(settings_: list[str], forward: int, transposed: int) -> None:
    timing = ReadTiming(Target.load("ideal", (8, 16), settings_))
    assert timing.repeats("forward", signed=True) == forward
    assert timing.repeats("transposed", signed=True) == transposed


def test_unsigned_states_have_a_bit_more_to_serialise() -> None:
    timing = ReadTiming(Target.load("ideal", (8, 16), ["dac={bits: 5, input: bit-serial}"]))
    assert timing.repeats("forward", signed=False) == 5


@settings(max_examples=20)
@given(compilations(networks(), ideal_target(12, 12)))
def test_a_round_waits_for_its_longest_read_and_for_its_codes(mapped: mapping.Mapping) -> None:
    timing, lanes = mapped.timing, mapped.target.controller.lanes
    for step in mapped.schedule.steps:
        total = 0
        for reads in step.rounds:
            codes, longest = 0, 0
            for read in reads:
                matrix = mapped.matrices[read.matrix]
                replica = matrix.replicas[read.replica]
                turns: dict[int, int] = {}
                for tile in replica.tiles:
                    lines = tile.columns if read.direction == "forward" else tile.rows
                    count = lines[1] - lines[0]
                    codes += replica.region.positions * count
                    # 100 MHz: 10 clocks each to settle, integrate, convert and discharge; 16 lines share a converter.
                    turns[tile.crossbar] = turns.get(tile.crossbar, 0) + 30 + 10 * min(count, 16)
                longest = max(longest, replica.region.positions * max(turns.values()))
                assert timing.read_clocks(read) == replica.region.positions * max(turns.values())
            assert timing.round_clocks(reads) == max(longest, -(-codes // lanes))
            total += timing.round_clocks(reads)
        units = sum(mapped.network.layers[layer].size for layer in step.layers)
        assert timing.step_clocks(step, "free") == total + -(-units // lanes)
