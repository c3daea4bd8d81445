"""A coupling answered by the arrays of one or more chips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from eqprop import Coupling
from eqprop.couplings import StandIn
from mapping.hardware import Direction
from sim.reads import Reads
from sim.workers import run_all


class MappedCoupling(StandIn):
    """Reads go to what ``arrays`` holds for each chip; the batch holds the chips' samples one chip after the other.

    ``gradient`` is the digital product of the states (learning by pulses is a matter of the arrays, not of this
    class), and lands on the ideal coupling's parameters.
    """

    def __init__(self, ideal: Coupling, arrays: Sequence[Reads]) -> None:
        super().__init__(ideal)
        self.arrays = list(arrays)

    def forward(self, pre: Tensor) -> Tensor:
        return self.each_chip(pre, [array.forward for array in self.arrays])

    def transpose(self, post: Tensor) -> Tensor:
        return self.each_chip(post, [array.transpose for array in self.arrays])

    def each_chip(self, batch: Tensor, reads: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
        """Every chip reads its own share of the batch; chips share the threads."""
        if len(batch) % len(reads):
            raise ValueError(f"a batch of {len(batch)} for {len(reads)} chips: expected a multiple")
        if len(reads) == 1:
            return reads[0](batch)
        shares = batch.chunk(len(reads))
        return torch.cat(run_all([partial(read, share) for read, share in zip(reads, shares, strict=True)]))

    def effective_weight(self, chip: int = 0, direction: Direction = "forward") -> Tensor:
        """The weight that ``chip`` means in one direction, wires included, in the ideal coupling's shape."""
        return self.arrays[chip].effective_weight(direction)
