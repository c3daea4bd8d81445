"""From a mapping and its state memory to the tables of a program."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mapping.lowering import ConvLowering, DenseLowering, Lowering
from mapping.mapping import Mapping
from mapping.memory import Memory
from mapping.plan import MappedMatrix
from mapping.program.tables import (
    CONVOLUTION,
    DENSE,
    NONE,
    ROW_ORDERS,
    BufferRow,
    CouplingRow,
    LayerRow,
    MatrixRow,
    ReplicaRow,
    Shape,
    TileRow,
)


@dataclass(frozen=True)
class Tables:
    """Rows of a mapping, by name."""

    buffers: dict[str, BufferRow]
    layers: dict[str, LayerRow]
    couplings: dict[str, CouplingRow]
    matrices: dict[str, MatrixRow]
    replicas: tuple[ReplicaRow, ...]
    tiles: tuple[TileRow, ...]


def tabulate(mapping: Mapping, memory: Memory) -> Tables:
    """All tables; couplings in the order of the chains, each with its matrices side by side."""
    rows = Rows(mapping, memory)
    matrices = [mapping.matrices[name] for chain in mapping.chains.values() for name in chain]
    replicas = [replica for matrix in matrices for replica in matrix.replicas]
    first_tiles = starts(len(replica.tiles) for replica in replicas)
    first_replicas = starts(len(matrix.replicas) for matrix in matrices)
    first_matrices = starts(len(chain) for chain in mapping.chains.values())
    return Tables(
        {name: BufferRow(slot.address, slot.bytes) for name, slot in memory.buffers.items()},
        {name: rows.layer(name) for name in mapping.network.layers},
        {name: rows.coupling(name, first) for name, first in zip(mapping.chains, first_matrices, strict=True)},
        {matrix.name: rows.matrix(matrix, first) for matrix, first in zip(matrices, first_replicas, strict=True)},
        tuple(
            ReplicaRow(replica.region.vertical, replica.region.horizontal, first, len(replica.tiles))
            for replica, first in zip(replicas, first_tiles, strict=True)
        ),
        tuple(TileRow(t.rows, t.columns, t.crossbar, t.at) for replica in replicas for t in replica.tiles),
    )


def starts(counts: Iterable[int]) -> list[int]:
    """Where each of consecutive groups begins."""
    first, found = 0, []
    for count in counts:
        found.append(first)
        first += count
    return found


class Rows:
    """Rows of the tables, with other rows by their number."""

    def __init__(self, mapping: Mapping, memory: Memory) -> None:
        self.network = mapping.network
        self.chains: dict[str, Sequence[str]] = dict(mapping.chains)
        self.numbers = {name: number for number, name in enumerate(memory.buffers)}
        self.layers = {name: number for number, name in enumerate(self.network.layers)}
        self.couplings = {name: number for number, name in enumerate(self.chains)}
        self.edges = {edge.name: edge for edge in self.network.edges}

    def buffer(self, name: str) -> int:
        """The number of a buffer, ``NONE`` if there is none of that name."""
        return self.numbers.get(name, NONE)

    def layer(self, name: str) -> LayerRow:
        layer = self.network.layers[name]
        return LayerRow(
            as_image(layer.shape),
            state=self.buffer(f"{name}.state"),
            constant=self.buffer(f"{name}.constant"),
            drive=self.buffer(f"{name}.drive"),
            snapshot=self.buffer(f"{name}.snapshot"),
            captured=self.buffer(f"{name}.captured"),
            clip=layer.clip,
        )

    def coupling(self, name: str, first_matrix: int) -> CouplingRow:
        edge = self.edges.get(name)
        pool = None if edge is None else edge.pool
        return CouplingRow(
            pre=self.layers[self.network.cost.layer if edge is None else edge.pre],
            post=NONE if edge is None else self.layers[edge.post],
            first_matrix=first_matrix,
            matrices=len(self.chains[name]),
            pool_kernel=0 if pool is None else pool.kernel,
            pool_stride=0 if pool is None else pool.stride,
            sums=self.buffer(f"{name}.sums"),
            maxima=self.buffer(f"{name}.maxima"),
            logits=self.buffer(f"{name}.logits"),
        )

    def matrix(self, matrix: MappedMatrix, first_replica: int) -> MatrixRow:
        lowering = matrix.lowering
        convolution = isinstance(lowering, ConvLowering)
        pre_shape, post_shape = shapes(lowering)
        ends = self.ends(matrix.coupling, matrix.name)
        return MatrixRow(
            coupling=self.couplings[matrix.coupling],
            kind=CONVOLUTION if convolution else DENSE,
            pre_shape=pre_shape,
            post_shape=post_shape,
            kernel=lowering.kernel if isinstance(lowering, ConvLowering) else (1, 1),
            stride=lowering.stride if isinstance(lowering, ConvLowering) else (1, 1),
            padding=lowering.padding if isinstance(lowering, ConvLowering) else (0, 0),
            row_order=ROW_ORDERS.index(lowering.order),
            rows=lowering.rows,
            columns=lowering.columns,
            forward_from=self.buffer(ends[0]),
            forward_to=self.buffer(ends[1]),
            transposed_from=self.buffer(ends[2]),
            transposed_to=self.buffer(ends[3]),
            first_replica=first_replica,
            replicas=len(matrix.replicas),
        )

    def ends(self, coupling: str, matrix: str) -> tuple[str, str, str, str]:
        """Names of the buffers that a matrix reads from and adds to, forward and transposed."""
        chain, edge = self.chains[coupling], self.edges.get(coupling)
        place = list(chain).index(matrix)
        pre = self.network.cost.layer if edge is None else edge.pre
        before = f"{chain[place - 1]}.bus" if place else ""
        after = f"{matrix}.bus" if matrix != chain[-1] else ""
        if edge is None:
            given, driven = f"{coupling}.logits", f"{coupling}.logits"
        else:
            given = f"{edge.post}.drive" if edge.pool is None else f"{coupling}.sums"
            driven = f"{edge.post}.state"
        return before or f"{pre}.state", after or given, after or driven, before or f"{pre}.drive"


def shapes(lowering: Lowering) -> tuple[Shape, Shape]:
    """Of the pre and of the post side of a matrix, as images."""
    assert isinstance(lowering, DenseLowering | ConvLowering)
    return as_image(lowering.pre_shape), as_image(lowering.post_shape)


def as_image(shape: Sequence[int]) -> Shape:
    """Any shape as [channels, height, width], units in the same order."""
    first, *others = shape
    height, *rest = others or [1]
    return first, height, math.prod(rest)
