"""One coupling of one chip: its devices as programmed and aged, and its converted reads."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mapping.arithmetic import Codes
from mapping.encoding import Encoding
from mapping.lowering import Lowering, Span


@dataclass(frozen=True)
class Converters:
    """Codes of a coupling's converters; None is an ideal converter.

    Attributes:
        pre_dac, post_dac: what drives rows, and what drives columns.
        forward_adc, transposed_adc: what senses columns, and what senses rows.
    """

    pre_dac: Codes | None
    post_dac: Codes | None
    forward_adc: Codes | None
    transposed_adc: Codes | None


class Array:
    """The crossbars of one coupling on one chip.

    Reads add rows of a tile in the wire, convert each tile's sums, and add tiles (and overlapping positions of a
    transposed convolution) digitally.

    Args:
        lowering, column_spans: how the matrix is cut.
        encoding: conductances -> weights.
        conductance: [rows, columns * devices_per_weight] siemens, as they are at this age.
        sigma_siemens: read noise of each device, or None.
        converters: DACs and ADCs.
        generator: draws this chip's read noise.
    """

    def __init__(
        self,
        lowering: Lowering,
        column_spans: tuple[Span, ...],
        encoding: Encoding,
        conductance: Tensor,
        sigma_siemens: Tensor | None,
        converters: Converters,
        generator: torch.Generator,
    ) -> None:
        self.lowering = lowering
        self.column_spans = column_spans
        self.converters = converters
        self.generator = generator
        self.weight = encoding.decode(conductance)
        # With an ADC the offset is in what it converts; without one, subtracting it before or after is the same.
        self.forward_offset = 0.0 if converters.forward_adc is None else encoding.offset
        self.transposed_offset = 0.0 if converters.transposed_adc is None else encoding.offset
        self.sensed_columns = raised(self.weight, self.forward_offset)
        self.sensed_rows = raised(self.weight, self.transposed_offset)
        self.variance = None if sigma_siemens is None else encoding.variance(sigma_siemens)
        whole = ((0, lowering.rows),)
        # Without an ADC the tiles' sums meet unrounded, so all rows are read at once.
        self.row_spans = whole if converters.forward_adc is None else lowering.row_spans
        self.driven_columns = ((0, lowering.columns),) if converters.transposed_adc is None else column_spans
        self.operands = [lowering.operand(self.sensed_columns[slice(*rows)], rows) for rows in self.row_spans]
        self.noise_operands = (
            None
            if self.variance is None
            else [lowering.operand(self.variance[slice(*rows)], rows) for rows in self.row_spans]
        )

    def forward(self, pre: Tensor) -> Tensor:
        """Drive rows, sense columns: [batch, *pre_shape] -> [batch, *post_shape]."""
        drive = to_drive(pre, self.converters.pre_dac)
        squared = None if self.noise_operands is None else drive.square()
        total: Tensor | None = None
        for number, rows in enumerate(self.row_spans):
            sums = self.lowering.drive_rows(self.operands[number], drive, rows)
            if squared is not None and self.noise_operands is not None:
                self.add_noise_(sums, self.lowering.drive_rows(self.noise_operands[number], squared, rows))
            total = accumulate(total, sums, self.converters.forward_adc)
        assert total is not None
        if self.converters.forward_adc is not None:
            self.converters.forward_adc.decode_(total)
        if self.forward_offset:
            total.sub_(self.lowering.driven_sum(drive), alpha=self.forward_offset)
        return total

    def transpose(self, post: Tensor) -> Tensor:
        """Drive columns, sense rows: [batch, *post_shape] -> [batch, *pre_shape]."""
        drive = to_drive(post, self.converters.post_dac)
        squared = None if self.variance is None else drive.square()
        total: Tensor | None = None
        for span in self.driven_columns:
            sums = self.lowering.drive_columns(self.sensed_rows[:, slice(*span)], drive, span)
            if squared is not None and self.variance is not None:
                self.add_noise_(sums, self.lowering.drive_columns(self.variance[:, slice(*span)], squared, span))
            total = accumulate(total, sums, self.converters.transposed_adc)
        assert total is not None
        if self.converters.transposed_adc is not None:
            self.converters.transposed_adc.decode_(total)
        if self.transposed_offset:
            driven = drive if total.dim() > 2 else drive.flatten(1)
            total.sub_(driven.sum(1, keepdim=True), alpha=self.transposed_offset)
        return self.lowering.overlap_add(total)

    def add_noise_(self, sums: Tensor, variance: Tensor) -> Tensor:
        """Fold the read noise of every device into one draw an output: variance sum_i drive_i^2 sigma_i^2."""
        noise = torch.empty_like(sums)
        # Drawn through a flat view: torch's fast generator wants contiguous memory, and sums may be channels_last.
        noise.as_strided((noise.numel(),), (1,)).normal_(generator=self.generator)
        return sums.add_(noise.mul_(variance.clamp_(min=0.0).sqrt_()))

    def effective_weight(self) -> Tensor:
        """The weight these devices mean, in the coupling's natural shape."""
        return self.lowering.to_weight(self.weight)


def raised(weight: Tensor, offset: float) -> Tensor:
    """The weight with the offset that lines sense on top; the weight itself, not a copy, where there is none."""
    return weight + offset if offset else weight


def to_drive(state: Tensor, dac: Codes | None) -> Tensor:
    """What reaches the lines: the state, or the value of its DAC code."""
    return state if dac is None else dac.quantise_(state.clone())


def accumulate(total: Tensor | None, sums: Tensor, adc: Codes | None) -> Tensor:
    """Add one tile's sums: as ADC codes if there is an ADC, as they are if not."""
    if adc is not None:
        adc.encode_(sums)
    return sums if total is None else total.add_(sums)
