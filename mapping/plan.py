"""What the compiler decides: scales, tiles, schedule. Plain immutable records."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from mapping.lowering import Lowering, Span


@dataclass(frozen=True)
class LayerScale:
    """The range a layer's states span at the converters.

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
class MappedMatrix:
    """One coupling on crossbars.

    Attributes:
        name: the coupling's name.
        lowering: its matrix and row cuts.
        column_spans: the matrix columns each crossbar takes.
        weight_per_siemens: scale of the encoding.
        forward_source, transposed_source: where the tiles' full scales come from: calibration, a stated bound or the
            target.
        tiles: where the blocks are, column blocks within row blocks.
    """

    name: str
    lowering: Lowering
    column_spans: tuple[Span, ...]
    weight_per_siemens: float
    forward_source: str
    transposed_source: str
    tiles: tuple[Tile, ...]

    def gather(self, crossbars: Tensor, devices_per_weight: int) -> Tensor:
        """The coupling's devices out of all crossbars: [crossbars, rows, columns] -> [rows, columns * devices]."""
        gathered = crossbars.new_empty(self.lowering.rows, self.lowering.columns * devices_per_weight)
        for tile in self.tiles:
            (r0, r1), (c0, c1), (top, left) = tile.rows, tile.columns, tile.at
            first, last = c0 * devices_per_weight, c1 * devices_per_weight
            gathered[r0:r1, first:last] = crossbars[tile.crossbar, top : top + r1 - r0, left : left + last - first]
        return gathered

    @property
    def forward_full_scale(self) -> float:
        """The largest of the tiles'."""
        return max(tile.forward_full_scale for tile in self.tiles)

    @property
    def transposed_full_scale(self) -> float:
        """The largest of the tiles'."""
        return max(tile.transposed_full_scale for tile in self.tiles)


@dataclass(frozen=True)
class Read:
    """One read of the schedule: a coupling and a direction."""

    coupling: str
    direction: str


@dataclass(frozen=True)
class Step:
    """Layers updated together and the reads their drives need."""

    layers: tuple[str, ...]
    reads: tuple[Read, ...]
