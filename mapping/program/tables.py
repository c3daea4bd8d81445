"""The tables a microprogram comes with: whole numbers that say where states, matrices and tiles are.

A row names other rows by their number; ``NONE`` is no row. Scales, biases and stiffnesses are the mapping's, not part
of a program.
"""

from __future__ import annotations

from dataclasses import dataclass

from mapping.lowering import Span
from mapping.program.instructions import Instruction

NONE = 2**32 - 1

Shape = tuple[int, int, int]
"""Channels, height, width; a vector is [units, 1, 1]."""

DENSE, CONVOLUTION = 0, 1
ROW_ORDERS = ("flat", "channel-major", "tap-major")


@dataclass(frozen=True)
class BufferRow:
    """A piece of state memory: byte address and size."""

    address: int
    bytes: int


@dataclass(frozen=True)
class LayerRow:
    """A layer.

    Attributes:
        state, constant, drive, snapshot, captured: buffers; clamped layers have a state alone, layers without clamped
            inputs no constant.
        clip: lowest and highest state.
    """

    shape: Shape
    state: int
    constant: int
    drive: int
    snapshot: int
    captured: int
    clip: tuple[float, float]


@dataclass(frozen=True)
class CouplingRow:
    """A coupling.

    Attributes:
        pre, post: layers; a readout has no post.
        first_matrix, matrices: its matrices, in the order of a forward read.
        pool_kernel, pool_stride: of max pooling, 0 without.
        sums, maxima: buffers of pooling; couplings out of clamped layers keep no maxima.
        logits: buffer of a readout.
    """

    pre: int
    post: int
    first_matrix: int
    matrices: int
    pool_kernel: int
    pool_stride: int
    sums: int
    maxima: int
    logits: int


@dataclass(frozen=True)
class MatrixRow:
    """A matrix: rows are what the pre side drives, columns what the post side senses.

    Attributes:
        kind: 0 dense, 1 convolution.
        pre_shape, post_shape: of one sample, before pooling.
        kernel, stride, padding: vertical and horizontal; (1, 1), (1, 1), (0, 0) for a dense matrix.
        row_order: 0 row i is unit i; 1 row = channel * taps + tap; 2 row = tap * channels + channel.
        forward_from, forward_to, transposed_from, transposed_to: the buffers that a read of each direction drives with
            and adds to.
        first_replica, replicas: its copies.
    """

    coupling: int
    kind: int
    pre_shape: Shape
    post_shape: Shape
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    row_order: int
    rows: int
    columns: int
    forward_from: int
    forward_to: int
    transposed_from: int
    transposed_to: int
    first_replica: int
    replicas: int


@dataclass(frozen=True)
class ReplicaRow:
    """A copy of a matrix: the output rows and columns it answers for (ends exclusive), and its tiles."""

    vertical: Span
    horizontal: Span
    first_tile: int
    tiles: int


@dataclass(frozen=True)
class TileRow:
    """A block of a matrix: its spans of rows and columns (ends exclusive), its crossbar and its first device there."""

    rows: Span
    columns: Span
    crossbar: int
    at: tuple[int, int]


@dataclass(frozen=True)
class SectionRow:
    """A part of the EP step and the number of its first word."""

    first_word: int


@dataclass(frozen=True)
class Program:
    """Everything the controller needs for one EP step of one sample, but for scales and biases.

    Attributes:
        memory_bytes: state memory used.
        state_bytes: of one state.
        buffers, layers, couplings, matrices: by name; their order numbers them.
        replicas, tiles: of all matrices.
        sections: parts of the EP step, for readers.
        code: the words.
    """

    memory_bytes: int
    state_bytes: int
    buffers: dict[str, BufferRow]
    layers: dict[str, LayerRow]
    couplings: dict[str, CouplingRow]
    matrices: dict[str, MatrixRow]
    replicas: tuple[ReplicaRow, ...]
    tiles: tuple[TileRow, ...]
    sections: dict[str, SectionRow]
    code: tuple[Instruction, ...]
