"""How many clocks the controller takes, worked out from its tables.

Of a turn three things overlap: its lines are driven, the arrays work, codes of the turn before are collected.

    turn      max(drive beats, sense beats x average,
                  3 + settle + average (integrate + conversions convert) + discharge)
    round     feed of its first read + the turns of all its reads at all positions + FILL a read + ROUND
    UPDATE    words x sources + PIPELINE; RESET, copies: words; every word of the program FETCH more

Feeds of later reads, and the drive of a read's first turn, overlap with the reads before them. The arrays' answers are
taken to come a clock after their requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hw.config import ControllerConfig
from hw.dac_feeder import DacFeeder
from hw.link import FREE_SWEEPS, Linked
from hw.neuron import Neuron
from hw.nudger import SquaredErrorNudger
from hw.scaler import Scaler
from mapping.program import Opcode

FETCH = 2  # clocks of every word: asked for, decoded
STARTING = 2  # of a block: told, and seen to be over
FILL = 5  # from one read to the next: its list, its first beats
ROUND = 24 + DacFeeder.latency  # from the first feed to the first beat, and from the last to the end of WAIT


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

    def turn(self, row: dict[str, Any]) -> int:
        """Clocks that a turn keeps the arrays."""
        way = row["transposed"]
        reading = self.integrate + row["conversions"] * max(1, self.convert[way])
        return 3 + self.settle[way] + self.average * reading + self.discharge


def read_clocks(linked: Linked, row: dict[str, Any], times: Times) -> int:
    """All turns of all positions of a read."""
    drive, sense = (turns_of(getattr(linked, kind), row[f"{kind}_first"]) for kind in ("drive", "sense"))
    busy = times.turn(row)
    turns = (max(d, busy, s * times.average) for d, s in zip(drive, sense, strict=True))
    return int(row["rows"] * row["columns"] * sum(turns))


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
    found = {"once": 0, "free sweep": 0, "nudged sweep": 0}
    where, reads = "once", []
    pipeline = 5 + Scaler.latency + max(SquaredErrorNudger.latency, Neuron.latency)
    for word in linked.program:
        if word.opcode == Opcode.LOOP:
            where = "free sweep" if word.flags == FREE_SWEEPS else "nudged sweep"
            found[where] = 0  # phases of one kind have the same sweep
        found[where] += FETCH
        if word.opcode == Opcode.END:
            where = "once"
        elif word.opcode == Opcode.READ:
            reads.append(linked.reads[word.index])
            found[where] += 1
        elif word.opcode == Opcode.WAIT:
            found[where] += reads[0]["feed_words"] + sum(FILL + read_clocks(linked, row, times) for row in reads)
            found[where] += ROUND
            reads = []
        elif word.opcode in (Opcode.UPDATE, Opcode.KEEP):
            layer = linked.layers[word.index]
            sources = layer["sources"] if word.opcode == Opcode.UPDATE else layer["inputs"]
            found[where] += STARTING + layer["words"] * sources + pipeline
        elif word.opcode in (Opcode.RESET, Opcode.SNAPSHOT, Opcode.RESTORE, Opcode.CAPTURE):
            found[where] += STARTING + 3 + linked.layers[word.index]["words"]
        elif word.opcode == Opcode.ANSWER:
            found[where] += STARTING + 4 + linked.layers[word.index]["units"]
        elif word.opcode == Opcode.CLEAR:
            found[where] += STARTING + 2 + word.number
    return found


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
    """All gradients of an EP step, about: a beat of columns takes 4 clocks a position and 7 more, for every row."""
    found = 0
    for row in linked.contrasts:
        rows = linked.sense[row["row_first"] : row["row_first"] + row["row_count"]]
        columns = linked.sense[row["column_first"] : row["column_first"] + row["column_count"]]
        beats = sum(one.mask.bit_count() * sum(other.tile == one.tile for other in columns) for one in rows)
        found += beats * (4 * row["rows"] * row["columns"] + 7)
    return found
