"""Standard normal numbers, one a device."""

from __future__ import annotations

import torch
from torch import Tensor


def normal_like(x: Tensor, generator: torch.Generator) -> Tensor:
    """Of the shape, type and device of ``x``; the same numbers whatever the memory layout of ``x``."""
    return torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)
