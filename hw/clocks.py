"""How many clocks the controller takes, worked out from its tables clock for clock.

Of a turn three things overlap: its lines are driven, the arrays work, codes of the turn before are asked for.

    loaded[n]  = applied[n - 1] + 1 + drive beats
    applied[n] = max(loaded[n], rests[n - 1]) + 1
    latched[n] = max(applied[n] + 1 + settle + average (integrate + conversions convert), asked[n - 1])
    rests[n]   = latched[n] + 1 + discharge
    asked[n]   = latched[n] + sense beats x average

A read is fed while the one before drives, drives while the one before is sensed. The arrays' answers are taken to come
a clock after their requests, and every stream to be taken at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hw.config import ControllerConfig
from hw.dac_feeder import DacFeeder
from hw.link import FREE_SWEEPS, Linked
from hw.nudger import SquaredErrorNudger
from hw.scaler import Scaler
from hw.sequencer import LAYER_OPERATIONS
from mapping.program import Instruction, Opcode

FETCH = 3  # clocks of every word: asked for, taken, decoded
CLEAN = 1  # a start after a HALT: no sums to clear
FEED_LATENCY = 4 + DacFeeder.latency  # from a row to its first code in a bank
CHAIN_LATENCY = Scaler.latency  # of sums on their way to be codes
DRIVE_LATENCY = 9  # from a read that is fed to its first beat
SENSE_LATENCY = 9  # from a read's first turn to its first request
ADD_LATENCY = 6  # from the last request to the last sum, and until that is seen
UPDATE_LATENCY = FETCH + 17 + Scaler.latency + SquaredErrorNudger.latency  # started, its pipeline, seen to be over


@dataclass(frozen=True)
class Times:
    """Times of the arrays in clocks, as in the registers."""

    settle: tuple[int, int]
    integrate: int
    convert: tuple[int, int]
    discharge: int
    average: int

    @classmethod
    def of(cls, config: ControllerConfig) -> Times:
        """Those after reset."""
        return cls(
            (config.settle_clocks, config.transposed_settle_clocks),
            config.integrate_clocks,
            (config.convert_clocks, config.transposed_convert_clocks),
            config.discharge_clocks,
            config.average,
        )

    def changed(self, registers: Mapping[str, int]) -> Times:
        """With other values in the registers time_NAME, by NAME."""

        def ways(name: str, held: tuple[int, int]) -> tuple[int, int]:
            return registers.get(name, held[0]), registers.get(f"transposed_{name}", held[1])

        return Times(
            ways("settle", self.settle),
            registers.get("integrate", self.integrate),
            ways("convert", self.convert),
            registers.get("discharge", self.discharge),
            self.average,
        )

    @property
    def conversions(self) -> int:
        """Of each beat: a register of 0 counts as 1."""
        return max(1, self.average)

    def reading(self, row: dict[str, Any]) -> int:
        """Clocks from lines that are driven to codes that are there."""
        way = row["transposed"]
        once = self.integrate + max(1, row["conversions"]) * max(1, self.convert[way])
        return self.settle[way] + self.conversions * once


@dataclass
class _Reader:
    """When each stage of the reader is done with what it has; clocks count from the first READ's word of a round.

    Attributes:
        row_taken: the feeder took a row of the table; free: it takes the next.
        driver_free: the lines of a read were driven, the driver takes the next.
        rests: the arrays do. asked: the codes of the turn before were asked for.
    """

    feed_latency: int
    times: Times
    row_taken: int = 0
    free: int = 0
    driver_free: int = 0
    rests: int = 0
    asked: int = 0

    def read(self, linked: Linked, row: dict[str, Any], given: int) -> None:
        """A read whose READ the sequencer gives in clock ``given``."""
        self.row_taken = max(given + 1, self.free)
        taken = max(self.row_taken + self.feed_latency + row["feed_words"], self.driver_free)
        self.free = taken + 1
        drive, sense = (turns_of(getattr(linked, kind), row[f"{kind}_first"]) for kind in ("drive", "sense"))
        reading = self.times.reading(row)
        driven_from, sensed_from = taken + DRIVE_LATENCY, 0
        for number in range(row["rows"] * row["columns"] * len(drive)):
            turn = number % len(drive)
            applied = max(driven_from + drive[turn], self.rests) + 1
            latched = max(applied + 1 + reading, self.asked)
            if number == 0:
                sensed_from = max(applied, self.asked) + SENSE_LATENCY
            self.asked = max(latched + 1, sensed_from) + sense[turn] * self.times.conversions - 1
            self.rests = latched + 1 + self.times.discharge
            driven_from = applied + 1
        self.driver_free = driven_from


def round_clocks(linked: Linked, rows: Sequence[dict[str, Any]], times: Times) -> int:
    """From the first READ's word to the word behind WAIT."""
    reader = _Reader(FEED_LATENCY + CHAIN_LATENCY * any(row["from_sums"] for row in linked.reads), times)
    clock = 0
    for number, row in enumerate(rows):
        given = clock + FETCH if number == 0 else max(clock + FETCH, reader.row_taken + 1)
        reader.read(linked, row, given)
        clock = given + 1
    return max(clock + FETCH, reader.asked + ADD_LATENCY, reader.rests + 1) + 1


