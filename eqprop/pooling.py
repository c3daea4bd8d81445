"""Max pooling after a coupling: a digital step outside the matrix, so a crossbar holds a plain convolution."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class MaxPool2d:
    """P in the term <s_post, P(A s_pre)>: the maximum over ``kernel`` x ``kernel`` windows.

    Its transpose depends on where the maxima of A s_pre are (Laborieux et al. 2021, section 1.1 of the
    conventions in docs/equations.md), so both directions start from the forward read.
    """

    kernel: int = 2
    stride: int = 2

    def __post_init__(self) -> None:
        if self.kernel < 1 or self.stride < 1:
            raise ValueError(f"max pooling kernel {self.kernel}, stride {self.stride}: expected both >= 1")

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        channels, height, width = shape
        return channels, (height - self.kernel) // self.stride + 1, (width - self.kernel) // self.stride + 1

    def forward(self, read: Tensor) -> Tensor:
        """[batch, C, H, W] -> the pooled maxima."""
        return F.max_pool2d(read, self.kernel, self.stride)

    def transpose(self, post: Tensor, read: Tensor) -> Tensor:
        """Put each ``post`` value where the maximum of ``read`` was; windows that overlap add up."""
        _, index = F.max_pool2d(read, self.kernel, self.stride, return_indices=True)
        spread = torch.zeros(read.shape, dtype=post.dtype, device=post.device).flatten(2)
        spread.scatter_add_(2, index.flatten(2), post.flatten(2))
        return spread.view(read.shape).contiguous(memory_format=torch.channels_last)
