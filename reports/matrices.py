"""What the report says about each matrix on crossbars: what it belongs to, its copies, its tiles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from eqprop import Conv2d, CrossEntropy, LowRank
from mapping import Mapping
from mapping.encoding import devices_per_weight
from mapping.hardware import Direction
from mapping.lowering import Region, Span
from mapping.plan import MappedMatrix, Tile
from mapping.schedule import Read

MAX_TILES_LISTED = 60
KEPT, MERGED = "kept as two reads", "multiplied out"


@dataclass(frozen=True)
class ListedTile:
    """A tile, the number of the copy it is part of (from 1), and the outputs that copy answers for, in words."""

    copy: int
    outputs: str
    tile: Tile


@dataclass(frozen=True)
class MatrixRow:
    """One matrix in readable form.

    Attributes:
        pre, post: what it joins: layers, ``softmax`` after a readout, or the bus between two factors.
        kind: in words.
        rows, columns, order: its shape, and how rows are numbered.
        row_blocks, column_blocks: how it is cut, in weights.
        copies: of all its weights; they share the outputs.
        tiles, crossbars, crossbar_range, utilization: of all copies; the last is the share of the devices of these
            crossbars that hold one of its weights.
        forward_conversions, transposed_conversions: of one read of one image; each output is read by one copy.
        listed: its tiles, or none if there are more than ``MAX_TILES_LISTED``.
    """

    name: str
    pre: str
    post: str
    kind: str
    rows: int
    columns: int
    order: str
    row_blocks: str
    column_blocks: str
    copies: int
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
    listed: tuple[ListedTile, ...]


def matrix_rows(mapping: Mapping) -> list[MatrixRow]:
    """A row for each matrix, in the mapping's order."""
    return [matrix_row(mapping, matrix) for matrix in mapping.matrices.values()]


def matrix_row(mapping: Mapping, matrix: MappedMatrix) -> MatrixRow:
    size, lowering = mapping.target.crossbar, matrix.lowering
    used = sorted({tile.crossbar for tile in matrix.tiles})
    devices = lowering.rows * lowering.columns * len(matrix.replicas) * devices_per_weight(mapping.target.cell)
    pre, post = ends(mapping, matrix)
    words = kind_words(mapping, matrix.coupling)
    if len(mapping.chains[matrix.coupling]) > 1:
        words.insert(0, f"factor {matrix.name.rpartition('.')[2]}")
    return MatrixRow(
        name=matrix.name,
        pre=pre,
        post=post,
        kind=", ".join(words),
        rows=lowering.rows,
        columns=lowering.columns,
        order=lowering.order,
        row_blocks=cut_words(lowering.row_spans),
        column_blocks=cut_words(matrix.column_spans),
        copies=len(matrix.replicas),
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
        listed=listed(matrix) if len(matrix.tiles) <= MAX_TILES_LISTED else (),
    )


def conversions(mapping: Mapping, matrix: MappedMatrix, direction: Direction) -> int:
    """ADC conversions of one read of one image: every output once, by the copy that answers for it."""
    timing = mapping.timing
    return sum(timing.read_codes(Read(matrix.name, direction, copy)) for copy in range(len(matrix.replicas)))


def listed(matrix: MappedMatrix) -> tuple[ListedTile, ...]:
    return tuple(
        ListedTile(number, region_words(replica.region), tile)
        for number, replica in enumerate(matrix.replicas, start=1)
        for tile in replica.tiles
    )


def region_words(region: Region) -> str:
    """``rows 0–3, columns 0–7`` of the image of outputs."""
    (top, bottom), (left, right) = region.vertical, region.horizontal
    return f"rows {top}–{bottom - 1}, columns {left}–{right - 1}"


def ends(mapping: Mapping, matrix: MappedMatrix) -> tuple[str, str]:
    """What drives a matrix's rows and what its columns give to, in words."""
    edge = next((edge for edge in mapping.network.edges if edge.name == matrix.coupling), None)
    pre, post = (edge.pre, edge.post) if edge is not None else readout_ends(mapping)
    chain = mapping.chains[matrix.coupling]
    return pre if matrix.name == chain[0] else "bus", post if matrix.name == chain[-1] else "bus"


def readout_ends(mapping: Mapping) -> tuple[str, str]:
    cost = mapping.network.cost
    assert isinstance(cost, CrossEntropy)  # the only coupling without an edge is a readout
    return cost.layer, "softmax"


def kind_words(mapping: Mapping, name: str) -> list[str]:
    """Of a coupling: ``conv 3×3``, ``stride 2``, ``max pool 2``; the padding is the shapes'."""
    edge = next((edge for edge in mapping.network.edges if edge.name == name), None)
    coupling = mapping.network.coupling(name)
    if isinstance(coupling, Conv2d):
        words = [f"conv {coupling.kernel[0]}×{coupling.kernel[1]}"]
        if coupling.stride != (1, 1):
            words.append(f"stride {pair_words(coupling.stride)}")
    elif isinstance(coupling, LowRank):
        words = ["low-rank", f"rank {coupling.U.shape[1]} {KEPT if len(mapping.chains[name]) > 1 else MERGED}"]
    else:
        words = [coupling.kind]
    if edge is None:
        words.append("readout")
    elif edge.pool is not None:
        words.append(f"max pool {edge.pool.kernel}")
    return words


def short_kinds(mapping: Mapping) -> dict[str, str]:
    """Of each coupling, for the drawing: up to three short lines."""
    return {
        name: "\n".join(
            word.removeprefix("max ").removesuffix(KEPT).removesuffix(MERGED).strip()
            for word in kind_words(mapping, name)
        )
        for name in mapping.chains
    }


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
