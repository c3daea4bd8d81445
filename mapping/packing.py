"""Packing: several blocks in one crossbar, none turned, none overlapping.

Blocks are put on shelves (strips as high as their first block), tallest first, each block on the first shelf and each
shelf in the first crossbar that has room: first-fit decreasing height (Coffman, Garey, Johnson, Tarjan, SIAM J. Comput.
9, 808, 1980). Blocks as wide as a crossbar are shelves of their own, and tall narrow ones stand side by side, so what a
compiler cuts, full crossbars and their remainders, packs almost without loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Block:
    """What is packed: ``height`` rows and ``width`` columns of devices.

    ``apart``: blocks of the same name never share a crossbar, None shares with all.
    """

    height: int
    width: int
    apart: str | None = None


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


@dataclass
class Filling:
    """A crossbar being filled: rows that shelves take, and names that must not come again."""

    rows: int = 0
    names: set[str | None] = field(default_factory=set)

    def takes(self, block: Block) -> bool:
        return block.apart is None or block.apart not in self.names


def pack(blocks: Sequence[Block], rows: int, columns: int) -> list[Place]:
    """Places of ``blocks``, in their order, in as few crossbars of ``rows`` x ``columns`` as come out.

    Raises:
        ValueError: if a block is larger than a crossbar.
    """
    places: dict[int, Place] = {}
    shelves: list[Shelf] = []
    crossbars: list[Filling] = []
    # What had no room for a block never has room for an equal one: each kind of block goes on where the last one ended.
    first_shelf: dict[Block, int] = {}
    first_crossbar: dict[Block, int] = {}
    order = sorted(range(len(blocks)), key=lambda index: (-blocks[index].height, -blocks[index].width, index))
    for number in order:
        block = blocks[number]
        if block.height > rows or block.width > columns:
            raise ValueError(f"block {block.height}x{block.width}: expected at most {rows}x{columns}")
        at = first_shelf.get(block, 0)
        while at < len(shelves) and not (
            shelves[at].used + block.width <= columns
            and shelves[at].height >= block.height
            and crossbars[shelves[at].crossbar].takes(block)
        ):
            at += 1
        first_shelf[block] = at
        if at == len(shelves):
            here = first_crossbar.get(block, 0)
            while here < len(crossbars) and not (
                crossbars[here].rows + block.height <= rows and crossbars[here].takes(block)
            ):
                here += 1
            first_crossbar[block] = here
            if here == len(crossbars):
                crossbars.append(Filling())
            shelves.append(Shelf(here, crossbars[here].rows, block.height))
            crossbars[here].rows += block.height
        shelf = shelves[at]
        places[number] = Place(shelf.crossbar, (shelf.top, shelf.used))
        crossbars[shelf.crossbar].names.add(block.apart)
        shelf.used += block.width
    return [places[number] for number in range(len(blocks))]
