"""From couplings to matrices."""

from __future__ import annotations

from eqprop.couplings import Conv2d, Coupling
from mapping.lowering.base import Lowering, Region, Span, spans
from mapping.lowering.conv2d import ConvLowering, lower_conv2d
from mapping.lowering.dense import DenseLowering


def lower(coupling: Coupling, rows_available: int) -> Lowering:
    """Describe ``coupling`` as a matrix cut for crossbars with ``rows_available`` rows.

    A dense coupling is its own matrix; a low-rank one is multiplied out; a convolution becomes one row for each
    (input channel, tap) and one column for each output channel.
    """
    if isinstance(coupling, Conv2d):
        return lower_conv2d(coupling, rows_available)
    lowering = DenseLowering("flat", (), coupling.pre_shape, coupling.post_shape)
    return DenseLowering("flat", spans(lowering.rows, rows_available), coupling.pre_shape, coupling.post_shape)


__all__ = ["ConvLowering", "DenseLowering", "Lowering", "Region", "Span", "lower", "spans"]
