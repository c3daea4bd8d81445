"""From devices to the operands of fast reads: everything a conversion multiplies, prepared once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mapping.encoding import Encoding
from mapping.lowering import Lowering, Span
from sim.converters import Digitiser
from sim.read_path import IndependentNoise, Part
from sim.wire_noise import WireNoise, WireNoiseLines


@dataclass(frozen=True)
class Lines:
    """What the terminals of a coupling's crossbars see in one direction; [rows, columns * devices_per_weight].

    Attributes:
        conductance: siemens, wires included.
        squared_siemens: variance of each device's read noise as the terminals see it, or None.
        wire_noise: what resistive wires add to the read noise, or None.
        higher: (power, coefficients) of currents beyond Ohm's law, in siemens a unit of drive^(power - 1).
    """

    conductance: Tensor
    squared_siemens: Tensor | None = None
    wire_noise: WireNoiseLines | None = None
    higher: tuple[tuple[int, Tensor], ...] = ()


@dataclass(frozen=True)
class Parts:
    """Parts of a read path, and whether their sums still are slices with their offsets."""

    parts: list[Part]
    sliced: bool


def forward_parts(lowering: Lowering, encoding: Encoding, lines: Lines, digitiser: Digitiser | None) -> Parts:
    """Rows driven: a part for each span of rows.

    Without ADCs the tiles' sums meet unrounded, so all rows are one part, slices are added and the offset is gone
    (but for noise behind wires, where each crossbar's is its own).
    """
    if digitiser is None and lines.wire_noise is None:
        whole = (0, lowering.rows)
        higher = tuple((power, encoding.combine(encoding.sensed(c))) for power, c in lines.higher)
        part = Part(
            whole,
            lowering.operand(encoding.decode(lines.conductance), whole),
            higher=tuple((power, lowering.operand(block, whole)) for power, block in higher),
            spread=None
            if lines.squared_siemens is None
            else IndependentNoise(lowering.operand(2.0 * combined_variance(encoding, lines.squared_siemens), whole)),
        )
        return Parts([part], sliced=False)
    parts = []
    for number, rows in enumerate(lowering.row_spans):
        here = slice(*rows)
        sensed = encoding.sensed(lines.conductance[here])
        scale = Scale.of(digitiser, number, sensed.new_ones(sensed.shape[1]))
        parts.append(
            Part(
                rows,
                lowering.operand(sensed * scale.factors, rows),
                scale.bias,
                tuple(
                    (power, lowering.operand(encoding.sensed(c[here]) * scale.factors, rows))
                    for power, c in lines.higher
                ),
                forward_noise(lowering, encoding, lines, rows, number, scale.factors),
                scale.steps,
            )
        )
    return Parts(parts, sliced=True)


def forward_noise(
    lowering: Lowering, encoding: Encoding, lines: Lines, rows: Span, number: int, factors: Tensor
) -> IndependentNoise | WireNoise | None:
    """Noise of one span of rows, in squared steps."""
    if lines.squared_siemens is None:
        return None
    squared = lines.squared_siemens[slice(*rows)]
    if lines.wire_noise is None:
        return IndependentNoise(lowering.operand(encoding.variance(squared) * (2.0 * factors.square()), rows))
    mixing, per_slice = lines.wire_noise, encoding.devices_per_slice
    scale = 2.0 * encoding.weight_per_siemens**2 * factors.square().repeat_interleave(per_slice)
    return WireNoise(
        lowering.operand(squared, rows),
        tuple(lowering.operand(linear[slice(*rows)], rows) for linear in mixing.linear),
        tuple(lowering.operand(cross[slice(*rows)], rows) for cross in mixing.cross),
        mixing.gram[number],
        scale,
        per_slice,
    )


def transposed_parts(
    lowering: Lowering, column_spans: Sequence[Span], encoding: Encoding, lines: Lines, digitiser: Digitiser | None
) -> Parts:
    """Columns driven: a part for each span of columns and each slice.

    The devices of a pair are driven with opposite signs, and every device sees the polarity of the forward read
    reversed: even powers of its current add up, with the other sign.
    """
    squared = lines.squared_siemens
    if digitiser is None and lines.wire_noise is None:
        higher = tuple((power, encoding.combine(reversed_polarity(encoding, power, c))) for power, c in lines.higher)
        noise = None if squared is None else IndependentNoise(2.0 * combined_variance(encoding, squared))
        whole = (0, lowering.columns)
        return Parts([Part(whole, encoding.decode(lines.conductance), higher=higher, spread=noise)], sliced=False)
    parts = []
    for number, columns in enumerate(column_spans):
        per_weight = encoding.devices_per_weight
        here = slice(columns[0] * per_weight, columns[1] * per_weight)
        sensed = encoding.sensed(lines.conductance[:, here])
        scale = Scale.of(digitiser, number, sensed.new_ones(len(sensed)))
        factors = scale.factors[:, None]
        higher = tuple((power, reversed_polarity(encoding, power, c[:, here])) for power, c in lines.higher)
        for place, significance in enumerate(encoding.significances):
            own = slice(place, None, encoding.slices)
            parts.append(
                Part(
                    columns,
                    sensed[:, own] * factors,
                    scale.bias,
                    tuple((power, block[:, own] * factors) for power, block in higher),
                    transposed_noise(encoding, lines, here, number, own, scale.factors),
                    scale.steps,
                    float(significance),
                )
            )
    return Parts(parts, sliced=True)


def transposed_noise(
    encoding: Encoding, lines: Lines, here: slice, number: int, own: slice, factors: Tensor
) -> IndependentNoise | WireNoise | None:
    """Noise of one slice of one span of columns, in squared steps."""
    if lines.squared_siemens is None:
        return None
    squared = encoding.added(lines.squared_siemens[:, here])[:, own]
    scale = 2.0 * encoding.weight_per_siemens**2 * factors.square()
    if lines.wire_noise is None:
        return IndependentNoise(squared * scale[:, None])
    mixing = lines.wire_noise

    def driven(values: Tensor) -> Tensor:
        return encoding.sensed(values[:, here])[:, own] / encoding.weight_per_siemens

    return WireNoise(
        squared.contiguous(),
        tuple(driven(linear) for linear in mixing.linear),
        tuple(driven(cross) for cross in mixing.cross),
        mixing.gram[number],
        scale,
    )


@dataclass(frozen=True)
class Scale:
    """What sums of one bank of converters are multiplied with and start from; see :class:`sim.read_path.Part`."""

    factors: Tensor
    bias: Tensor | None = None
    steps: Tensor | None = None

    @classmethod
    def of(cls, digitiser: Digitiser | None, number: int, ones: Tensor) -> Scale:
        """Of bank ``number``; ``ones`` [lines] where converters are ideal."""
        if digitiser is None:
            return cls(ones)
        steps = None if digitiser.one_step is not None else digitiser.steps[number]
        return cls(digitiser.gains[number] / digitiser.steps[number], digitiser.offsets[number] + 0.5, steps)


def reversed_polarity(encoding: Encoding, power: int, coefficients: Tensor) -> Tensor:
    """What a power of the drive adds to a sensed row: [rows, columns * slices] in weight units."""
    if power % 2:
        return encoding.sensed(coefficients)
    return encoding.added(coefficients) * -encoding.weight_per_siemens


def combined_variance(encoding: Encoding, squared_siemens: Tensor) -> Tensor:
    """Variance of a weight's read: slices add with the squares of what they count."""
    apart = encoding.variance(squared_siemens).unflatten(-1, (-1, encoding.slices))
    counts = torch.tensor(encoding.significances, dtype=apart.dtype, device=apart.device)
    return apart @ counts.square()


def add_slices(sums: Tensor, encoding: Encoding) -> Tensor:
    """Shift and add: [batch, columns * slices, *positions] -> [batch, columns, *positions]."""
    if encoding.slices == 1:
        return sums
    total = sums[:, 0 :: encoding.slices]
    for place, significance in enumerate(encoding.significances[1:], start=1):
        total = total.add(sums[:, place :: encoding.slices], alpha=significance)
    return total
