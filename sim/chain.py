"""A low-rank coupling kept as two chained reads: the first one's answer, digitised, drives the second."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from mapping.hardware import Direction
from sim.drives import Seen
from sim.read_path import Conversions
from sim.reads import Reads


class Chain:
    """Reads one after the other.

    Args:
        links: in the order of a forward read.
    """

    def __init__(self, links: Sequence[Reads]) -> None:
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

    def conversions(self, direction: Direction) -> Conversions:
        """Of all links."""
        return Conversions.total(link.conversions(direction) for link in self.links)

    def seen(self, direction: Direction) -> list[Seen]:
        """Of all links, in the order of a forward read."""
        return [seen for link in self.links for seen in link.seen(direction)]

    def forget(self) -> None:
        for link in self.links:
            link.forget()

    def begin_phase(self) -> None:
        for link in self.links:
            link.begin_phase()

    @property
    def nbytes(self) -> int:
        return sum(link.nbytes for link in self.links)
