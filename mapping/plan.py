"""What the compiler decides about weights: scales, tiles, replicas. Plain immutable records."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from mapping.hardware import Direction
from mapping.lowering import Lowering, Region, Span


@dataclass(frozen=True)
class LayerScale:
    """The range that states of a layer (or values on a bus) span at the converters.

    Attributes:
        full_scale: the state that the largest DAC code means.
        signed: whether states below zero occur.
        source: where the figure comes from: "clip range", "calibration" or a stated bound.
    """

    full_scale: float
    signed: bool
    source: str


@dataclass(frozen=True)
class Tile:
    """One block of a coupling's matrix in one crossbar.

    Attributes:
        crossbar: number of the physical array.
        rows, columns: the block's spans in the coupling's matrix.
        forward_full_scale, transposed_full_scale: partial sum (in units of the coupling's output, offset included,
            of the lowest slice) that the largest code of this crossbar's ADCs means, by direction.
        at: (row, column) of the block's first device in the crossbar; a weight takes
            ``devices_per_weight`` neighbouring columns.
    """

    crossbar: int
    rows: Span
    columns: Span
    forward_full_scale: float = 1.0
    transposed_full_scale: float = 1.0
    at: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Replica:
    """One copy of a matrix, in devices of its own.

    Attributes:
        region: the outputs it answers for.
        tiles: where its blocks are, column blocks within row blocks.
    """

    region: Region
    tiles: tuple[Tile, ...]

    def gather(self, crossbars: Tensor, devices_per_weight: int) -> Tensor:
        """Its devices out of all crossbars: [crossbars, rows, columns] -> [rows, columns * devices]."""
        rows, columns = self.tiles[-1].rows[1], self.tiles[-1].columns[1]
        gathered = crossbars.new_empty(rows, columns * devices_per_weight)
        for tile in self.tiles:
            (r0, r1), (c0, c1), (top, left) = tile.rows, tile.columns, tile.at
            first, last = c0 * devices_per_weight, c1 * devices_per_weight
            gathered[r0:r1, first:last] = crossbars[tile.crossbar, top : top + r1 - r0, left : left + last - first]
        return gathered

    def scatter_(self, crossbars: Tensor, values: Tensor, devices_per_weight: int) -> None:
        """Put [rows, columns * devices] where its devices are in [crossbars, rows, columns]."""
        for tile in self.tiles:
            (r0, r1), (c0, c1), (top, left) = tile.rows, tile.columns, tile.at
            block = values[r0:r1, c0 * devices_per_weight : c1 * devices_per_weight]
            crossbars[tile.crossbar, top : top + block.shape[0], left : left + block.shape[1]] = block

    @property
    def crossbars(self) -> frozenset[int]:
        """The crossbars it needs for a read."""
        return frozenset(tile.crossbar for tile in self.tiles)


@dataclass(frozen=True)
class MappedMatrix:
    """One matrix on crossbars: a coupling's, or one factor of a low-rank coupling that is kept as two reads.

    Attributes:
        name: the coupling's name, followed by .V or .U for a factor.
        coupling: the coupling it belongs to.
        lowering: its matrix and row cuts.
        column_spans: the matrix columns each crossbar takes.
        rows_scale, columns_scale: ranges of what drives its rows and (transposed) its columns.
        weight_per_siemens: scale of the encoding.
        forward_source, transposed_source: where the tiles' full scales come from: calibration, a stated bound or the
            target.
        replicas: its copies; their regions are all outputs, each once.
    """

    name: str
    coupling: str
    lowering: Lowering
    column_spans: tuple[Span, ...]
    rows_scale: LayerScale
    columns_scale: LayerScale
    weight_per_siemens: float
    forward_source: str
    transposed_source: str
    replicas: tuple[Replica, ...]

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """Of all replicas."""
        return tuple(tile for replica in self.replicas for tile in replica.tiles)

    @property
    def forward_full_scale(self) -> float:
        """The largest of the tiles'."""
        return max(tile.forward_full_scale for tile in self.replicas[0].tiles)

    @property
    def transposed_full_scale(self) -> float:
        """The largest of the tiles'."""
        return max(tile.transposed_full_scale for tile in self.replicas[0].tiles)

    def scale_of(self, direction: Direction) -> LayerScale:
        """The range of what is driven in a read of ``direction``."""
        return self.rows_scale if direction == "forward" else self.columns_scale
