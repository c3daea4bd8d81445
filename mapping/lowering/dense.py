"""A full matrix (and a low-rank coupling, multiplied out) as rows and columns."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mapping.lowering.base import Lowering, Region, Span


@dataclass(frozen=True)
class DenseLowering(Lowering):
    """Row i is unit i of the flattened pre layer, column j unit j of the flattened post layer."""

    pre_shape: tuple[int, ...]
    post_shape: tuple[int, ...]

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return self.pre_shape, self.post_shape

    @property
    def rows(self) -> int:
        return math.prod(self.pre_shape)

    @property
    def columns(self) -> int:
        return math.prod(self.post_shape)

    @property
    def outputs(self) -> Region:
        return Region((0, 1), (0, 1))

    def part(self, region: Region) -> DenseLowering:
        return self

    def seen(self, pre: Tensor, region: Region) -> Tensor:
        return pre

    def add_seen_(self, total: Tensor, share: Tensor, region: Region) -> None:
        total.add_(share)

    def in_region(self, post: Tensor, region: Region) -> Tensor:
        return post

    def rows_by_position(self, pre: Tensor) -> Tensor:
        return pre.flatten(1)

    def columns_by_position(self, post: Tensor) -> Tensor:
        return post.flatten(1)

    def to_matrix(self, weight: Tensor) -> Tensor:
        return weight.T.contiguous()

    def to_weight(self, matrix: Tensor) -> Tensor:
        return matrix.T.contiguous()

    def operand(self, block: Tensor, rows: Span) -> Tensor:
        return block

    def rows_driven(self, pre: Tensor, rows: Span) -> Tensor:
        return pre.flatten(1)[:, rows[0] : rows[1]]

    def drive_rows(self, operand: Tensor, driven: Tensor, rows: Span, bias: Tensor | None = None) -> Tensor:
        return times(driven, operand, bias)

    def driven_sum(self, pre: Tensor) -> Tensor:
        return pre.flatten(1).sum(1, keepdim=True)

    def to_post(self, sensed: Tensor) -> Tensor:
        return sensed.view(-1, *self.post_shape)

    def columns_of(self, post: Tensor) -> Tensor:
        return post.flatten(1)

    def columns_driven(self, columns_of_post: Tensor, columns: Span) -> Tensor:
        return columns_of_post[:, columns[0] : columns[1]]

    def drive_columns(self, block: Tensor, driven: Tensor, columns: Span, bias: Tensor | None = None) -> Tensor:
        return times(driven, block.T, bias)

    def overlap_add(self, sensed: Tensor) -> Tensor:
        return sensed.view(-1, *self.pre_shape)


def times(driven: Tensor, operand: Tensor, bias: Tensor | None) -> Tensor:
    return driven @ operand if bias is None else torch.addmm(bias, driven, operand)
