"""A bilinear coupling of low rank: A = U V^T."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from eqprop.couplings.base import Coupling, uniform_


class LowRank(Coupling):
    """A s_pre = U (V^T vec(s_pre)), with U [post_size, rank] and V [pre_size, rank].

    A device of U needs its own state and the rank-wide bus V^T s_pre alone, so the rule stays local
    (and likewise for V).
    """

    kind = "low-rank"

    def __init__(self, pre_shape: Sequence[int], post_shape: Sequence[int], rank: int) -> None:
        super().__init__()
        self.pre_shape = tuple(pre_shape)
        self.post_shape = tuple(post_shape)
        if rank < 1:
            raise ValueError(f"low-rank coupling rank {rank}: expected >= 1")
        self.U = nn.Parameter(torch.zeros(math.prod(self.post_shape), rank))
        self.V = nn.Parameter(torch.zeros(math.prod(self.pre_shape), rank))

    def forward(self, pre: Tensor) -> Tensor:
        return ((pre.flatten(1) @ self.V) @ self.U.T).view(-1, *self.post_shape)

    def transpose(self, post: Tensor) -> Tensor:
        return ((post.flatten(1) @ self.U) @ self.V.T).view(-1, *self.pre_shape)

    def gradient(self, pre: Tensor, post: Tensor) -> dict[str, Tensor]:
        pre, post = pre.flatten(1), post.flatten(1)
        return {"U": post.T @ (pre @ self.V), "V": pre.T @ (post @ self.U)}

    def effective_weight(self) -> Tensor:
        """U V^T, [post_size, pre_size]."""
        return self.U.detach() @ self.V.detach().T

    def initialise(self, gain: float, generator: torch.Generator) -> None:
        # Entries of U V^T get the variance gain^2 / (3 fan_in) that a dense U(-gain, gain)/sqrt(fan_in) has.
        fan_in, rank = self.V.shape
        variance = gain / math.sqrt(3 * fan_in * rank)
        for factor in (self.U, self.V):
            uniform_(factor, math.sqrt(3 * variance), generator)

    def config(self) -> dict[str, Any]:
        return {
            "pre_shape": list(self.pre_shape),
            "post_shape": list(self.post_shape),
            "rank": self.U.shape[1],
        }
