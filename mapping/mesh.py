"""Crossbars on the meshes of chips, so that bytes a sweep x hops is small.

    cost = sum_c sum_l bytes_cl hops(site_c, hub_l)

Crossbar c exchanges bytes_cl a sweep with the memory of layer l, which lives at the layer's hub: a site that other hubs
and a crossbar may share, like a router's port. Chips stand side by side in one row; a step over a border between two of
them counts ``link_hops``. Along this strip, the borders stretched by as much,

    hops(a, b) = |row_a - row_b| + |x_a - x_b|,    x = column + chip (columns + link_hops - 1)

Two steps alternate, neither of which raises the cost, until neither lowers it: given the sites, a hub's best row and
column are weighted medians; given the hubs, crossbars go to sites by linear assignment (scipy solves it after Crouse,
IEEE Trans. Aerosp. Electron. Syst. 52, 1679, 2016). Such alternations (Cooper, SIAM Rev. 6, 37, 1964) end in a local
optimum, so it starts from several snakes through the mesh, and from shuffles where they cost little.

Assignments take more time than their size squared: they are solved in blocks of at most ``BLOCK_SITES`` sites. Every
other round shifts the cut into blocks by half a block, so that crossbars can go anywhere on their chip. Which chip
that is follows from a crossbar's number alone: time and memory grow linearly with the number of chips.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array

BLOCK_SIDE = 16
BLOCK_SITES = BLOCK_SIDE**2
ROUNDS = 60
SMALL = 64  # crossbars up to which every start is followed to its end, and shuffles are among them
SHUFFLES = 24
LEAST_GAIN = 1e-12  # of the largest cost of one crossbar: less is rounding, and could go round in circles
FREE = -1

Traffic = Sequence[Mapping[str, float]]  # of each crossbar: bytes a sweep between it and each layer's memory
Numbers = NDArray[np.int64]
Reals = NDArray[np.float64]
Grid = NDArray[np.int64]  # [rows, chips * columns]: the crossbar at each site of the strip, or FREE
Block = tuple[slice, slice]
Hubs = tuple[Numbers, Numbers]  # of each layer: row, and column or x
Solved = dict[tuple[int, int], bytes]  # of blocks, by their corner: the assignment that could not be bettered


@dataclass(frozen=True)
class Site:
    """One place of a mesh. Chips are numbered along their row."""

    chip: int
    row: int
    column: int


@dataclass(frozen=True)
class Placement:
    """Where everything is.

    Attributes:
        sites: of each crossbar.
        hubs: of each layer, the site beside which its states live.
        byte_hops: bytes a sweep x hops, summed over crossbars and layers.
        worst_hops: the longest way that any state or partial sum takes.
    """

    sites: tuple[Site, ...]
    hubs: dict[str, Site]
    byte_hops: float
    worst_hops: int


@dataclass(frozen=True)
class Strip:
    """Chips side by side; a column of the strip is chip * columns + column."""

    rows: int
    columns: int
    chips: int
    link_hops: int

    def along(self, strip_columns: Numbers) -> Numbers:
        """Position x at which a step to the next chip counts ``link_hops``."""
        return strip_columns + strip_columns // self.columns * (self.link_hops - 1)

    def sites(self, rows: Numbers, strip_columns: Numbers) -> tuple[Site, ...]:
        places = zip(strip_columns.tolist(), rows.tolist(), strict=True)
        return tuple(Site(place // self.columns, row, place % self.columns) for place, row in places)

    @property
    def block_sides(self) -> tuple[int, int]:
        """Rows and columns of a block: square on a large mesh, longer on one that is narrow."""
        height, width = max(BLOCK_SIDE, BLOCK_SITES // self.columns), max(BLOCK_SIDE, BLOCK_SITES // self.rows)
        return min(self.rows, height), min(self.columns, width)

    def blocks(self, shifted: bool) -> Iterator[Block]:
        """All chips cut into blocks, from their corners or, ``shifted``, by half a block before them."""
        height, width = self.block_sides
        down, across = cuts(self.rows, height, shifted), cuts(self.columns, width, shifted)
        for first in range(0, self.chips * self.columns, self.columns):
            for (top, bottom), (left, right) in product(down, across):
                yield slice(top, bottom), slice(first + left, first + right)


def cuts(length: int, part: int, shifted: bool) -> list[tuple[int, int]]:
    """Ends of the parts of 0 .. length."""
    before = part // 2 if shifted and part < length else 0
    return [(max(first, 0), min(first + part, length)) for first in range(-before, length, part)]


@dataclass(frozen=True)
class Flows:
    """Bytes a sweep between crossbars and layers."""

    by_crossbar: csr_array  # [crossbars, layers]
    by_layer: tuple[tuple[Numbers, Reals], ...]  # of each layer, its crossbars and their bytes

    def hubs(self, rows: Numbers, columns: Numbers) -> Hubs:
        """Best rows and strip columns of the hubs, given the crossbars' (a median needs the order of x, not x)."""
        pairs = [(median(rows[of], sizes), median(columns[of], sizes)) for of, sizes in self.by_layer]
        both = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        return both[:, 0], both[:, 1]

    def cost(self, grid: Grid, strip: Strip) -> float:
        """Byte hops of the crossbars in ``grid`` with their best hubs."""
        rows, columns = positions(grid)
        hub_rows, hub_columns = self.hubs(rows, columns)
        x, hub_x = strip.along(columns), strip.along(hub_columns)
        return math.fsum(
            float(sizes @ (np.abs(rows[of] - hub_rows[layer]) + np.abs(x[of] - hub_x[layer])))
            for layer, (of, sizes) in enumerate(self.by_layer)
        )


