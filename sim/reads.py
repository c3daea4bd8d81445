"""What answers for a coupling on one chip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from mapping.hardware import Direction
from sim.drives import Seen
from sim.read_path import Conversions


class Reads(Protocol):
    """Both reads of a coupling: one array, copies of one, or a chain of either."""

    def forward(self, pre: Tensor) -> Tensor:
        """[batch, *pre_shape] -> [batch, *post_shape]."""
        ...

    def transpose(self, post: Tensor) -> Tensor:
        """[batch, *post_shape] -> [batch, *pre_shape]."""
        ...

    def effective_weight(self, direction: Direction = "forward") -> Tensor:
        """The weight that the devices mean in one direction, in the coupling's natural shape."""
        ...

    def conversions(self, direction: Direction) -> Conversions:
        """Conversions made in one direction so far."""
        ...

    def seen(self, direction: Direction) -> list[Seen]:
        """What each array of it counted in one direction so far, in the order of matrices and copies."""
        ...

    def forget(self) -> None:
        """Count from zero."""
        ...

    def begin_phase(self) -> None:
        """Draw frozen read noise anew."""
        ...

    @property
    def nbytes(self) -> int:
        """Memory of devices and operands."""
        ...


class Several:
    """What reads made of other reads count and keep: all that their parts do."""

    def __init__(self, parts: Sequence[Reads]) -> None:
        self.parts = parts

    def conversions(self, direction: Direction) -> Conversions:
        return Conversions.total(part.conversions(direction) for part in self.parts)

    def seen(self, direction: Direction) -> list[Seen]:
        return [seen for part in self.parts for seen in part.seen(direction)]

    def forget(self) -> None:
        for part in self.parts:
            part.forget()

    def begin_phase(self) -> None:
        for part in self.parts:
            part.begin_phase()

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for part in self.parts)
