"""Packing: several blocks in one crossbar, none turned, none overlapping.

Blocks are put on shelves (strips as high as their first block), tallest first, each block on the first shelf and each
shelf in the first crossbar that has room: first-fit decreasing height (Coffman, Garey, Johnson, Tarjan, SIAM J. Comput.
9, 808, 1980). Blocks as wide as a crossbar are shelves of their own, and tall narrow ones stand side by side, so what a
compiler cuts, full crossbars and their remainders, packs almost without loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """Where a block went: crossbar and (row, column) of its first device."""

    crossbar: int
    at: tuple[int, int]


@dataclass
class Shelf:
    crossbar: int
    top: int
    height: int
    used: int = 0


def pack(blocks: Sequence[tuple[int, int]], rows: int, columns: int) -> list[Place]:
    """Places of ``blocks`` (height, width), in their order, in as few crossbars of ``rows`` x ``columns`` as come out.

    Raises:
        ValueError: if a block is larger than a crossbar.
    """
    places: dict[int, Place] = {}
    shelves: list[Shelf] = []
    filled: list[int] = []  # rows that shelves take in each crossbar
    open_shelf = open_crossbar = 0  # none before these has room for anything
    for number in sorted(range(len(blocks)), key=lambda index: (-blocks[index][0], -blocks[index][1], index)):
        height, width = blocks[number]
        if height > rows or width > columns:
            raise ValueError(f"block {height}x{width}: expected at most {rows}x{columns}")
        while open_shelf < len(shelves) and shelves[open_shelf].used == columns:
            open_shelf += 1
        shelf = next((s for s in shelves[open_shelf:] if s.height >= height and s.used + width <= columns), None)
        if shelf is None:
            while open_crossbar < len(filled) and filled[open_crossbar] == rows:
                open_crossbar += 1
            crossbar = next((c for c in range(open_crossbar, len(filled)) if filled[c] + height <= rows), len(filled))
            if crossbar == len(filled):
                filled.append(0)
            shelf = Shelf(crossbar, filled[crossbar], height)
            filled[crossbar] += height
            shelves.append(shelf)
        places[number] = Place(shelf.crossbar, (shelf.top, shelf.used))
        shelf.used += width
    return [places[number] for number in range(len(blocks))]