def median(coordinates: Numbers, weights: Reals) -> int:
    """The lowest coordinate with half of the weight at or below it: it minimises sum_i weight_i |coordinate_i - m|."""
    order = np.argsort(coordinates, kind="stable")
    below = np.cumsum(weights[order])
    return int(coordinates[order[np.searchsorted(below, below[-1] / 2)]])


def positions(grid: Grid) -> tuple[Numbers, Numbers]:
    """Rows and strip columns of the crossbars, in their order."""
    rows, columns = np.nonzero(grid != FREE)
    order = np.argsort(grid[rows, columns])
    return rows[order], columns[order]


def hops(one: Site, other: Site, mesh: tuple[int, int], link_hops: int) -> int:
    """Steps from one site to another on ``mesh`` (rows, columns); one over a chip's border counts ``link_hops``."""
    chip = mesh[1] + link_hops - 1
    return abs(one.row - other.row) + abs(one.column - other.column + (one.chip - other.chip) * chip)


def ways(
    sites: Sequence[Site], hubs: Mapping[str, Site], traffic: Traffic, mesh: tuple[int, int], link_hops: int
) -> Iterator[tuple[float, int]]:
    """Bytes a sweep and hops, of each crossbar with each of its layers."""
    for site, layers in zip(sites, traffic, strict=True):
        for layer, sent in layers.items():
            yield sent, hops(site, hubs[layer], mesh, link_hops)


def byte_hops_of(
    sites: Sequence[Site], hubs: Mapping[str, Site], traffic: Traffic, mesh: tuple[int, int], link_hops: int
) -> float:
    """Bytes a sweep x hops of crossbars at ``sites`` and layers at ``hubs``; the rest as for ``place_on_mesh``."""
    return math.fsum(sent * way for sent, way in ways(sites, hubs, traffic, mesh, link_hops))


def place_on_mesh(traffic: Traffic, mesh: tuple[int, int], link_hops: int = 10, seed: int = 0) -> Placement:
    """Sites of crossbars and hubs of layers with few byte hops; never more than on a snake through the mesh.

    Args:
        traffic: of each crossbar, the bytes a sweep between it and the memory of each layer. Crossbars come in
            network order: chips are filled in this order, the last one as far as there are crossbars.
        mesh: (rows, columns) of crossbar sites on one chip.
        link_hops: what a step from one chip to the next counts.
        seed: of the shuffles.

    Raises:
        ValueError: if a side of the mesh or ``link_hops`` is below one, or traffic is negative or not finite.
    """
    check(traffic, mesh, link_hops)
    if not traffic:
        return Placement((), {}, 0.0, 0)
    strip = Strip(*mesh, chips=math.ceil(len(traffic) / math.prod(mesh)), link_hops=link_hops)
    names = list(dict.fromkeys(layer for layers in traffic for layer in layers))
    flows = flows_of(traffic, names)
    ends = [settle(grid, flows, strip) for grid in starts(len(traffic), flows, strip, seed)]
    rows, columns = positions(min(ends, key=lambda grid: flows.cost(grid, strip)))
    sites = strip.sites(rows, columns)
    hubs = dict(zip(names, strip.sites(*flows.hubs(rows, columns)), strict=True))
    worst = max((way for sent, way in ways(sites, hubs, traffic, mesh, link_hops) if sent > 0), default=0)
    return Placement(sites, hubs, byte_hops_of(sites, hubs, traffic, mesh, link_hops), worst)


def check(traffic: Traffic, mesh: tuple[int, int], link_hops: int) -> None:
    if min(mesh) < 1:
        raise ValueError(f"mesh {mesh[0]}x{mesh[1]}: expected sides of at least 1")
    if link_hops < 1:
        raise ValueError(f"link_hops {link_hops}: expected at least 1")
    for crossbar, layers in enumerate(traffic):
        for layer, sent in layers.items():
            if not 0 <= sent < math.inf:
                where = f"traffic of crossbar {crossbar} with layer {layer}"
                raise ValueError(f"{where}: {sent:g} bytes, expected a finite number >= 0")


