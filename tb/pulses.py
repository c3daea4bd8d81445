"""Trains of pulses on the arrays' side: where they meet, and what ``sim`` says of the same states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

import mapping
from hw.beats import Beat
from hw.config import ControllerConfig
from hw.link import Linked
from hw.link_layers import Row
from hw.tables import address
from mapping.program import Opcode
from sim.learning.registers import RegisterTrains
from tb.arrays import Codes
from tb.traffic import ControllerError, fields

# Of a beat of the stream ``pulse``.
CROSSBAR, IS_ROW, LINE, STRIDE, MASK, PULSES, NEGATIVE, LAST = range(8)


@dataclass(frozen=True)
class Counts:
    """How often devices were pulsed: up and down, each int64 [crossbars, rows, weights of a row]."""

    up: Codes
    down: Codes

    @classmethod
    def none(cls, config: ControllerConfig) -> Counts:
        shape = (config.crossbars, 1 << config.line_bits, 1 << config.line_bits)
        return cls(np.zeros(shape, np.int64), np.zeros(shape, np.int64))

    def add(self, crossbar: int, rows: Codes, columns: Codes, up: Codes, down: Codes) -> None:
        """What devices at some lines of a crossbar met, [rows, columns]."""
        np.add.at(self.up[crossbar], np.ix_(rows, columns), up)
        np.add.at(self.down[crossbar], np.ix_(rows, columns), down)

    def equals(self, other: Counts) -> bool:
        return np.array_equal(self.up, other.up) and np.array_equal(self.down, other.down)


class PulseCounter:
    """Beats of ``pulse`` as they come: in each slot the devices move whose row and column pulse.

    Attributes:
        counts: of all slots that are over.
        slots: that are over; met: those in which a device moved.
    """

    def __init__(self, config: ControllerConfig) -> None:
        self.config, self.counts = config, Counts.none(config)
        self.slots = self.met = 0
        lanes = [config.lanes] * 3
        self.widths = [address(config.crossbars), 1, config.line_bits, config.line_bits, *lanes, 1]
        self.open = np.zeros((0, len(self.widths)), np.int64)

    def forget(self) -> None:
        """Drop a slot under way: it was aborted."""
        self.open = self.open[:0]

    def take(self, words: np.ndarray) -> None:
        """Beats, [beats, 32-bit words].

        Raises:
            ControllerError: for a slot on two crossbars, or pulses on lines that a beat has not.
        """
        beats = np.concatenate([self.open, fields(words, self.widths, set(range(8)))])
        ends = np.flatnonzero(beats[:, LAST])
        whole = beats[: ends[-1] + 1 if len(ends) else 0]
        self.open = beats[len(whole) :]
        if not len(whole):
            return
        slot = np.cumsum(whole[:, LAST]) - whole[:, LAST]
        if (whole[:, CROSSBAR] != whole[ends[slot], CROSSBAR]).any() or (whole[:, PULSES] & ~whole[:, MASK]).any():
            raise ControllerError("a slot on two crossbars, or pulses where a beat has no lines")
        for crossbar in np.unique(whole[:, CROSSBAR]):
            here = whole[:, CROSSBAR] == crossbar
            self.count(int(crossbar), whole[here], np.unique(slot[here], return_inverse=True)[1])
        self.slots += len(ends)

    def count(self, crossbar: int, beats: Codes, slot: Codes) -> None:
        """Slots of one crossbar, of which each beat has its number."""
        lanes, lines = np.arange(self.config.lanes), 1 << self.config.line_bits
        sides = np.zeros((2, slot.max() + 1, lines), np.float32)
        line = beats[:, [LINE]] + lanes * beats[:, [STRIDE]] & lines - 1
        signs = np.where(beats[:, [NEGATIVE]] >> lanes & 1, -1, 1) * (beats[:, [PULSES]] >> lanes & 1)
        beat, lane = np.nonzero(signs)
        sides[beats[beat, IS_ROW], slot[beat], line[beat, lane]] = signs[beat, lane]
        columns, rows = sides
        net, both = rows.T @ columns, np.abs(rows).T @ np.abs(columns)
        self.met += int((rows.any(1) & columns.any(1)).sum())
        every = np.arange(lines)
        self.counts.add(crossbar, every, every, *((both + sign * net).astype(np.int64) // 2 for sign in (1, -1)))


def golden(
    mapped: mapping.Mapping,
    linked: Linked,
    config: ControllerConfig,
    trains: RegisterTrains,
    gains: Mapping[str, float],
    plus: Mapping[str, Codes],
    minus: Mapping[str, Codes],
) -> Counts:
    """What devices meet after two nudged phases, matrix after matrix as the program has them, tile after tile.

    Args:
        trains: of codes (``step`` 1); they go on.
        gains: by matrix, wanted coincidences where the codes of both sides are 1.
        plus, minus: states of all layers as codes, clamped ones too, in the phases of +beta and of -beta.
    """
    counts = Counts.none(config)
    for index in (word.index for word in linked.program if word.opcode == Opcode.CONTRAST):
        name, row = linked.contrast_names[index], linked.contrasts[index]
        matrix, per_weight = mapped.matrices[name], mapped.encoding(name).devices_per_weight
        lowering = matrix.lowering
        edge = next(edge for edge in mapped.network.edges if edge.name == matrix.coupling)
        # At each position the states of +beta, then those of -beta, for which pulses go the other way.
        x, y = (torch.zeros(2 * lowering.positions, lines) for lines in (lowering.rows, lowering.columns))
        for first, states, sign in ((0, plus, 1.0), (1, minus, -1.0)):
            x[first::2] = lowering.rows_by_position(torch.from_numpy(states[edge.pre])[None].float()) * sign
            y[first::2] = lowering.columns_by_position(torch.from_numpy(states[edge.post])[None].float())
        for replica in matrix.replicas:
            for number, of_rows, of_columns in by_tile(linked, row):
                tile = replica.tiles[number]
                rows, columns = lines_of(of_rows, linked.lanes), lines_of(of_columns, linked.lanes)
                up, down = trains.up_and_down(
                    placed(x[:, slice(*tile.rows)], rows), placed(y[:, slice(*tile.columns)], columns), gains[name]
                )
                used = rows >= 0, columns >= 0
                counts.add(
                    tile.crossbar,
                    tile.at[0] + rows[used[0]],
                    tile.at[1] // per_weight + columns[used[1]],
                    *(each.numpy().astype(np.int64)[np.ix_(*used)] for each in (up, down)),
                )
    return counts


def by_tile(linked: Linked, row: Row) -> Iterator[tuple[int, list[Beat], list[Beat]]]:
    """Tiles of a copy in the order in which they are pulsed: number, beats of rows, beats of columns."""
    sides = [
        linked.sense[row[f"{lines}_first"] : row[f"{lines}_first"] + row[f"{lines}_count"]]
        for lines in ("row", "column")
    ]
    for tile in dict.fromkeys(beat.tile for beat in sides[0]):
        of_rows, of_columns = ([beat for beat in side if beat.tile == tile] for side in sides)
        yield tile, of_rows, of_columns


def lines_of(beats: Sequence[Beat], lanes: int) -> Codes:
    """Line of a tile in each lane of its beats, -1 where a lane has none."""
    return np.array(
        [beat.line + lane * beat.stride if beat.mask >> lane & 1 else -1 for beat in beats for lane in range(lanes)]
    )


def placed(values: Tensor, lines: Codes) -> Tensor:
    """[samples, lines of a tile] as the lanes of its beats have them: 0 where a lane has none."""
    return torch.where(torch.from_numpy(lines >= 0), values[:, lines.clip(min=0)], 0.0)
