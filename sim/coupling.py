"""A coupling answered by the arrays of one or more chips."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from eqprop import Coupling
from eqprop.couplings import StandIn
from sim.array import Array


class MappedCoupling(StandIn):
    """Reads go to ``arrays``, one for each chip; the batch holds the chips' samples one chip after the other.

    ``gradient`` is the digital product of the states (learning by pulses is a matter of the arrays, not of this
    class), and lands on the ideal coupling's parameters.
    """

    def __init__(self, ideal: Coupling, arrays: Sequence[Array]) -> None:
        super().__init__(ideal)
        self.arrays = list(arrays)

    def forward(self, pre: Tensor) -> Tensor:
        return self.each_chip(pre, [array.forward for array in self.arrays])

    def transpose(self, post: Tensor) -> Tensor:
        return self.each_chip(post, [array.transpose for array in self.arrays])

    def each_chip(self, batch: Tensor, reads: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
        if len(batch) % len(reads):
            raise ValueError(f"a batch of {len(batch)} for {len(reads)} chips: expected a multiple")
        if len(reads) == 1:
            return reads[0](batch)
        return torch.cat([read(part) for read, part in zip(reads, batch.chunk(len(reads)), strict=True)])

    def effective_weight(self, chip: int = 0) -> Tensor:
        """The weight that the devices of ``chip`` mean, in the ideal coupling's shape (before read noise)."""
        return self.arrays[chip].effective_weight()
