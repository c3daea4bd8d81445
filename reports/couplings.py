"""What the report says about each coupling: its kind, its matrix, its tiles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from eqprop import Conv2d, CrossEntropy, LowRank
from eqprop.edge import Edge
from mapping import Mapping
from mapping.bounds import converter_scales
from mapping.encoding import devices_per_weight
from mapping.hardware import Direction
from mapping.lowering import Span
from mapping.plan import MappedMatrix, Tile

MAX_TILES_LISTED = 60


@dataclass(frozen=True)
class CouplingRow:
    """One coupling in readable form.

    Attributes:
        pre, post: names of the layers it joins (``softmax`` after a readout).
        kind, short_kind: in words for the table, and in up to three short lines for the drawing.
        rows, columns, order: its matrix, and how rows are numbered.
        row_blocks, column_blocks: how the matrix is cut, in weights.
        crossbars, crossbar_range: how many it occupies, and which.
        utilization: share of the devices in them that hold a weight.
        listed: its tiles, or none if there are more than ``MAX_TILES_LISTED``.
    """

    name: str
    pre: str
    post: str
    kind: str
    short_kind: str
    rows: int
    columns: int
    order: str
    row_blocks: str
    column_blocks: str
    tiles: int
    crossbars: int
    crossbar_range: str
    utilization: float
    weight_per_siemens: float
    forward_full_scale: float
    transposed_full_scale: float
    forward_full_scale_ampere: float
    transposed_full_scale_ampere: float
    forward_source: str
    transposed_source: str
    forward_conversions: int
    transposed_conversions: int
    listed: tuple[Tile, ...]


def coupling_rows(mapping: Mapping) -> list[CouplingRow]:
    """A row for each coupling, in the mapping's order."""
    edges = {edge.name: edge for edge in mapping.network.edges}
    return [coupling_row(mapping, matrix, edges.get(name)) for name, matrix in mapping.matrices.items()]


def coupling_row(mapping: Mapping, matrix: MappedMatrix, edge: Edge | None) -> CouplingRow:
    size, lowering = mapping.target.crossbar, matrix.lowering
    used = sorted({tile.crossbar for tile in matrix.tiles})
    devices = lowering.rows * lowering.columns * devices_per_weight(mapping.target.cell)
    pre, post = (edge.pre, edge.post) if edge is not None else readout_ends(mapping)
    words = kind_words(mapping, matrix.name, edge)
    return CouplingRow(
        name=matrix.name,
        pre=pre,
        post=post,
        kind=", ".join(words),
        short_kind="\n".join(word.removeprefix("max ").removesuffix(" multiplied out").strip() for word in words),
        rows=lowering.rows,
        columns=lowering.columns,
        order=lowering.order,
        row_blocks=cut_words(lowering.row_spans),
        column_blocks=cut_words(matrix.column_spans),
        tiles=len(matrix.tiles),
        crossbars=len(used),
        crossbar_range=range_words(used),
        utilization=devices / (len(used) * size.rows * size.columns),
        weight_per_siemens=matrix.weight_per_siemens,
        forward_full_scale=matrix.forward_full_scale,
        transposed_full_scale=matrix.transposed_full_scale,
        forward_full_scale_ampere=mapping.adc_full_scales_ampere(matrix.name)[0],
        transposed_full_scale_ampere=mapping.adc_full_scales_ampere(matrix.name)[1],
        forward_source=matrix.forward_source,
        transposed_source=matrix.transposed_source,
        forward_conversions=conversions(mapping, matrix, "forward"),
        transposed_conversions=conversions(mapping, matrix, "transposed"),
        listed=matrix.tiles if len(matrix.tiles) <= MAX_TILES_LISTED else (),
    )


def conversions(mapping: Mapping, matrix: MappedMatrix, direction: Direction) -> int:
    """ADC conversions of one read of one image: lines of every tile that is read, at every position."""
    target, lowering = mapping.target, matrix.lowering
    lines = lowering.columns * len(lowering.row_spans)
    if direction == "transposed":
        lines = lowering.rows * len(matrix.column_spans)
    dac = target.dac_of(direction)
    bits = 1
    if dac.input == "bit-serial" and dac.bits is not None:
        driven = converter_scales(mapping.network, mapping.layers, matrix.name)[direction == "transposed"]
        bits = dac.bits - driven.signed
    return lines * lowering.positions * target.cell.slices * bits * target.read.average


def readout_ends(mapping: Mapping) -> tuple[str, str]:
    cost = mapping.network.cost
    assert isinstance(cost, CrossEntropy)  # the only coupling without an edge is a readout
    return cost.layer, "softmax"


def kind_words(mapping: Mapping, name: str, edge: Edge | None) -> list[str]:
    """``conv 3×3``, ``stride 2``, ``max pool 2``; the padding is the shapes'."""
    coupling = mapping.network.coupling(name)
    if isinstance(coupling, Conv2d):
        words = [f"conv {coupling.kernel[0]}×{coupling.kernel[1]}"]
        if coupling.stride != (1, 1):
            words.append(f"stride {pair_words(coupling.stride)}")
    elif isinstance(coupling, LowRank):
        words = ["low-rank", f"rank {coupling.U.shape[1]} multiplied out"]
    else:
        words = [coupling.kind]
    if edge is None:
        words.append("readout")
    elif edge.pool is not None:
        words.append(f"max pool {edge.pool.kernel}")
    return words


def pair_words(pair: tuple[int, int]) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}×{pair[1]}"


def cut_words(spans: Sequence[Span]) -> str:
    """``18 of 64``, or ``7 of 128 and 1 of 56``."""
    sizes = Counter(end - start for start, end in spans)
    return " and ".join(f"{count} of {size}" for size, count in sizes.items())


def range_words(numbers: Sequence[int]) -> str:
    """``0–17``, or a count when the numbers are not consecutive."""
    first, last = numbers[0], numbers[-1]
    if last - first + 1 != len(numbers):
        return f"{len(numbers)} between {first} and {last}"
    return str(first) if first == last else f"{first}–{last}"
