"""Beats: the lines of a tile, grouped by the memory words that hold what drives them or takes their sums.

A layer's image [channels, height, width] lies in memory position by position, rows first; each position has
ceil(channels / lanes) words, channel c in lane c mod lanes of its word. A beat is the lines of one tile that share
such a word at one place of the window: at most ``lanes`` of them, evenly spaced, whatever the order of rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from mapping.hardware import Direction
from mapping.lowering import ConvLowering, DenseLowering, Lowering, Span
from mapping.plan import Tile
from mapping.program.tabulate import as_image


@dataclass(frozen=True)
class Beat:
    """One beat, see :meth:`hw.tables.Tables.beat`; ``line`` is that of lane 0, which may lie outside the tile."""

    down: int
    across: int
    offset: int
    mask: int
    line: int
    stride: int
    tile: int
    turn_last: bool = False
    last: bool = False


@dataclass(frozen=True)
class Side:
    """One side of a matrix: which lines it has, and the place of each in its layer's image.

    Attributes:
        image: channels, height and width.
        step, padding: of the window, vertical and horizontal.
        places: of each line, (channel, place down, place across the window).
    """

    image: tuple[int, int, int]
    step: tuple[int, int]
    padding: tuple[int, int]
    places: tuple[tuple[int, int, int], ...]

    def groups(self, lanes: int) -> int:
        """Words of each position."""
        return groups(self.image[0], lanes)

    def origin(self, region: tuple[Span, Span]) -> tuple[int, int]:
        """Where the window of the first position of a region begins; in the padding it is negative."""
        first = (span[0] * step - pad for span, step, pad in zip(region, self.step, self.padding, strict=True))
        top, left = first
        return top, left


def groups(channels: int, lanes: int) -> int:
    """Words that hold the channels of one position."""
    return -(-channels // lanes)


def words(image: tuple[int, int, int], lanes: int) -> int:
    """Words that hold an image."""
    return image[1] * image[2] * groups(image[0], lanes)


def side_of_rows(lowering: Lowering) -> Side:
    """The pre layer's."""
    assert isinstance(lowering, ConvLowering | DenseLowering)
    image = as_image(lowering.pre_shape)
    if isinstance(lowering, DenseLowering):
        return Side(image, (0, 0), (0, 0), flat(image))
    across = lowering.kernel[1]
    if lowering.order == "tap-major":
        pairs = [(row % image[0], row // image[0]) for row in range(lowering.rows)]
    else:
        pairs = [divmod(row, lowering.taps) for row in range(lowering.rows)]
    return Side(
        image, lowering.stride, lowering.padding, tuple((channel, *divmod(tap, across)) for channel, tap in pairs)
    )


def side_of_columns(lowering: Lowering) -> Side:
    """The post layer's."""
    assert isinstance(lowering, ConvLowering | DenseLowering)
    image = as_image(lowering.post_shape)
    if isinstance(lowering, DenseLowering):
        return Side(image, (0, 0), (0, 0), flat(image))
    return Side(image, (1, 1), (0, 0), tuple((channel, 0, 0) for channel in range(image[0])))


def flat(image: tuple[int, int, int]) -> tuple[tuple[int, int, int], ...]:
    """Units of an image in the order of a vector, as places of a window as large as the image."""
    channels, height, width = image
    return tuple((c, y, x) for c in range(channels) for y in range(height) for x in range(width))


def turns(tiles: Sequence[Tile]) -> list[int]:
    """Of each tile, the turn in which it is read: tiles that share a crossbar take turns."""
    seen: dict[int, int] = {}
    found = []
    for tile in tiles:
        found.append(seen.get(tile.crossbar, 0))
        seen[tile.crossbar] = found[-1] + 1
    return found


def beats(tiles: Sequence[Tile], side: Side, spans: Iterable[Span], lanes: int) -> tuple[Beat, ...]:
    """The beats of all tiles of a copy at one position, turn after turn.

    Args:
        spans: of each tile, its lines on this side.
    """
    order = turns(tiles)
    lines = list(spans)
    found: list[Beat] = []
    for turn in range(max(order) + 1):
        for number, of_tile in enumerate(order):
            if of_tile == turn:
                found += beats_of(number, side, lines[number], lanes)
        found[-1] = replace(found[-1], turn_last=True, last=turn == max(order))
    return tuple(found)


def beats_of(tile: int, side: Side, span: Span, lanes: int) -> list[Beat]:
    """The beats of one tile: its lines grouped by word."""
    _, _, width = side.image
    per_position = side.groups(lanes)
    together: dict[tuple[int, int, int], list[tuple[int, int]]] = {}
    for line in range(*span):
        channel, down, across = side.places[line]
        group, lane = divmod(channel, lanes)
        together.setdefault((down, across, group), []).append((lane, line - span[0]))
    made = []
    for (down, across, group), members in together.items():
        (first_lane, first_line), stride = members[0], 0
        if len(members) > 1:
            stride = (members[1][1] - first_line) // (members[1][0] - first_lane)
        assert all(line == first_line + (lane - first_lane) * stride for lane, line in members)
        offset = (down * width + across) * per_position + group
        mask = sum(1 << lane for lane, _ in members)
        made.append(Beat(down, across, offset, mask, first_line - first_lane * stride, stride, tile))
    return made


def conversions(tiles: Sequence[Tile], direction: Direction, sharing: int) -> int:
    """Conversions that the busiest ADC makes one after the other in one turn."""
    sensed = (tile.columns if direction == "forward" else tile.rows for tile in tiles)
    return max(min(last - first, sharing) for first, last in sensed)
