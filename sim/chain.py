"""A low-rank coupling kept as two chained reads: the first one's answer, digitised, drives the second."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from mapping.hardware import Direction
from sim.reads import Reads, Several


class Chain(Several):
    """Reads one after the other.

    Args:
        links: in the order of a forward read.
    """

    def __init__(self, links: Sequence[Reads]) -> None:
        super().__init__(links)
        self.links = links

    def forward(self, pre: Tensor) -> Tensor:
        for link in self.links:
            pre = link.forward(pre)
        return pre

    def transpose(self, post: Tensor) -> Tensor:
        for link in reversed(self.links):
            post = link.transpose(post)
        return post

    def effective_weight(self, direction: Direction = "forward") -> Tensor:
        """The product of the links' weights."""
        product = self.links[0].effective_weight(direction)
        for link in self.links[1:]:
            product = link.effective_weight(direction) @ product
        return product
