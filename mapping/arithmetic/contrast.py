"""The contrast of two nudged phases: the sum over positions of x+ y+ - x- y-, for every row and column of a matrix.

States are codes of their layers, whole numbers; nothing is rounded and nothing overflows. A weight's change is this
whole number times the steps of both layers, the learning rate and 1 / (2 beta).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def contrast(x_plus: Sequence[int], y_plus: Sequence[int], x_minus: Sequence[int], y_minus: Sequence[int]) -> int:
    """Of one row and one column: each a code a position, of the phase of +beta and that of -beta."""
    positions = zip(x_plus, y_plus, x_minus, y_minus, strict=True)
    return sum(above * right - below * left for above, right, below, left in positions)


def contrasts(x_plus: Tensor, y_plus: Tensor, x_minus: Tensor, y_minus: Tensor) -> Tensor:
    """As :func:`contrast`, of all: int64 [positions, rows] and [positions, columns] -> int64 [rows, columns].

    Raises:
        ValueError: for another type: float sums would round.
    """
    for values in (x_plus, y_plus, x_minus, y_minus):
        if values.dtype != torch.int64:
            raise ValueError(f"states of {values.dtype}: expected codes, int64")
    return x_plus.T @ y_plus - x_minus.T @ y_minus


def contrast_bits(state_bits: int, positions: int) -> int:
    """Fewest bits of a signed contrast that can never overflow: 2 state_bits + ceil(log2 positions) + 1 for the sign.

    The difference of two products of states, whether signed or not, is less than 2^(2 state_bits) either way.

    Raises:
        ValueError: for fewer than one bit or one position.
    """
    if state_bits < 1 or positions < 1:
        raise ValueError(f"contrast of {state_bits} bits at {positions} positions: expected at least 1 of each")
    return 2 * state_bits + (positions - 1).bit_length() + 1
