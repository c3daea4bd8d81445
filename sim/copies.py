"""Copies of one matrix on one chip: each answers for its part of the outputs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mapping.hardware import Direction
from mapping.lowering import Lowering, Region
from sim.array import Array
from sim.reads import Several


class Copies(Several):
    """Arrays side by side.

    Args:
        lowering: of the whole matrix, all outputs.
        regions: the outputs that each array answers for.
        arrays: on the parts of ``lowering`` that belong to the regions; transposed they leave sums of codes as they
            are, since where inputs are seen by several these add up first.
    """

    def __init__(self, lowering: Lowering, regions: Sequence[Region], arrays: Sequence[Array]) -> None:
        super().__init__(arrays)
        self.lowering, self.regions, self.arrays = lowering, regions, arrays

    def forward(self, pre: Tensor) -> Tensor:
        """Each array reads the inputs that its outputs see."""
        answer = empty((len(pre), *self.lowering.shapes[1]), pre)
        for region, array in zip(self.regions, self.arrays, strict=True):
            self.lowering.in_region(answer, region).copy_(array.forward(self.lowering.seen(pre, region)))
        return answer

    def transpose(self, post: Tensor) -> Tensor:
        """Each array is driven with its outputs; where inputs are seen by several, their shares add digitally."""
        total = empty((len(post), *self.lowering.shapes[0]), post).zero_()
        for region, array in zip(self.regions, self.arrays, strict=True):
            own = self.lowering.in_region(post, region)
            share = array.transpose(own.contiguous(memory_format=layout_of(own)))
            self.lowering.add_seen_(total, share, region)
        requantiser = self.arrays[0].columns_read.requantiser
        return total if requantiser is None else requantiser(total)

    def effective_weight(self, direction: Direction = "forward") -> Tensor:
        """The mean of the copies' weights, each counted with the outputs it answers for."""
        shares = [region.positions / self.lowering.positions for region in self.regions]
        weights = [array.effective_weight(direction) for array in self.arrays]
        return torch.stack([share * weight for share, weight in zip(shares, weights, strict=True)]).sum(0)


def empty(shape: tuple[int, ...], like: Tensor) -> Tensor:
    layout = torch.channels_last if len(shape) == 4 else torch.contiguous_format
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=layout)


def layout_of(tensor: Tensor) -> torch.memory_format:
    return torch.channels_last if tensor.dim() == 4 else torch.contiguous_format
