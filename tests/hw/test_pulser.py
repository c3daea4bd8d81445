# amaranth: UnusedElaboratable=no
"""Truth: ``mapping.arithmetic.trains`` on plain integers, slot by slot; timing, clock by clock. Equal, not close."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import pytest
import torch
from amaranth import signed
from amaranth.sim import Simulator
from streams import pauses

from hw.dac_feeder import DacFeeder
from hw.pulser import Pulser
from mapping.arithmetic import Scaling
from mapping.arithmetic.trains import (
    COLUMN_SHIFTS,
    DrawnTrains,
    FixedTrains,
    Trains,
    coincidences,
    sign,
    stride,
    train,
    train_,
)
from mapping.dither import Lfsr

ROWS, COLUMNS = Lfsr(9, seed=0x1A5), Lfsr(9, seed=0x0EF, shifts=COLUMN_SHIFTS)
SCALINGS = Scaling.nearest(2.345), Scaling.nearest(3.671)
PATTERNS = [("1", "1"), ("1", "0001"), ("001", "1"), (pauses(1, 0.5), pauses(2, 0.5))]
PULSE, GAP = 3, 2

Groups = list[dict[str, Any]]


@dataclass
class Seen:
    """Beats that were taken, ``pulsing`` of each clock, and the clocks of the last group and of the ends of trains."""

    beats: list[Any] = field(default_factory=list)
    pulsing: str = ""
    last_group: int = 0
    done: list[int] = field(default_factory=list)


def groups(x: list[int], y: list[int], lanes: int) -> Groups:
    """Rows, then columns, L at a time; lanes without a line hold anything."""
    given = []
    for values, is_row in ((x, 1), (y, 0)):
        for first in range(0, len(values), lanes):
            part = values[first : first + lanes]
            codes, used = part + [-77] * (lanes - len(part)), 2 ** len(part) - 1
            given.append({"codes": codes, "used": used, "is_row": is_row, "last": 0})
    given[-1]["last"] = 1
    return given


def rules(scalings: tuple[Scaling, Scaling] = SCALINGS) -> dict[str, Any]:
    rows, columns = ({"multiplier": scaling.multiplier, "shift": scaling.shift} for scaling in scalings)
    return {"row_rule": rows, "column_rule": columns, "pulse_clocks": PULSE, "gap_clocks": GAP}


def fixed_ports(slots: int) -> dict[str, Any]:
    return {"slots": slots, "fixed": 1, "stride": stride(slots)}


async def play(
    ctx: Any,
    pulser: Pulser,
    trains: list[Groups],
    offered: str = "1",
    taken: str = "1",
    until: Callable[[int], bool] = lambda clock: False,
) -> Seen:
    """Gives trains one after the other and checks both streams, to the end of the last train or ``until`` a clock."""
    seen, queue = Seen(), [group for train in trains for group in train]
    offering, held, clock = False, None, 0
    while len(seen.done) < len(trains) and not until(clock):
        if not offering and queue and offered[clock % len(offered)] == "1":
            offering = True
            ctx.set(pulser.i.payload, queue[0])
        ctx.set(pulser.i.valid, offering)
        ctx.set(pulser.o.ready, 0)
        without_ready, ready = ctx.get(pulser.o.valid), taken[clock % len(taken)] == "1"
        ctx.set(pulser.o.ready, ready)
        valid, beat = ctx.get(pulser.o.valid), ctx.get(pulser.o.payload)
        assert valid == without_ready, "valid depends on ready"
        assert held is None or (valid and beat == held), "not held until taken"
        held = beat if valid and not ready else None
        if valid and ready:
            seen.beats.append(beat)
        seen.pulsing += str(ctx.get(pulser.pulsing))
        if ctx.get(pulser.done):
            seen.done.append(clock)
        if offering and ctx.get(pulser.i.ready):
            seen.last_group, offering = clock, False
            queue.pop(0)
        await ctx.tick()
        clock += 1
        assert clock < 20_000, "stuck"
    ctx.set(pulser.i.valid, 0)
    return seen


def run(bench: Callable[[Any], Any], pulser: Pulser) -> None:
    simulator = Simulator(pulser)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()


def played(pulser: Pulser, ports: dict[str, Any], trains: list[Groups], offered: str = "1", taken: str = "1") -> Seen:
    found = Seen()

    async def bench(ctx: Any) -> None:
        nonlocal found
        for name, value in ports.items():
            ctx.set(getattr(pulser, name), value)
        found = await play(ctx, pulser, trains, offered, taken)

    run(bench, pulser)
    return found


def beats_of(x: list[int], y: list[int], lanes: int, rows: Trains, columns: Trains, slots: int) -> list[Any]:
    """What the golden model gives out, group by group."""
    given, found = groups(x, y, lanes), []
    sides = {1: (x, train(x, rows, slots)), 0: (y, train(y, columns, slots))}
    row_groups = sum(group["is_row"] for group in given)
    for slot in range(slots):
        for place, group in enumerate(given):
            values, bits = sides[group["is_row"]]
            first = (place if group["is_row"] else place - row_groups) * lanes
            here = range(first, min(first + lanes, len(values)))
            found.append(
                {
                    "is_row": group["is_row"],
                    "used": group["used"],
                    "pulses": sum(bits[slot][line] << line - first for line in here),
                    "negative": sum((values[line] < 0) << line - first for line in here),
                    "place": place,
                    "last": int(place == len(given) - 1),
                }
            )
    return found


def as_dicts(beats: list[Any]) -> list[dict[str, int]]:
    names = ("is_row", "used", "pulses", "negative", "place", "last")
    return [{name: beat[name] for name in names} for beat in beats]


def meeting(x: list[int], y: list[int], rows: Trains, columns: Trains, slots: int) -> list[bool]:
    """Of each slot, whether a device is met."""
    sides = zip(train(x, rows, slots), train(y, columns, slots), strict=True)
    return [any(row) and any(column) for row, column in sides]


def some_values(seed: int, count: int) -> list[int]:
    """Both ends, zero, one, and random ones, among them some that scale beyond the largest share."""
    draw = random.Random(seed)
    return [-256, 255, 0, 1, -1, *(draw.randrange(-256, 256) for _ in range(count))][:count]


@pytest.mark.parametrize("lanes", [1, 4, 7])
def test_drawn_pulses_are_the_golden_models_train_after_train(lanes: int) -> None:
    slots, x, y = 9, some_values(1, 11), some_values(2, 6)
    pulser = Pulser(signed(9), lanes, lines=12, rows=ROWS, columns=COLUMNS)
    rows: Trains = DrawnTrains(SCALINGS[0], ROWS, lanes)
    columns: Trains = DrawnTrains(SCALINGS[1], COLUMNS, lanes)

    async def bench(ctx: Any) -> None:
        nonlocal rows, columns
        for name, value in (rules() | {"slots": slots}).items():
            ctx.set(getattr(pulser, name), value)
        for offered, taken in PATTERNS:
            seen = await play(ctx, pulser, [groups(x, y, lanes), groups(y, x, lanes)], offered, taken)
            first = beats_of(x, y, lanes, rows, columns, slots)
            rows, columns = rows.after(slots, len(x)), columns.after(slots, len(y))
            then = beats_of(y, x, lanes, rows, columns, slots)
            rows, columns = rows.after(slots, len(y)), columns.after(slots, len(x))
            assert as_dicts(seen.beats) == first + then
            assert 0 < sum(beat["pulses"].bit_count() for beat in first) < slots * (len(x) + len(y))

    run(bench, pulser)


def test_drawn_pulses_of_the_default_registers_are_the_golden_models() -> None:
    slots, x, y, scaling = 20, some_values(3, 6), some_values(4, 9), Scaling.nearest(300.3)
    rows, columns = DrawnTrains(scaling, Lfsr(), 4), DrawnTrains(scaling, Lfsr(shifts=COLUMN_SHIFTS), 4)
    seen = played(Pulser(signed(9), 4), rules((scaling, scaling)) | {"slots": slots}, [groups(x, y, 4)])
    assert as_dicts(seen.beats) == beats_of(x, y, 4, rows, columns, slots)


def test_fixed_pulses_are_the_golden_models() -> None:
    lanes, x, y = 4, some_values(3, 6), some_values(4, 9)
    pulser = Pulser(signed(9), lanes, lines=12, rows=ROWS, columns=COLUMNS)

    async def bench(ctx: Any) -> None:
        for slots in (1, 2, 21):
            scalings = Scaling.nearest(slots / 250), Scaling.nearest(slots / 180)
            rows, columns = FixedTrains(scalings[0], slots), FixedTrains(scalings[1], slots, stride(slots))
            for name, value in (rules(scalings) | fixed_ports(slots)).items():
                ctx.set(getattr(pulser, name), value)
            for offered, taken in PATTERNS:
                seen = await play(ctx, pulser, [groups(x, y, lanes)] * 2, offered, taken)
                assert as_dicts(seen.beats) == beats_of(x, y, lanes, rows, columns, slots) * 2

    run(bench, pulser)


def test_drawn_numbers_go_on_where_they_were_before_fixed_trains_and_loads_set_them() -> None:
    lanes, slots, x = 4, 5, some_values(5, 5)
    pulser = Pulser(signed(9), lanes, rows=ROWS, columns=COLUMNS)
    rows, columns = DrawnTrains(SCALINGS[0], ROWS, lanes), DrawnTrains(SCALINGS[1], COLUMNS, lanes)

    async def bench(ctx: Any) -> None:
        for name, value in (rules() | {"slots": slots}).items():
            ctx.set(getattr(pulser, name), value)
        await play(ctx, pulser, [groups(x, x, lanes)])
        here = ctx.get(pulser.row_number), ctx.get(pulser.column_number)
        assert here == (rows.after(slots, 5).lfsr.seed, columns.after(slots, 5).lfsr.seed)
        ctx.set(pulser.fixed, 1)
        ctx.set(pulser.stride, stride(slots))
        await play(ctx, pulser, [groups(x, x, lanes)])
        assert (ctx.get(pulser.row_number), ctx.get(pulser.column_number)) == here
        ctx.set(pulser.fixed, 0)
        for name, value in {"load": 1, "row_seed": ROWS.seed, "column_seed": COLUMNS.seed}.items():
            ctx.set(getattr(pulser, name), value)
        await ctx.tick()
        ctx.set(pulser.load, 0)
        seen = await play(ctx, pulser, [groups(x, x, lanes)])
        assert as_dicts(seen.beats) == beats_of(x, x, lanes, rows, columns, slots)

    run(bench, pulser)


def test_pulses_and_gaps_last_as_long_as_stated_and_come_only_where_devices_are_met() -> None:
    lanes, slots, x, y = 4, 40, [80, -9, 0, 15, 3], [-40, 8]
    rows: Trains = DrawnTrains(SCALINGS[0], ROWS, lanes)
    columns: Trains = DrawnTrains(SCALINGS[1], COLUMNS, lanes)
    pulser = Pulser(signed(9), lanes, lines=8, rows=ROWS, columns=COLUMNS)
    slot_clocks = len(groups(x, y, lanes)) + 6

    async def bench(ctx: Any) -> None:
        nonlocal rows, columns
        counted = 0
        for pulse, gap in ((1, 0), (0, 1), (3, 2), (20, 16)):
            for name, value in (rules() | {"slots": slots, "pulse_clocks": pulse, "gap_clocks": gap}).items():
                ctx.set(getattr(pulser, name), value)
            seen = await play(ctx, pulser, [groups(x, y, lanes)])
            met = meeting(x, y, rows, columns, slots)
            rows, columns = rows.after(slots, len(x)), columns.after(slots, len(y))
            assert 0 < sum(met) < slots
            counted += sum(met)
            assert ctx.get(pulser.pulses) == counted
            first, end, on = seen.last_group + 3 + DacFeeder.latency, seen.done[0], max(1, pulse)
            wanted = "".join("0" * slot_clocks + ("1" * on + "0" * gap if here else "") for here in met)
            assert seen.pulsing[first:end] == wanted
            assert end - seen.last_group == 3 + DacFeeder.latency + slots * slot_clocks + sum(met) * (on + gap)
            assert "1" not in seen.pulsing[:first] + seen.pulsing[end:]

    run(bench, pulser)


def test_no_slots_are_done_at_once_and_one_side_alone_never_pulses() -> None:
    pulser = Pulser(signed(9), 4, lines=8, rows=ROWS, columns=COLUMNS)
    seen = played(pulser, rules() | {"slots": 0}, [groups([5], [5], 4)] * 2)
    assert (seen.beats, len(seen.done), "1" in seen.pulsing) == ([], 2, False)
    seen = played(pulser, rules() | {"slots": 3}, [groups([255] * 8, [], 4)])
    assert [beat["pulses"] for beat in seen.beats] == [15] * 6
    assert "1" not in seen.pulsing


def test_abort_in_every_clock_of_a_train_ends_the_pulse_at_once_and_leaves_nothing_behind() -> None:
    lanes, slots, x, y = 4, 2, [200, -100, 30, 4, 5], [-255, 255]
    pulser = Pulser(signed(9), lanes, lines=8, rows=ROWS, columns=COLUMNS)
    ports = rules() | {"slots": slots, "row_seed": ROWS.seed, "column_seed": COLUMNS.seed}
    rows, columns = DrawnTrains(SCALINGS[0], ROWS, lanes), DrawnTrains(SCALINGS[1], COLUMNS, lanes)
    wanted, cut = beats_of(x, y, lanes, rows, columns, slots), 0

    async def bench(ctx: Any) -> None:
        nonlocal cut
        for name, value in ports.items():
            ctx.set(getattr(pulser, name), value)
        whole = (await play(ctx, pulser, [groups(x, y, lanes)])).done[0]
        for taken in ("1", "001"):
            for clock in range(whole + 1):
                ctx.set(pulser.load, 1)
                await ctx.tick()
                ctx.set(pulser.load, 0)
                await play(ctx, pulser, [groups(x, y, lanes)] * 2, taken=taken, until=lambda now, end=clock: now == end)
                cut += ctx.get(pulser.pulsing)
                ctx.set(pulser.abort, 1)
                ctx.set(pulser.i.valid, 1)
                assert not ctx.get(pulser.pulsing)
                assert not ctx.get(pulser.i.ready)
                await ctx.tick()
                ctx.set(pulser.abort, 0)
                ctx.set(pulser.load, 1)
                assert not ctx.get(pulser.o.valid)
                assert not ctx.get(pulser.busy)
                ctx.set(pulser.i.valid, 0)
                await ctx.tick()
                ctx.set(pulser.load, 0)
                seen = await play(ctx, pulser, [groups(x, y, lanes)])
                assert as_dicts(seen.beats) == wanted

    run(bench, pulser)
    assert cut > 0


def test_no_more_groups_are_taken_than_there_is_room_for() -> None:
    pulser = Pulser(signed(9), 2, lines=4)
    endless = [{"codes": [1, 1], "used": 3, "is_row": 1, "last": 0}] * 9

    async def bench(ctx: Any) -> None:
        taken = 0
        for group in endless:
            ctx.set(pulser.i.payload, group)
            ctx.set(pulser.i.valid, 1)
            taken += ctx.get(pulser.i.ready)
            await ctx.tick()
        assert taken == 4
        ctx.set(pulser.abort, 1)
        await ctx.tick()
        ctx.set(pulser.abort, 0)
        assert ctx.get(pulser.i.ready)

    run(bench, pulser)


@pytest.mark.parametrize("kind", ["drawn", "fixed"])
def test_pulses_add_up_to_the_coincidences_of_integers_and_of_tensors(kind: str) -> None:
    lanes, slots, x, y = 8, 31, some_values(8, 13), some_values(9, 10)
    rows: Trains = DrawnTrains(SCALINGS[0], ROWS, lanes)
    columns: Trains = DrawnTrains(SCALINGS[1], COLUMNS, lanes)
    ports = rules() | {"slots": slots}
    if kind == "fixed":
        scalings = Scaling.nearest(slots / 250), Scaling.nearest(slots / 180)
        rows, columns = FixedTrains(scalings[0], slots), FixedTrains(scalings[1], slots, stride(slots))
        ports = rules(scalings) | fixed_ports(slots)
    seen = played(Pulser(signed(9), lanes, lines=16, rows=ROWS, columns=COLUMNS), ports, [groups(x, y, lanes)])
    counts = [[0] * len(y) for _ in x]
    for slot in range(slots):
        lines: dict[int, list[int]] = {1: [], 0: []}
        for beat in seen.beats[4 * slot : 4 * slot + 4]:
            bits = zip(f"{beat['pulses']:08b}"[::-1], f"{beat['negative']:08b}"[::-1], strict=True)
            lines[beat["is_row"]] += [int(pulse) * (-1 if negative == "1" else 1) for pulse, negative in bits]
        for i in range(len(x)):
            for j in range(len(y)):
                counts[i][j] += lines[1][i] * lines[0][j]
    assert counts == coincidences(x, y, rows, columns, slots)
    pulses = [
        train_(torch.tensor([values], dtype=torch.float32), trains, slots)[0].int().T.tolist()
        for values, trains in ((x, rows), (y, columns))
    ]
    met = [[sum(a * b for a, b in zip(row, column, strict=True)) for column in pulses[1]] for row in pulses[0]]
    assert counts == [[sign(a) * sign(b) * met[i][j] for j, b in enumerate(y)] for i, a in enumerate(x)]
    assert [len(list(same)) for level, same in groupby(seen.pulsing) if level == "1"] == [PULSE] * sum(
        meeting(x, y, rows, columns, slots)
    )


def test_refuses_registers_of_two_widths_and_no_lines() -> None:
    with pytest.raises(ValueError, match="registers of 8 and 16 bits"):
        Pulser(signed(9), 4, rows=Lfsr(8))
    with pytest.raises(ValueError, match="0 lanes"):
        Pulser(signed(9), 0)
    with pytest.raises(ValueError, match="0 lines"):
        Pulser(signed(9), 4, lines=0)