def flows_of(traffic: Traffic, names: Sequence[str]) -> Flows:
    number = {name: place for place, name in enumerate(names)}
    columns = [number[layer] for layers in traffic for layer in layers]
    sizes = np.array([sent for layers in traffic for sent in layers.values()], dtype=np.float64)
    ends = np.cumsum([0, *map(len, traffic)])
    by_crossbar = csr_array((sizes, np.array(columns, dtype=np.int64), ends), shape=(len(traffic), len(names)))
    turned = by_crossbar.tocsc()
    spans = [slice(*span) for span in pairwise(turned.indptr)]
    return Flows(by_crossbar, tuple((turned.indices[span], turned.data[span]) for span in spans))


def starts(crossbars: int, flows: Flows, strip: Strip, seed: int) -> list[Grid]:
    """The plain snake and the best of those in broader bands; all of them and shuffles if the problem is small."""
    heights = sorted({min(2**power, strip.rows) for power in range(strip.rows.bit_length() + 1)})
    snakes = [grid_along(snake(strip, height), crossbars, strip) for height in heights]
    if crossbars > SMALL:
        return snakes[:1] + sorted(snakes[1:], key=lambda grid: flows.cost(grid, strip))[:1]
    generator = np.random.default_rng(seed)
    shuffles = [generator.permutation(strip.rows * strip.columns) for _ in range(SHUFFLES)]
    return snakes + [grid_along(way, crossbars, strip) for way in shuffles]


def snake(strip: Strip, height: int) -> Numbers:
    """Sites of one chip (row * columns + column): to and fro along bands of ``height`` rows, up and down inside."""
    way = []
    upwards = False
    for band, top in enumerate(range(0, strip.rows, height)):
        rows = range(top, min(top + height, strip.rows))
        for column in range(strip.columns) if band % 2 == 0 else reversed(range(strip.columns)):
            way += [row * strip.columns + column for row in (reversed(rows) if upwards else rows)]
            upwards = not upwards
    return np.array(way, dtype=np.int64)


def grid_along(way: Numbers, crossbars: int, strip: Strip) -> Grid:
    """Crossbars put on every chip along ``way``, in their order."""
    chip, step = np.divmod(np.arange(crossbars), len(way))
    row, column = np.divmod(way[step], strip.columns)
    grid = np.full((strip.rows, strip.chips * strip.columns), FREE, dtype=np.int64)
    grid[row, chip * strip.columns + column] = np.arange(crossbars)
    return grid


def settle(grid: Grid, flows: Flows, strip: Strip) -> Grid:
    """Alternate hubs and assignments, in place, until no block of either cut gains, or for ``ROUNDS`` rounds."""
    cuts_in_use = 1 if strip.block_sides == (strip.rows, strip.columns) else 2
    solved: tuple[Solved, Solved] = ({}, {})
    quiet = 0
    for number in range(ROUNDS):
        hub_rows, hub_columns = flows.hubs(*positions(grid))
        hubs = hub_rows, strip.along(hub_columns)
        cut = number % cuts_in_use
        gains = [assign(grid, block, flows, strip, hubs, solved[cut]) for block in strip.blocks(shifted=cut == 1)]
        quiet = 0 if any(gains) else quiet + 1
        if quiet == cuts_in_use:
            break
    return grid


def assign(grid: Grid, block: Block, flows: Flows, strip: Strip, hubs: Hubs, solved: Solved) -> bool:
    """Put the crossbars of ``block`` on its best sites, in place; whether that lowered the cost.

    A hub outside the block counts as if it were on its edge: every site is nearer by the same. So a block that was
    ``solved`` is solved still when hubs moved without passing over it.
    """
    held = grid[block].ravel()
    taken = np.flatnonzero(held != FREE)
    members = held[taken]
    rows, x = np.arange(grid.shape[0])[block[0]], strip.along(np.arange(grid.shape[1])[block[1]])
    near_rows, near_x = hubs[0].clip(rows[0], rows[-1]), hubs[1].clip(x[0], x[-1])
    sent = flows.by_crossbar[members]
    layers = np.unique(sent.indices)
    corner = block[0].start, block[1].start
    problem = held.tobytes() + near_rows[layers].tobytes() + near_x[layers].tobytes()
    if solved.get(corner) == problem:
        return False
    down = sent @ np.abs(near_rows[:, None] - rows)
    across = sent @ np.abs(near_x[:, None] - x)
    cost = (down.T[:, None, :] + across.T).reshape(len(held), len(members))
    if len(members) == len(held) and (cost == cost[:, :1]).all():
        return False  # all alike
    where, which = linear_sum_assignment(cost)
    gain = cost[taken, np.arange(len(members))].sum() - cost[where, which].sum()
    if gain <= LEAST_GAIN * cost.max(initial=0.0):
        solved[corner] = problem
        return False
    held = np.full_like(held, FREE)
    held[where] = members[which]
    grid[block] = held.reshape(len(rows), len(x))
    return True
