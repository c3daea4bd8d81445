"""The arrays of a chip behind the controller's ports: what the DACs hold is looked at, what the ADCs say is sim's.

A read of ``sim`` covers all positions at once, and so do its read noise and its float sums. So a whole read is worked
out when its first codes are asked for, from the codes that the feeder wrote; that the lines were driven with just
these, in every position, is checked when it is over, against the gather of the lowering (``rows_by_position``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hw.beats import Beat, groups, turns
from hw.link import Linked
from mapping import Mapping
from mapping.hardware import Direction
from mapping.lowering import Lowering
from mapping.plan import Replica
from sim.array import Array
from sim.chip import Chip
from sim.converters import laid_out
from sim.copies import Copies, layout_of
from sim.scheduled import link_of

Codes = np.ndarray
"""Whole numbers, int64."""


UNASKED = 3
"""Code of an ADC that nobody asked: not 0, so that it is noticed if it counts."""


class WrongDriveError(AssertionError):
    """Lines were driven or sensed as no read of the mapping does."""


@dataclass(frozen=True)
class Answer:
    """One read of the arrays.

    Attributes:
        row: of the reads' table.
        codes: [beats, lanes], in the order in which they are to be asked for, averaged ones side by side.
        driven: [positions, driven lines] codes of the converters that the read needs.
    """

    row: int
    codes: Codes
    driven: Codes


class Arrays:
    """Answers reads of one chip, the first of ``chip``.

    Args:
        linked: the tables that the controller runs on: they say which beats it will ask for.
        average: conversions of each read, the controller's register.
    """

    def __init__(self, chip: Chip, linked: Linked, average: int = 1) -> None:
        self.chip, self.linked, self.average = chip, linked, average
        self.mapping: Mapping = chip.mapping
        self.owner = {name: coupling for coupling, chain in self.mapping.chains.items() for name in chain}
        self._sensed: dict[int, tuple[np.ndarray, ...]] = {}

    def begin_phase(self) -> None:
        """Read noise that is frozen over a phase is drawn anew."""
        for name in self.mapping.chains:
            for array in self.chip.mapped(name).arrays:
                array.begin_phase()

    def answer(self, row: int, fed: Codes) -> Answer:
        """Convert: ``fed`` [words, lanes] are the codes of the layer that drives, as they lie in memory."""
        name, direction, number = self.linked.read_names[row]
        matrix = self.mapping.matrices[name]
        lowering, replica = matrix.lowering, matrix.replicas[number]
        shape = lowering.shapes[0 if direction == "forward" else 1]
        codes = torch.from_numpy(image_of(fed, shape)).float().unsqueeze(0)
        array, part, seen = self.array(name, number, direction, codes)
        gathered = part.rows_by_position(seen) if direction == "forward" else part.columns_by_position(seen)
        driven = gathered.numpy().astype(np.int64)
        path = array.rows_read if direction == "forward" else array.columns_read
        given = seen if direction == "forward" else part.columns_of(seen)
        converted = path.codes(laid_out(given))
        return Answer(row, self.beats(row, replica, direction, [by_position(each) for each in converted]), driven)

    def array(self, name: str, number: int, direction: Direction, codes: Tensor) -> tuple[Array, Lowering, Tensor]:
        """The copy of a matrix that reads, its part of the lowering, and what of the codes it sees."""
        link = link_of(self.chip, self.owner[name], name)
        if not isinstance(link, Copies):
            assert isinstance(link, Array)
            return link, link.lowering, codes
        region, array = link.regions[number], link.arrays[number]
        if direction == "forward":
            return array, array.lowering, link.lowering.seen(codes, region)
        own = link.lowering.in_region(codes, region)
        return array, array.lowering, own.contiguous(memory_format=layout_of(own))

    def beats(self, row: int, replica: Replica, direction: Direction, converted: list[Codes]) -> Codes:
        """What the sensed lines of every beat read, [positions * beats * average, lanes].

        ``converted``: of each span of driven lines, [average, positions, sensed lines].
        """
        span, line, used, inside = self.sensed(row, replica, direction)
        read = np.stack(converted)[span[:, None], :, :, line]  # [beats, lanes, average, positions]
        codes = np.where(inside[:, :, None, None], read, np.where(used, 0, UNASKED)[:, :, None, None])
        return codes.transpose(3, 0, 2, 1).reshape(-1, line.shape[1])

    def sensed(self, row: int, replica: Replica, direction: Direction) -> tuple[np.ndarray, ...]:
        """Of every beat of a read: its span of driven lines [beats]; of its lanes [beats, lanes] the sensed line of the
        matrix, whether there is one, and whether it is of the beat's tile.

        A line beyond the tile belongs to others: nothing of this read flows there. A lane without a line says anything.
        """
        if row not in self._sensed:
            lane = np.arange(self.linked.lanes)
            sense = beats_from(self.linked.sense, self.linked.reads[row]["sense_first"])
            spans = sorted({tile.rows if direction == "forward" else tile.columns for tile in replica.tiles})
            found = []
            for beat in sense:
                tile = replica.tiles[beat.tile]
                driven, sensed = (tile.rows, tile.columns) if direction == "forward" else (tile.columns, tile.rows)
                lines, count = beat.line + lane * beat.stride, sensed[1] - sensed[0]
                used = beat.mask >> lane & 1 == 1
                inside = used & (lines >= 0) & (lines < count)
                found.append((spans.index(driven), sensed[0] + np.clip(lines, 0, count - 1), used, inside))
            self._sensed[row] = tuple(np.array(each) for each in zip(*found, strict=True))
        return self._sensed[row]

    def check_drive(self, answer: Answer, beats: Codes) -> None:
        """Whether the beats of a read, [beats, (crossbar, line, stride, mask, codes ...)], drove the right lines.

        Raises:
            WrongDriveError: naming the read, the position and the line.
        """
        name, direction, number = self.linked.read_names[answer.row]
        replica = self.mapping.matrices[name].replicas[number]
        per_weight = self.mapping.encoding(name).devices_per_weight
        expected = beats_from(self.linked.drive, self.linked.reads[answer.row]["drive_first"])
        positions = len(answer.driven)
        if len(beats) != positions * len(expected):
            raise WrongDriveError(f"{name} {direction}: {len(beats)} beats: expected {positions} x {len(expected)}")
        lanes, order = self.linked.drive_lanes, turns(replica.tiles)
        found = beats.reshape(positions, len(expected), -1)
        turn_of = np.cumsum([0, *(beat.turn_last for beat in expected[:-1])])
        dacs: dict[tuple[int, int], dict[int, Codes]] = {}
        for place in range(len(expected)):
            head = found[:, place, :4]
            if (head != head[0]).any():
                raise WrongDriveError(f"{name} {direction}: beat {place} drives other lines in other positions")
            crossbar, line, stride, mask = (int(value) for value in head[0])
            lines = dacs.setdefault((int(turn_of[place]), crossbar), {})
            for lane in range(lanes):
                if mask >> lane & 1:
                    lines[line + lane * stride & (1 << self.line_bits) - 1] = found[:, place, 4 + lane]
        for number_of_tile, tile in enumerate(replica.tiles):
            first, last = tile.rows if direction == "forward" else tile.columns
            at = tile.at[0] if direction == "forward" else tile.at[1] // per_weight
            lines = dacs.get((order[number_of_tile], tile.crossbar), {})
            if set(lines) != set(range(at, at + last - first)):
                raise WrongDriveError(
                    f"{name} {direction}: lines {sorted(lines)} of crossbar {tile.crossbar} are driven"
                )
            for offset in range(last - first):
                wrong = lines[at + offset] != answer.driven[:, first + offset]
                if wrong.any():
                    position = int(wrong.argmax())
                    seen, wanted = lines[at + offset][position], answer.driven[position, first + offset]
                    raise WrongDriveError(
                        f"{name} {direction}, position {position}: line {at + offset} of crossbar {tile.crossbar} is "
                        f"driven with {seen}: expected {wanted}"
                    )

    @property
    def line_bits(self) -> int:
        return self.linked.sizes["line_bits"]

    def requests(self, row: int) -> Codes:
        """The beats that a read asks for at one position, [beats, (crossbar, line, stride, mask)]."""
        name, direction, number = self.linked.read_names[row]
        replica = self.mapping.matrices[name].replicas[number]
        per_weight = self.mapping.encoding(name).devices_per_weight
        found = []
        for beat in beats_from(self.linked.sense, self.linked.reads[row]["sense_first"]):
            tile = replica.tiles[beat.tile]
            at = tile.at[1] // per_weight if direction == "forward" else tile.at[0]
            found.append((tile.crossbar, at + beat.line & (1 << self.line_bits) - 1, beat.stride, beat.mask))
        return np.array(found)


def beats_from(beats: tuple[Beat, ...], first: int) -> tuple[Beat, ...]:
    """The list that begins at ``first``."""
    last = next(number for number in range(first, len(beats)) if beats[number].last)
    return beats[first : last + 1]


def by_position(averaged: list[Tensor]) -> Codes:
    """[1, lines, *positions] each -> [average, positions, lines]."""
    return np.stack([codes[0].flatten(1).T.numpy().astype(np.int64) if codes.dim() > 2 else
                     codes.numpy().astype(np.int64) for codes in averaged])  # fmt: skip


def image_of(words: Codes, shape: tuple[int, ...]) -> Codes:
    """Words of a layer, [words, lanes], as a sample of its shape."""
    channels, height, width = shape if len(shape) == 3 else (shape[0], 1, 1)
    per_position = groups(channels, words.shape[1])
    image = words.reshape(height, width, per_position * words.shape[1])[:, :, :channels].transpose(2, 0, 1)
    return np.ascontiguousarray(image).reshape(shape)


def words_of(image: Codes, lanes: int) -> Codes:
    """The inverse of :func:`image_of`: unused lanes hold 0."""
    channels, height, width = image.shape if image.ndim == 3 else (image.shape[0], 1, 1)
    padded = np.zeros((height, width, groups(channels, lanes) * lanes), dtype=np.int64)
    padded[:, :, :channels] = image.reshape(channels, height, width).transpose(1, 2, 0)
    return padded.reshape(-1, lanes)