def turns_of(beats: Any, first: int) -> list[int]:
    """How many beats each turn of a list has."""
    found, count = [], 0
    for beat in beats[first:]:
        count += 1
        if beat.turn_last:
            found.append(count)
            count = 0
        if beat.last:
            break
    return found


def section_clocks(linked: Linked, times: Times) -> dict[str, int]:
    """Clocks of the program outside its loops, and of one sweep of a free and of a nudged phase."""
    found = {"once": CLEAN, "free sweep": 0, "nudged sweep": 0}
    where, reads = "once", []
    for word in linked.program:
        if word.opcode == Opcode.LOOP:  # its word runs once
            found[where] += FETCH
            where = "free sweep" if word.flags == FREE_SWEEPS else "nudged sweep"
            found[where] = 0  # phases of one kind have the same sweep
        elif word.opcode == Opcode.END:
            found[where] += FETCH
            where = "once"
        elif word.opcode == Opcode.READ:
            reads.append(linked.reads[word.index])
        elif word.opcode == Opcode.WAIT:
            found[where] += round_clocks(linked, reads, times)
            reads = []
        else:
            found[where] += word_clocks(linked, word)
    return found


def word_clocks(linked: Linked, word: Instruction) -> int:
    """A word that works on a whole layer, or at once."""
    if word.opcode == Opcode.CLEAR:
        return FETCH + 4 + word.number
    if word.opcode not in LAYER_OPERATIONS:
        return FETCH
    layer = linked.layers[word.index]
    if word.opcode in (Opcode.UPDATE, Opcode.KEEP):
        sources: int = layer["sources"] if word.opcode == Opcode.UPDATE else layer["inputs"]
        return int(layer["words"]) * sources + UPDATE_LATENCY
    if word.opcode == Opcode.ANSWER:
        return int(layer["units"]) + FETCH + 12
    return int(layer["words"]) + FETCH + (6 if word.opcode == Opcode.RESET else 9)


def step_clocks(linked: Linked, times: Times, free_sweeps: int, nudged_sweeps: int) -> int:
    """One EP step without contrasts: phases, answer, copies."""
    sections = section_clocks(linked, times)
    nudged = sum(word.opcode == Opcode.LOOP and word.flags != FREE_SWEEPS for word in linked.program)
    return sections["once"] + free_sweeps * sections["free sweep"] + nudged * nudged_sweeps * sections["nudged sweep"]


def sweep_beats(linked: Linked) -> int:
    """Answers of ADCs that one sweep of a free phase takes, without averaging: its clocks were the lanes never idle."""
    inside, found = False, 0
    for word in linked.program:
        if word.opcode == Opcode.LOOP:
            inside = word.flags == FREE_SWEEPS
        elif word.opcode == Opcode.END:
            inside = False
        elif word.opcode == Opcode.READ and inside:
            row = linked.reads[word.index]
            found += row["sense_count"] * row["rows"] * row["columns"]
    return found


def contrast_clocks(linked: Linked) -> int:
    """All gradients of an EP step, about: a beat of columns takes 4 clocks a position and 11 more, for every row."""
    found = 0
    for row in linked.contrasts:
        rows = linked.sense[row["row_first"] : row["row_first"] + row["row_count"]]
        columns = linked.sense[row["column_first"] : row["column_first"] + row["column_count"]]
        beats = sum(one.mask.bit_count() * sum(other.tile == one.tile for other in columns) for one in rows)
        found += beats * (4 * row["rows"] * row["columns"] + 11)
    return found
