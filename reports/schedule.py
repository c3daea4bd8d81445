"""What the report says about the schedule: when each read of a sweep runs, and how long everything takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mapping import Mapping
from mapping.hardware import DIRECTIONS, Direction
from mapping.schedule import Round
from mapping.timing import Timing
from reports.quantities import plural, seconds, si


@dataclass(frozen=True)
class Bar:
    """The reads of one matrix in one direction that start together: those of several copies, side by side.

    Attributes:
        start, clocks: clocks from the start of the sweep, and those of the longest of the reads.
    """

    matrix: str
    direction: Direction
    copies: int
    start: int
    clocks: int


@dataclass(frozen=True)
class RoundSpan:
    """A round in time.

    Attributes:
        clocks: as the schedule counts them.
        codes: that pass through the controller's lanes.
        bars: forward reads first.
    """

    start: int
    clocks: int
    codes: int
    bars: tuple[Bar, ...]

    @property
    def array_clocks(self) -> int:
        """Of the longest read."""
        return max(bar.clocks for bar in self.bars)

    @property
    def waits_for_lanes(self) -> bool:
        """Whether its codes take longer to pass through the lanes than any of its reads."""
        return self.clocks > self.array_clocks


@dataclass(frozen=True)
class StepSpan:
    """A step of a sweep in time: its rounds, and then the update of its layers from ``update_start`` to ``end``."""

    layers: tuple[str, ...]
    start: int
    rounds: tuple[RoundSpan, ...]
    update_start: int
    end: int


def rounds_from(timing: Timing, rounds: Sequence[Round], start: int) -> tuple[RoundSpan, ...]:
    """Rounds one after the other."""
    spans = []
    for reads in rounds:
        groups: dict[tuple[str, Direction], list[int]] = {}
        for read in sorted(reads, key=lambda read: DIRECTIONS.index(read.direction)):
            groups.setdefault((read.matrix, read.direction), []).append(timing.read_clocks(read))
        bars = tuple(Bar(matrix, way, len(each), start, max(each)) for (matrix, way), each in groups.items())
        spans.append(RoundSpan(start, timing.round_clocks(reads), sum(map(timing.read_codes, reads)), bars))
        start += spans[-1].clocks
    return tuple(spans)


def sweep(timing: Timing) -> list[StepSpan]:
    """A sweep of the free phase."""
    steps, start = [], 0
    for step in timing.schedule.steps:
        rounds = rounds_from(timing, step.rounds, start)
        update_start = rounds[-1].start + rounds[-1].clocks if rounds else start
        end = update_start + timing.update_clocks(step)
        steps.append(StepSpan(step.layers, start, rounds, update_start, end))
        start = end
    return steps


@dataclass(frozen=True)
class ScheduleRow:
    """One line of the schedule: a round, or the update that ends a step.

    Attributes:
        when: the step's number, or the part of the phase outside the sweep.
        layers: that the step updates.
        what: ``round 2``, ``nudged round 1`` or ``update``.
        forward, transposed: reads in words: matrix, copies, time.
        items: codes or states that pass through the lanes.
        limit: what a round's time is set by, ``arrays`` or ``lanes``.
    """

    when: str
    layers: tuple[str, ...]
    what: str
    forward: tuple[tuple[str, str], ...]
    transposed: tuple[tuple[str, str], ...]
    items: int
    clocks: int
    time: str
    limit: str


def schedule_rows(mapping: Mapping) -> list[ScheduleRow]:
    """Every round of a phase in order: before the sweeps, the steps of one, and after the free phase."""
    timing, plan = mapping.timing, mapping.schedule
    rows = list(round_rows(timing, "first", (), plan.prologue, "round"))
    for number, step in enumerate(plan.steps, start=1):
        rows += round_rows(timing, str(number), step.layers, step.rounds, "round")
        rows += round_rows(timing, str(number), step.layers, step.nudged_rounds, "nudged round")
        states = sum(mapping.network.layers[layer].size for layer in step.layers)
        clocks = timing.update_clocks(step)
        time = seconds(timing.seconds(clocks))
        rows.append(ScheduleRow(str(number), step.layers, "update", (), (), states, clocks, time, "lanes"))
    rows += round_rows(timing, "answer", (), plan.answer, "round")
    return rows


def round_rows(
    timing: Timing, when: str, layers: tuple[str, ...], rounds: Sequence[Round], word: str
) -> Iterator[ScheduleRow]:
    for number, span in enumerate(rounds_from(timing, rounds, 0), start=1):
        forward, transposed = (
            tuple((bar.matrix, bar_words(timing, bar)) for bar in span.bars if bar.direction == way)
            for way in DIRECTIONS
        )
        limit = "lanes" if span.waits_for_lanes else "arrays"
        time = seconds(timing.seconds(span.clocks))
        yield ScheduleRow(when, layers, f"{word} {number}", forward, transposed, span.codes, span.clocks, time, limit)


def bar_words(timing: Timing, bar: Bar) -> str:
    """``×2 15.2 µs``."""
    copies = f"×{bar.copies} " if bar.copies > 1 else ""
    return copies + seconds(timing.seconds(bar.clocks))


@dataclass(frozen=True)
class Duration:
    """How long something takes, and what that is made of."""

    what: str
    made_of: str
    clocks: int
    time: str


def durations(mapping: Mapping) -> list[Duration]:
    """From a sweep to a step of learning."""
    timing, controller = mapping.timing, mapping.target.controller
    before = " after the first reads" if mapping.schedule.prologue else ""
    free, nudged = timing.sweep_clocks("free"), timing.sweep_clocks("nudged")
    phases = len(controller.nudges)
    entries = [("Sweep", plural(len(mapping.schedule.steps), "step"), free)]
    if nudged != free:
        entries.append(("Nudged sweep", "with the reads of the nudge", nudged))
    if mapping.schedule.prologue:
        entries.append(("First reads", "once a phase", timing.prologue_clocks))
    entries += [
        ("Free phase", plural(controller.free_sweeps, "sweep") + before, timing.phase_clocks("free")),
        ("Nudged phase", plural(controller.nudged_sweeps, "sweep") + before, timing.phase_clocks("nudged")),
        (
            "Inference",
            "free phase and the read of its answer" if mapping.schedule.answer else "free phase",
            timing.inference_clocks,
        ),
        ("Pulses", f"of {phases} nudged phases, trains of {mapping.target.pulses.train}", timing.learning_clocks),
        ("EP step", f"free phase, {phases} nudged phases, copies of states, pulses", timing.ep_step_clocks),
    ]
    return [Duration(what, made_of, clocks, seconds(timing.seconds(clocks))) for what, made_of, clocks in entries]


def bottleneck(mapping: Mapping) -> tuple[str, int] | None:
    """The matrix whose busiest copy is read longest in a sweep, both directions together, and its clocks.

    None if a free sweep reads nothing, as behind clamped inputs alone.
    """
    timing = mapping.timing
    busy: dict[tuple[str, int], int] = {}
    for step in mapping.schedule.steps:
        for reads in step.rounds:
            for read in reads:
                key = read.matrix, read.replica
                busy[key] = busy.get(key, 0) + timing.read_clocks(read)
    if not busy:
        return None
    (name, _), clocks = max(busy.items(), key=lambda item: item[1])
    return name, clocks


@dataclass(frozen=True)
class Balance:
    """Where the clocks of a sweep go.

    Attributes:
        rounds, waiting_rounds: of a sweep, and those that last until their codes have passed the lanes.
        array_clocks, lane_clocks, update_clocks: the longest read of every round, what lanes add to it, and updates;
            together the sweep.
        bound: ``lane-bound`` if more clocks go by in rounds that wait for lanes, and in updates, than in the others;
            else ``array-bound``.
    """

    rounds: int
    waiting_rounds: int
    array_clocks: int
    lane_clocks: int
    update_clocks: int
    bound: str


def balance(timing: Timing) -> Balance:
    steps = sweep(timing)
    rounds = [span for step in steps for span in step.rounds]
    waiting = [span for span in rounds if span.waits_for_lanes]
    total, updates = steps[-1].end, sum(step.end - step.update_start for step in steps)
    arrays = sum(span.array_clocks for span in rounds)
    through_lanes = sum(span.clocks for span in waiting) + updates
    bound = "lane-bound" if 2 * through_lanes > total else "array-bound"
    return Balance(len(rounds), len(waiting), arrays, total - arrays - updates, updates, bound)


def target_timings(mapping: Mapping) -> list[tuple[str, str, str]]:
    """What the clocks were counted with: (name, value, clocks)."""
    target, reads = mapping.target, mapping.timing.reads
    rows: list[tuple[str, str, str]] = []
    alike = target.transposed_dac is None and target.transposed_adc is None
    for way in DIRECTIONS[: 1 if alike else 2]:
        dac, adc, only = target.dac_of(way), target.adc_of(way), "" if alike else f", {way}"
        rows += [
            (f"DACs settle{only}", si(dac.settle_s, "s"), str(reads.clocks(dac.settle_s))),
            (
                f"Conversions{only}",
                f"{adc.sharing} × {si(adc.time_s, 's')} (lines that share an ADC)",
                f"{adc.sharing} × {reads.clocks(adc.time_s)}",
            ),
        ]
        if dac.input == "bit-serial":
            rows.append((f"Bit-serial input{only}", f"{dac.bits} bits, the sign not among the reads", "each"))
    rows.insert(1, ("Integration", si(reads.integration_s, "s"), str(reads.clocks(reads.integration_s))))
    rows.append(("Lines discharge", si(target.read.discharge_s, "s"), str(reads.clocks(target.read.discharge_s))))
    if target.read.average > 1:
        rows.append(("Averaged conversions", str(target.read.average), "each"))
    if target.cell.slices > 1:
        rows.append(("Slices, transposed", str(target.cell.slices), "each"))
    rows.append(("Clock", si(target.controller.clock_hz, "Hz"), ""))
    rows.append(("Lanes", f"{plural(target.controller.lanes, 'code')} or states a clock", ""))
    return rows
