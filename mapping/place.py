"""Where blocks go: how many copies of every matrix, and each of their blocks onto a crossbar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from eqprop import EnergyNetwork
from eqprop.errors import InputError
from mapping.encoding import devices_per_weight
from mapping.factors import Factor
from mapping.hardware import DIRECTIONS, Direction
from mapping.lowering import spans
from mapping.packing import Block, Place, pack
from mapping.plan import Replica, Tile
from mapping.replication import Demand, Grid, regions, replicate
from mapping.scaling import Driven
from mapping.target import Target
from mapping.timing import ReadTiming, extent


@dataclass(frozen=True)
class Floor:
    """The crossbars of a target, and the matrices that go there.

    Attributes:
        factors: by name.
        packed: whether blocks share crossbars.
        turns: whether blocks of one dense matrix may, and are then read one after the other. Those of a convolution are
            read at every position: each always has a crossbar of its own, so that they read at once.
    """

    target: Target
    factors: Mapping[str, Factor]
    packed: bool
    turns: bool = True

    def tiles(self, name: str) -> list[Tile]:
        """The blocks of one copy of a matrix, column blocks within row blocks, not placed yet."""
        lowering = self.factors[name].lowering
        width = self.target.crossbar.columns // devices_per_weight(self.target.cell)
        return [Tile(-1, rows, columns) for rows in lowering.row_spans for columns in spans(lowering.columns, width)]

    def places(self, grids: Mapping[str, Grid]) -> list[Place]:
        """A place for each block of every copy, copy after copy of matrix after matrix.

        Crossbars are numbered as the matrices meet them.
        """
        per_weight = devices_per_weight(self.target.cell)
        blocks = []
        for name in self.factors:
            sizes = [extent(tile.rows, tile.columns) for tile in self.tiles(name)]
            apart = None if self.turns and self.factors[name].lowering.positions == 1 else name
            of_copy = [Block(rows, columns * per_weight, apart) for rows, columns in sizes]
            blocks += of_copy * (grids[name][0] * grids[name][1])
        if not self.packed:
            return [Place(number, (0, 0)) for number in range(len(blocks))]
        found = pack(blocks, self.target.crossbar.rows, self.target.crossbar.columns)
        numbers: dict[int, int] = {}
        for place in found:
            numbers.setdefault(place.crossbar, len(numbers))
        return [Place(numbers[place.crossbar], place.at) for place in found]

    def crossbars(self, grids: Mapping[str, Grid]) -> int:
        """How many crossbars the copies take."""
        return 1 + max(place.crossbar for place in self.places(grids))

    def demand(self, name: str, network: EnergyNetwork, driven: Driven) -> Demand:
        """What a sweep asks of a matrix; those of clamped inputs are read once a phase, not in a sweep."""
        factor = self.factors[name]
        clamped = any(edge.name == factor.coupling and edge.pre in network.inputs for edge in network.edges)
        timing, read = ReadTiming(self.target), () if clamped else DIRECTIONS
        sizes = {extent(tile.rows, tile.columns) for tile in self.tiles(name)}

        def clocks(direction: Direction) -> int:
            return max(timing.position_clocks(direction, driven[direction].signed, *size) for size in sizes)

        return Demand(factor.lowering.outputs, sum(map(clocks, read)))

    def single(self) -> dict[str, Grid]:
        """One copy of each matrix."""
        return dict.fromkeys(self.factors, (1, 1))

    def check_size(self, budget: int | None) -> None:
        """Raise InputError if the target, or the budget, has too few crossbars for one copy of each matrix."""
        size, available = self.target.crossbar, self.target.chip.crossbars
        needed = self.crossbars(self.single())
        if available is not None and max(needed, budget or 0) > available:
            wanted = f"the network needs {needed}" if needed > available else f"the budget is {budget}"
            raise InputError(
                f"target {self.target.name}: chip.crossbars is {available} but {wanted} of {size.rows}x{size.columns}"
            )
        if budget is not None and budget < needed:
            raise InputError(
                f"--crossbars {budget}: expected at least the {needed} of {size.rows}x{size.columns} that one copy "
                f"needs"
            )

    def replicas(self, grids: Mapping[str, Grid]) -> dict[str, tuple[Replica, ...]]:
        """All copies with their places."""
        places = iter(self.places(grids))
        found = {}
        for name, factor in self.factors.items():
            tiles = self.tiles(name)
            found[name] = tuple(
                Replica(region, tuple(placed(tile, next(places)) for tile in tiles))
                for region in regions(factor.lowering.outputs, grids[name])
            )
        return found


def copies(
    floor: Floor, network: EnergyNetwork, driven: Mapping[str, Driven], budget: int | None
) -> dict[str, tuple[Replica, ...]]:
    """All copies with their places: one of each, or within a budget as many as make the slowest matrix fast.

    Raises:
        InputError: if the budget, or the target, has too few crossbars for one copy of each.
    """
    floor.check_size(budget)
    apart = replace(floor, turns=False)
    if budget is None or apart.crossbars(floor.single()) > budget:
        return floor.replicas(floor.single())
    demands = {name: apart.demand(name, network, driven[name]) for name in floor.factors}
    return apart.replicas(replicate(demands, budget, apart.crossbars))


def placed(tile: Tile, place: Place) -> Tile:
    return replace(tile, crossbar=place.crossbar, at=place.at)
