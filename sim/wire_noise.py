"""Read noise behind resistive wires, folded into one draw a sum: :class:`sim.wire_models.NoiseOperands` at work."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mapping.lowering import Span
from sim.read_path import Sense


@dataclass(frozen=True)
class WireNoiseLines:
    """How the wires of a coupling's crossbars mix drives into noise, gathered in one direction.

    Attributes:
        linear, cross: T and C, [terms, rows, columns * devices_per_weight].
        gram: D of each span of driven lines, [spans, terms, terms, sensed devices' lines].
    """

    linear: Tensor
    cross: Tensor
    gram: Tensor

    @property
    def nbytes(self) -> int:
        return self.linear.nbytes + self.cross.nbytes + self.gram.nbytes


@dataclass(frozen=True)
class WireNoise:
    """Twice the variance of sums: S v^2 - 2 sum_q k_q C_q v + sum_qp k_q k_p D_qp with k_q = T_q v.

    Attributes:
        squared, linear, cross: operands of S, and of every T_q and C_q.
        gram: [terms, terms, lines] D.
        scale: [lines] what the whole is multiplied with.
        lines_added: neighbouring lines whose variances add up to one sum's (the columns of a pair).
    """

    squared: Tensor
    linear: tuple[Tensor, ...]
    cross: tuple[Tensor, ...]
    gram: Tensor
    scale: Tensor
    lines_added: int = 1

    def spread(self, sense: Sense, drive: Tensor, span: Span) -> Tensor:
        """Twice the variance of each sum, [batch, lines, *positions]."""
        total = sense(self.squared, drive.square(), span, None)
        lifts = [sense(operand, drive, span, None) for operand in self.linear]
        shape = (-1, *(1 for _ in total.shape[2:]))
        for q, lift in enumerate(lifts):
            # The bracket of k_q (sum_p k_p D_qp - 2 C_q v).
            bracket = sense(self.cross[q], drive, span, None).mul_(-2.0)
            for p, other in enumerate(lifts):
                bracket.addcmul_(other, self.gram[q, p].view(shape))
            total.addcmul_(lift, bracket)
        total.mul_(self.scale.view(shape))
        if self.lines_added == 1:
            return total
        added = total.unflatten(1, (-1, self.lines_added)).sum(2)
        layout = torch.channels_last if added.dim() == 4 else torch.contiguous_format
        return added.contiguous(memory_format=layout)

    @property
    def nbytes(self) -> int:
        return self.squared.nbytes + sum(operand.nbytes for operand in (*self.linear, *self.cross)) + self.gram.nbytes
