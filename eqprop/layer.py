"""A layer: one group of states, the box they live in and how stiff they are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

CLIP_RANGES: dict[str, tuple[float, float]] = {
    "linear": (-math.inf, math.inf),
    "hard-sigmoid": (0.0, 1.0),
    "relu6": (0.0, 6.0),
}


def clip_range(activation: str) -> tuple[float, float]:
    """The interval an activation confines a state to.

    ``linear`` is the whole line, ``hard-sigmoid`` is [0, 1], ``relu6`` is [0, 6] and ``relu:ALPHA`` is
    a ReLU clipped at any positive ALPHA.

    Raises:
        ValueError: for a name outside this list or an ALPHA that is not positive.
    """
    if activation in CLIP_RANGES:
        return CLIP_RANGES[activation]
    kind, _, alpha = activation.partition(":")
    try:
        high = float(alpha)
    except ValueError:
        high = math.nan
    if kind != "relu" or not 0.0 < high < math.inf:
        expected = ", ".join(CLIP_RANGES)
        raise ValueError(f"activation {activation!r}: expected one of {expected} or relu:ALPHA with ALPHA > 0")
    return (0.0, high)


@dataclass(frozen=True)
class Layer:
    """States of one layer: ``shape`` without the batch, clip range and stiffness k.

    The layer contributes 1/2 k |s|^2 to the energy, so with everything else fixed the exact minimiser over
    the box is clip(h / k), where h is the drive (the sum of its couplings and its bias). A hard sigmoid
    clip(h / 2, 0, 1), as used for VGG5 by Laborieux et al. 2021, is stiffness 2 on [0, 1].
    """

    shape: tuple[int, ...]
    clip: tuple[float, float] = (-math.inf, math.inf)
    stiffness: float = 1.0

    def __post_init__(self) -> None:
        if not self.shape or min(self.shape) < 1:
            raise ValueError(f"layer shape {self.shape}: expected positive sizes")
        if not self.clip[0] < self.clip[1]:
            raise ValueError(f"layer clip range {self.clip}: expected low < high")
        if not 0.0 < self.stiffness < math.inf:
            raise ValueError(f"layer stiffness {self.stiffness}: expected a positive finite number")

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def bias_shape(self) -> tuple[int, ...]:
        """One bias a channel for image layers, one a unit otherwise."""
        return self.shape[:1]

    def spread_bias(self, bias: Tensor) -> Tensor:
        """View a bias so that it broadcasts against [batch, *shape]."""
        return bias.view(1, -1, *(1 for _ in self.shape[1:]))

    def confine_(self, state: Tensor) -> Tensor:
        """Clip ``state`` to the layer's range, in place."""
        low, high = self.clip
        if math.isinf(low) and math.isinf(high):
            return state
        return state.clamp_(low, high)

    def zeros(self, batch: int, like: Tensor) -> Tensor:
        """The state every relaxation starts from: 0, or the nearest value inside the clip range."""
        state = torch.zeros((batch, *self.shape), dtype=like.dtype, device=like.device)
        if len(self.shape) == 3:
            state = state.to(memory_format=torch.channels_last)
        return self.confine_(state)
