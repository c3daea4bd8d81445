"""The chart of a sweep against the mapping's own clocks, and against a schedule of round numbers worked out by hand."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from types import SimpleNamespace
from typing import Any

import pytest

import mapping
from mapping.schedule import Read, Schedule, Step
from reports.schedule import balance, bottleneck, durations, schedule_rows, sweep, target_timings
from reports.schedule_figure import schedule_figure, step_labels

CLOCKS = {"a": 10, "b": 30, "c": 4}


class ByHand:
    """Clocks as stated: a read of ``a`` takes 10, of ``b`` 30, of ``c`` 4; a code takes one, an update 7."""

    def __init__(self, *steps: Step, codes: int = 1) -> None:
        self.schedule, self.codes = Schedule((), steps), codes
        self.matrices = dict.fromkeys("abc")

    def read_clocks(self, read: Read) -> int:
        return CLOCKS[read.matrix] + read.replica

    def read_codes(self, read: Read) -> int:
        return self.codes

    def round_clocks(self, reads: tuple[Read, ...]) -> int:
        return max(max(map(self.read_clocks, reads)), self.codes * len(reads))

    def update_clocks(self, step: Step) -> int:
        return 7

    def seconds(self, clocks: int) -> float:
        return clocks * 1e-8


STEPS = (
    Step(
        ("h",), ((Read("b", "transposed"), Read("a", "forward", 0), Read("a", "forward", 1)), (Read("c", "forward"),))
    ),
    Step(("k", "l"), ((Read("a", "transposed", 0),), (Read("a", "transposed", 1),))),
)


def test_bars_lie_where_a_hand_puts_them() -> None:
    first, second = sweep(ByHand(*STEPS))  # type: ignore[arg-type]
    found = [[(bar.matrix, bar.copies, bar.start, bar.clocks) for bar in span.bars] for span in first.rounds]
    assert found == [[("a", 2, 0, 11), ("b", 1, 0, 30)], [("c", 1, 30, 4)]]
    assert (first.start, first.update_start, first.end) == (0, 34, 41)
    assert [span.start for span in second.rounds] == [41, 51]
    assert (second.update_start, second.end) == (62, 69)


def test_lanes_are_told_from_arrays() -> None:
    slow = balance(ByHand(*STEPS, codes=20))  # type: ignore[arg-type]
    # Codes take 60, 20, 20, 20 clocks against 30, 4, 10, 11 of the arrays: every round waits.
    assert (slow.rounds, slow.waiting_rounds) == (4, 4)
    assert (slow.array_clocks, slow.lane_clocks, slow.update_clocks) == (55, 65, 14)
    assert slow.bound == "lane-bound"
    fast = balance(ByHand(*STEPS))  # type: ignore[arg-type]
    assert (fast.waiting_rounds, fast.lane_clocks, fast.bound) == (0, 0, "array-bound")


def test_the_bottleneck_is_the_copy_with_the_longest_reads_together() -> None:
    timing = ByHand(*STEPS)
    assert bottleneck(SimpleNamespace(timing=timing, schedule=timing.schedule)) == ("b", 30)  # type: ignore[arg-type]
    more = ByHand(*STEPS, Step(("m",), ((Read("a", "forward", 1),),)))
    found = bottleneck(SimpleNamespace(timing=more, schedule=more.schedule))  # type: ignore[arg-type]
    assert found == ("a", 33)  # the second copy, three times 11
    nothing = ByHand(Step(("h",), ()))
    assert bottleneck(SimpleNamespace(timing=nothing, schedule=nothing.schedule)) is None  # type: ignore[arg-type]
    assert balance(nothing).bound == "lane-bound"  # type: ignore[arg-type]
    assert "<svg" in schedule_figure(nothing)  # type: ignore[arg-type]


@pytest.mark.parametrize("which", ["compiled", "copied", "low_rank"])
def test_a_sweep_ends_when_the_mapping_says_so(which: str, request: pytest.FixtureRequest) -> None:
    made: mapping.Mapping = request.getfixturevalue(which)
    timing, steps = made.timing, sweep(made.timing)
    assert steps[-1].end == timing.sweep_clocks("free")
    assert [step.end - step.start for step in steps] == [
        timing.step_clocks(step, "free") for step in made.schedule.steps
    ]
    reads = [read for step in made.schedule.steps for reads in step.rounds for read in reads]
    assert sum(bar.copies for step in steps for span in step.rounds for bar in span.bars) == len(reads)
    share = balance(timing)
    assert share.array_clocks + share.lane_clocks + share.update_clocks == timing.sweep_clocks("free")


@pytest.mark.parametrize("which", ["compiled", "copied", "low_rank"])
def test_rows_add_up_to_the_phases(which: str, request: pytest.FixtureRequest) -> None:
    made: mapping.Mapping = request.getfixturevalue(which)
    rows, timing = schedule_rows(made), made.timing
    nudged = [row for row in rows if row.when.isdigit()]
    free = [row for row in nudged if not row.what.startswith("nudged")]
    assert sum(row.clocks for row in free) == timing.sweep_clocks("free")
    assert sum(row.clocks for row in nudged) == timing.sweep_clocks("nudged")
    assert sum(row.clocks for row in rows if row.when == "first") == timing.prologue_clocks
    told = {entry.what: entry.clocks for entry in durations(made)}
    answer = sum(row.clocks for row in rows if row.when == "answer")
    assert told["Inference"] - told["Free phase"] == answer
    assert (answer > 0) == ("Nudged sweep" in told) == (which == "low_rank")


def test_the_targets_timings_are_named_for_each_direction_that_has_its_own() -> None:
    settings = ["transposed_adc={bits: 6, sharing: 4, time_s: 50e-9}", "dac.input=bit-serial", "read.time_s=2.5e-7"]
    target = mapping.Target.load("rram-hfo2", overrides=settings)
    reads = mapping.timing.ReadTiming(target)
    made: Any = SimpleNamespace(target=target, timing=SimpleNamespace(reads=reads))
    rows = {name: (value, clocks) for name, value, clocks in target_timings(made)}
    assert rows["Integration"] == ("250 ns", "25")
    assert rows["Conversions, forward"] == ("16 × 100 ns (lines that share an ADC)", "16 × 10")
    assert rows["Conversions, transposed"] == ("4 × 50 ns (lines that share an ADC)", "4 × 5")
    assert "Bit-serial input, forward" in rows
    assert rows["Clock"][0] == "100 MHz"


def test_labels_of_narrow_steps_fall_back_to_numbers() -> None:
    names = tuple(f"layer{number}" for number in range(9))
    steps = sweep(ByHand(*STEPS, *(Step((name,), ((Read("c", "forward"),),)) for name in names)))  # type: ignore[arg-type]
    wide, *_, narrow = step_labels(steps)
    assert wide == "step 1: h"
    assert "11" in narrow
    many = sweep(ByHand(*(Step((name,), ((Read("c", "forward"),),)) for name in names * 8)))  # type: ignore[arg-type]
    assert step_labels(many) == [str(number) for number in range(1, 73)]


def test_the_chart_marks_waiting_rounds_only_where_there_are_some() -> None:
    timings = [ByHand(*STEPS), ByHand(*STEPS, codes=20)]
    quiet, waiting = (schedule_figure(timing) for timing in timings)  # type: ignore[arg-type]
    for chart in (quiet, waiting):
        assert ElementTree.fromstring(chart).tag.endswith("svg")
        assert "var(--blue)" in chart
        assert "var(--orange)" in chart
    assert "<pattern" not in quiet
    assert "<pattern" in waiting
