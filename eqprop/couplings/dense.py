"""A full matrix between two layers of any shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from eqprop.couplings.base import Coupling, uniform_


class Dense(Coupling):
    """A s_pre = W vec(s_pre), with ``weight`` W of shape [post_size, pre_size]."""

    kind = "dense"

    def __init__(self, pre_shape: Sequence[int], post_shape: Sequence[int]) -> None:
        super().__init__()
        self.pre_shape = tuple(pre_shape)
        self.post_shape = tuple(post_shape)
        self.weight = nn.Parameter(torch.zeros(math.prod(self.post_shape), math.prod(self.pre_shape)))

    def forward(self, pre: Tensor) -> Tensor:
        return (pre.flatten(1) @ self.weight.T).view(-1, *self.post_shape)

    def transpose(self, post: Tensor) -> Tensor:
        return (post.flatten(1) @ self.weight).view(-1, *self.pre_shape)

    def gradient(self, pre: Tensor, post: Tensor) -> dict[str, Tensor]:
        return {"weight": post.flatten(1).T @ pre.flatten(1)}

    def effective_weight(self) -> Tensor:
        """[post_size, pre_size]."""
        return self.weight.detach()

    def initialise(self, gain: float, generator: torch.Generator) -> None:
        uniform_(self.weight, gain / math.sqrt(self.weight.shape[1]), generator)

    def config(self) -> dict[str, Any]:
        return {"pre_shape": list(self.pre_shape), "post_shape": list(self.post_shape)}
