"""What answers for a coupling on one chip."""

from __future__ import annotations

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
