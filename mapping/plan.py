"""What the compiler decides: scales, tiles, schedule. Plain immutable records."""

from __future__ import annotations

from dataclasses import dataclass

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
        at: (row, column) of the block's first device in the crossbar; a weight takes
            ``devices_per_weight`` neighbouring columns.
    """

    crossbar: int
    rows: Span
    columns: Span
    at: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class MappedMatrix:
    """One coupling on crossbars.

    Attributes:
        name: the coupling's name.
        lowering: its matrix and row cuts.
        column_spans: the matrix columns each crossbar takes.
        weight_per_siemens: scale of the encoding.
        forward_full_scale, transposed_full_scale: partial sum (in units of the coupling's output, offset
            included) that the largest ADC code means, by direction.
        full_scale_source: "calibration" or the stated bound.
        tiles: where the blocks are.
    """

    name: str
    lowering: Lowering
    column_spans: tuple[Span, ...]
    weight_per_siemens: float
    forward_full_scale: float
    transposed_full_scale: float
    full_scale_source: str
    tiles: tuple[Tile, ...]


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
