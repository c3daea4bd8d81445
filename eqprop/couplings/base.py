"""What every coupling offers: two reads and one local product."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn


class Coupling(nn.Module):
    """The bilinear form <s_post, A s_pre> between two layers.

    ``forward`` and ``transpose`` are the two reads a crossbar offers (drive rows and sense columns, drive
    columns and sense rows); ``gradient`` is the local product that learning needs. Dynamics and estimators
    use nothing else, so a coupling answered by simulated arrays takes the place of an ideal one unchanged.

    Attributes:
        pre_shape, post_shape: shapes of one sample on either side, without the batch.
    """

    kind: ClassVar[str]
    pre_shape: tuple[int, ...]
    post_shape: tuple[int, ...]

    @abstractmethod
    def forward(self, pre: Tensor) -> Tensor:
        """A s_pre: [batch, *pre_shape] -> [batch, *post_shape]."""

    @abstractmethod
    def transpose(self, post: Tensor) -> Tensor:
        """A^T s_post: [batch, *post_shape] -> [batch, *pre_shape]."""

    @abstractmethod
    def gradient(self, pre: Tensor, post: Tensor) -> dict[str, Tensor]:
        """d<s_post, A s_pre>/dtheta, summed over the batch, by parameter name."""

    @abstractmethod
    def effective_weight(self) -> Tensor:
        """The weight this coupling applies, in its natural shape (see each class)."""

    @abstractmethod
    def initialise(self, gain: float, generator: torch.Generator) -> None:
        """Draw the weights from U(-gain/sqrt(fan_in), gain/sqrt(fan_in))."""

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Constructor arguments as plain numbers and lists: enough to build an equal coupling."""


def uniform_(weight: Tensor, bound: float, generator: torch.Generator) -> None:
    """Fill ``weight`` from U(-bound, bound) without touching the global random state."""
    with torch.no_grad():
        weight.uniform_(-bound, bound, generator=generator)
