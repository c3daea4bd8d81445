"""A full matrix (and a low-rank coupling, multiplied out) as rows and columns."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from mapping.lowering.base import Lowering, Span


@dataclass(frozen=True)
class DenseLowering(Lowering):
    """Row i is unit i of the flattened pre layer, column j unit j of the flattened post layer."""

    pre_shape: tuple[int, ...]
    post_shape: tuple[int, ...]

    @property
    def rows(self) -> int:
        return math.prod(self.pre_shape)

    @property
    def columns(self) -> int:
        return math.prod(self.post_shape)

    def to_matrix(self, weight: Tensor) -> Tensor:
        return weight.T.contiguous()

    def to_weight(self, matrix: Tensor) -> Tensor:
        return matrix.T.contiguous()

    def operand(self, block: Tensor, rows: Span) -> Tensor:
        return block

    def drive_rows(self, operand: Tensor, pre: Tensor, rows: Span) -> Tensor:
        return (pre.flatten(1)[:, rows[0] : rows[1]] @ operand).view(-1, *self.post_shape)

    def driven_sum(self, pre: Tensor) -> Tensor:
        return pre.flatten(1).sum(1).view(-1, *(1 for _ in self.post_shape))

    def drive_columns(self, block: Tensor, post: Tensor, columns: Span) -> Tensor:
        return post.flatten(1)[:, columns[0] : columns[1]] @ block.T

    def overlap_add(self, sensed: Tensor) -> Tensor:
        return sensed.view(-1, *self.pre_shape)
