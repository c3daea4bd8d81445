"""What the controller's contrast unit gives: products of the states of two nudged phases as whole numbers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mapping.arithmetic.contrast import contrasts
from mapping.fixed_point import codes_of_layer
from sim.chip import Chip


@torch.no_grad()
def whole_contrasts(chip: Chip, plus: Mapping[str, Tensor], minus: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """By matrix int64 [rows, columns]: sums over samples and positions of x+ y+ - x- y-, in codes of both layers.

    With both layers' steps, and ``coefficient`` of :class:`sim.learning.products.Product`, they are its products of
    ``contrast="states"``. Matrices of low-rank couplings kept as two reads are left out: what their bus carried is
    not kept.

    Args:
        plus, minus: states [samples, *shape] of all layers, clamped ones too, in the phases of +beta and of -beta.

    Raises:
        ValueError: for max pooling, or float states.
    """
    found = {}
    for edge in chip.edges:
        if edge.pool is not None:
            raise ValueError(f"coupling {edge.name}: max pooling: expected none, the controller does not pool")
        if len(chip.mapping.chains[edge.name]) > 1:
            continue
        lowering = chip.mapping.matrices[edge.name].lowering
        x_plus, x_minus = (
            whole(chip, edge.pre, lowering.rows_by_position(states[edge.pre])) for states in (plus, minus)
        )
        y_plus, y_minus = (
            whole(chip, edge.post, lowering.columns_by_position(states[edge.post])) for states in (plus, minus)
        )
        found[edge.name] = contrasts(x_plus, y_plus, x_minus, y_minus)
    return found


def whole(chip: Chip, layer: str, states: Tensor) -> Tensor:
    """States as codes."""
    codes = codes_of_layer(chip.mapping, layer)
    if codes is None:
        raise ValueError(f"layer {layer}: float states: expected controller.state_bits")
    return states.double().div(codes.step).round().long()
