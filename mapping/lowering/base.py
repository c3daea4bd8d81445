"""Lowering: a coupling as one matrix, cut into pieces that are still cheap operations on whole states."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

Span = tuple[int, int]


def spans(total: int, step: int) -> tuple[Span, ...]:
    """Cut [0, total) into consecutive spans of ``step``, the last one shorter."""
    return tuple((start, min(start + step, total)) for start in range(0, total, step))


@dataclass(frozen=True)
class Region:
    """A rectangle of outputs: rows and columns of the post image. A dense coupling has one output a column."""

    vertical: Span
    horizontal: Span

    @property
    def height(self) -> int:
        return self.vertical[1] - self.vertical[0]

    @property
    def width(self) -> int:
        return self.horizontal[1] - self.horizontal[0]

    @property
    def positions(self) -> int:
        """Outputs of each column."""
        return self.height * self.width


@dataclass(frozen=True)
class Lowering(ABC):
    """A coupling as a matrix: rows are what the pre layer drives, columns what the post layer senses.

    A crossbar holds the block of some rows and some columns. Driving rows of one block gives a share of every
    sensed column, the partial sum that one ADC conversion digitises; shares of different row spans add
    digitally. In the transposed read columns are driven and each row is sensed, at each position of a
    convolution by itself.

    Attributes:
        order: how rows are numbered (see each class).
        row_spans: the rows each crossbar takes.
    """

    order: str
    row_spans: tuple[Span, ...]

    @property
    @abstractmethod
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Of a sample of the pre and of the post layer."""

    @property
    @abstractmethod
    def rows(self) -> int: ...

    @property
    @abstractmethod
    def columns(self) -> int: ...

    @property
    @abstractmethod
    def outputs(self) -> Region:
        """All outputs of a column: the pixels of a convolution."""

    @property
    def positions(self) -> int:
        """How many outputs each column has."""
        return self.outputs.positions

    @abstractmethod
    def part(self, region: Region) -> Lowering:
        """The same matrix, with only the outputs of ``region`` and the inputs they see."""

    @abstractmethod
    def seen(self, pre: Tensor, region: Region) -> Tensor:
        """The inputs that the outputs of ``region`` see, [batch, *pre_shape of the part], zeros beyond the image."""

    @abstractmethod
    def add_seen_(self, total: Tensor, share: Tensor, region: Region) -> None:
        """Add what a part's transposed read gave to [batch, *pre_shape], where it belongs."""

    @abstractmethod
    def in_region(self, post: Tensor, region: Region) -> Tensor:
        """A view of the outputs of ``region``: [batch, *post_shape] -> [batch, *post_shape of the part]."""

    @abstractmethod
    def rows_by_position(self, pre: Tensor) -> Tensor:
        """What drives every row at every position: [batch, *pre_shape] -> [batch * positions, rows]."""

    @abstractmethod
    def columns_by_position(self, post: Tensor) -> Tensor:
        """What belongs to every column at every position: [batch, *post_shape] -> [batch * positions, columns]."""

    @abstractmethod
    def to_matrix(self, weight: Tensor) -> Tensor:
        """A coupling's effective weight as [rows, columns]."""

    @abstractmethod
    def to_weight(self, matrix: Tensor) -> Tensor:
        """The inverse of :meth:`to_matrix`."""

    @abstractmethod
    def operand(self, block: Tensor, rows: Span) -> Tensor:
        """Prepare a block [rows of the span, lines] for :meth:`drive_rows` once, for many reads.

        There may be more lines than columns: every slice of a weight is sensed by its own.
        """

    @abstractmethod
    def rows_driven(self, pre: Tensor, rows: Span) -> Tensor:
        """What of [batch, *pre_shape] drives a row span, in any form that :meth:`drive_rows` takes."""

    @abstractmethod
    def drive_rows(self, operand: Tensor, driven: Tensor, rows: Span, bias: Tensor | None = None) -> Tensor:
        """Partial sums of a row span, [batch, lines, *positions], ``bias`` [lines] added."""

    @abstractmethod
    def driven_sum(self, pre: Tensor) -> Tensor:
        """The sum of all row drives behind each output, broadcastable against [batch, columns, *positions]."""

    @abstractmethod
    def to_post(self, sensed: Tensor) -> Tensor:
        """[batch, columns, *positions] -> [batch, *post_shape]."""

    @abstractmethod
    def columns_of(self, post: Tensor) -> Tensor:
        """[batch, *post_shape] -> [batch, columns, *positions]: what each column is driven with."""

    @abstractmethod
    def columns_driven(self, columns_of_post: Tensor, columns: Span) -> Tensor:
        """What of :meth:`columns_of` drives a column span, in any form that :meth:`drive_columns` takes."""

    @abstractmethod
    def drive_columns(self, block: Tensor, driven: Tensor, columns: Span, bias: Tensor | None = None) -> Tensor:
        """What every row senses when a span of columns is driven, block [rows, columns of the span]:
        [batch, rows, *positions], ``bias`` [rows] added."""

    @abstractmethod
    def overlap_add(self, sensed: Tensor) -> Tensor:
        """Add sensed rows up where they belong: [batch, rows, *positions] -> [batch, *pre_shape]."""
