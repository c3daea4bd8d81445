"""Replication: copies of matrices with many positions, so that the slowest read of a sweep gets shorter.

A matrix whose outputs are an image is read once for each position. With a copy for each of several rectangles of the
image the copies read side by side, and the matrix takes as long as its largest rectangle. The latency model is

    time of a matrix = positions of its largest rectangle * clocks of a position (both directions of a sweep)

and what is made small is the slowest matrix, within a budget of crossbars. For a given time every matrix needs some
fewest copies, whatever the others do, and fewer crossbars are never needed for less time: so the least time within the
budget is found by bisection over the times that any number of copies can give.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from mapping.lowering import Region, Span

Grid = tuple[int, int]
"""Rectangles down and across that an image of outputs is cut into."""


@dataclass(frozen=True)
class Demand:
    """What a matrix asks of a sweep.

    Attributes:
        outputs: of each column.
        position_clocks: of one position, both directions that a sweep reads together; 0 if it reads none.
    """

    outputs: Region
    position_clocks: int

    def clocks(self, grid: Grid) -> int:
        """Time of a sweep's reads with one copy for each rectangle of ``grid``."""
        return largest(self.outputs, grid) * self.position_clocks

    def smallest_grid(self, clocks: int) -> Grid | None:
        """The grid with the fewest rectangles that takes at most ``clocks``, or None."""
        if self.position_clocks == 0:
            return 1, 1
        positions = clocks // self.position_clocks
        found: list[tuple[int, Grid]] = []
        for down in range(1, self.outputs.height + 1):
            width = positions // -(-self.outputs.height // down)
            if width:
                across = -(-self.outputs.width // width)
                found.append((down * across, (down, across)))
        return min(found)[1] if found else None

    def times(self) -> set[int]:
        """All times that some grid gives."""
        heights = {-(-self.outputs.height // n) for n in range(1, self.outputs.height + 1)}
        widths = {-(-self.outputs.width // n) for n in range(1, self.outputs.width + 1)}
        return {height * width * self.position_clocks for height in heights for width in widths}


def largest(outputs: Region, grid: Grid) -> int:
    """Positions of the largest rectangle."""
    return -(-outputs.height // grid[0]) * -(-outputs.width // grid[1])


def replicate(
    demands: Mapping[str, Demand], budget: int, crossbars: Callable[[Mapping[str, Grid]], int]
) -> dict[str, Grid]:
    """The grid of each matrix that makes the slowest one fastest within ``budget`` crossbars.

    Args:
        crossbars: how many crossbars a choice of grids takes.

    Raises:
        ValueError: if the budget does not even hold one copy of each.
    """
    single = dict.fromkeys(demands, (1, 1))
    needed = crossbars(single)
    if needed > budget:
        raise ValueError(f"{budget} crossbars: expected at least {needed}, for one copy of each matrix")
    slowest = max(demand.clocks((1, 1)) for demand in demands.values())
    times = sorted({time for demand in demands.values() for time in demand.times() if time <= slowest})

    def grids(time: int) -> dict[str, Grid] | None:
        chosen = {name: demand.smallest_grid(time) for name, demand in demands.items()}
        return {n: g for n, g in chosen.items() if g is not None} if None not in chosen.values() else None

    def fits(time: int) -> bool:
        chosen = grids(time)
        return chosen is not None and crossbars(chosen) <= budget

    best = bisect_left(times, True, key=fits)
    return grids(times[best]) or single if best < len(times) else single


def regions(outputs: Region, grid: Grid) -> tuple[Region, ...]:
    """The rectangles of a grid, row after row; all outputs, each once, none empty."""
    return tuple(
        Region(vertical, horizontal)
        for vertical in cut(outputs.height, grid[0])
        for horizontal in cut(outputs.width, grid[1])
    )


def cut(length: int, pieces: int) -> list[Span]:
    """[0, length) in ``pieces`` spans, the longest ceil(length / pieces)."""
    ends = [number * length // pieces for number in range(pieces + 1)]
    return [(first, last) for first, last in pairwise(ends) if first < last]
