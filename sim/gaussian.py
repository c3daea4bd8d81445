"""Normal numbers for read noise: one stream a chip, fast on CPUs.

Read noise takes one normal number for every conversion, more than any other part of a simulated read. On a CPU they
are erf^-1(u) of 32 random bits u from an SFC64 stream: two thirds of the time of torch's own generator.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

# Scaled so that the largest and smallest of 2^32 integers stay inside (-1, 1) after rounding to float32.
TO_UNIT = (1.0 - 2.0**-24) * 2.0**-31


def whole(sequence: np.random.SeedSequence) -> int:
    """A seed for torch's generators, which take 63 bits."""
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


class NoiseStream:
    """A stream of normal numbers of mean 0 and variance 1/2.

    Half, since erf^-1 of a uniform number has that variance and the factor 2 is free in the operands that give the
    noise its variance.

    Args:
        seed: a sequence that nothing else draws from.
        device: where numbers are wanted; CPU and CUDA differ.
    """

    def __init__(self, seed: np.random.SeedSequence, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        if self.device.type == "cpu":
            self.bits = np.random.SFC64(seed)
        else:
            self.generator = torch.Generator(self.device)
            self.generator.manual_seed(whole(seed))

    def draw(self, count: int) -> Tensor:
        """``count`` numbers, float32."""
        if self.device.type != "cpu":
            return torch.empty(count, device=self.device).normal_(std=0.5**0.5, generator=self.generator)
        words = self.bits.random_raw(-(-count // 2))
        # Converted first: torch multiplies integers by a float far more slowly than it converts them.
        return torch.from_numpy(words.view(np.int32)[:count]).float().mul_(TO_UNIT).erfinv_()

    def like(self, tensor: Tensor) -> Tensor:
        """One number for each of ``tensor``'s, in its own memory layout (dense, any order of axes)."""
        return self.draw(tensor.numel()).as_strided(tensor.shape, tensor.stride())
