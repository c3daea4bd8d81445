"""Ranges stated where none were measured."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from eqprop import CrossEntropy, EnergyNetwork
from mapping.calibration import Cuts, Ranges
from mapping.hardware import Direction
from mapping.plan import LayerScale

ERROR_SCALE = LayerScale(1.0, True, "softmax minus one-hot")
INPUT_BOUND = 4.0
OUTPUT_BOUND = 2.0
BOUND_SOURCE = "worst case of the weights and the layers' ranges: nothing clips"


def layer_scale(network: EnergyNetwork, name: str, ranges: Ranges | None) -> LayerScale:
    """The converter range of a layer: measured if there is data, else its clip range, else a stated bound.

    The stated bounds are |x| <= 4 for inputs of unknown range (images normalised to unit variance stay within
    it) and |o| <= 2 for a linear output trained towards one-hot targets. States beyond clip at the converter.
    """
    low, high = network.layers[name].clip
    if ranges is not None:
        largest = max(abs(ranges.lowest[name]), abs(ranges.highest[name]))
        if largest > 0.0:
            return LayerScale(largest, ranges.lowest[name] < 0.0, "calibration")
    if math.isfinite(low) and math.isfinite(high):
        return LayerScale(max(abs(low), abs(high)), low < 0.0, "clip range")
    bound = INPUT_BOUND if name in network.inputs else OUTPUT_BOUND
    return LayerScale(bound, low < 0.0, f"stated bound {bound:g}")


def partial_sum_bounds(cuts: Cuts, direction: Direction, scale: LayerScale) -> Tensor:
    """The largest |partial sum| that drives within ``scale`` can cause in each tile: nothing ever clips.

    Args:
        cuts: what tiles sense, and their rows, columns and slices.

    Returns:
        [row spans, column spans].
    """
    apart = cuts.sensed.unflatten(1, (-1, cuts.slices))
    bounds = apart.new_zeros(len(cuts.lowering.row_spans), len(cuts.column_spans))
    driven_axis = 0 if direction == "forward" else 1
    for number, rows in enumerate(cuts.lowering.row_spans):
        for place, columns in enumerate(cuts.column_spans):
            block = apart[slice(*rows), slice(*columns)]
            positive = block.clamp(min=0.0).sum(driven_axis)
            negative = positive - block.sum(driven_axis)
            reach = positive + negative if scale.signed else positive.maximum(negative)
            bounds[number, place] = reach.max()
    return bounds * scale.full_scale


def bus_bound(matrix: Tensor, scale: LayerScale) -> LayerScale:
    """The largest |value| of any column of ``matrix`` [rows, columns] for drives within ``scale``."""
    positive = matrix.clamp(min=0.0).sum(0)
    negative = positive - matrix.sum(0)
    reach = positive + negative if scale.signed else positive.maximum(negative)
    return LayerScale(scale.full_scale * float(reach.max()) or 1.0, True, BOUND_SOURCE)


def converter_scales(
    network: EnergyNetwork, layers: Mapping[str, LayerScale], name: str
) -> tuple[LayerScale, LayerScale]:
    """Ranges of what drives a coupling's rows and of what drives its columns (a readout's errors, for its columns)."""
    for edge in network.edges:
        if edge.name == name:
            return layers[edge.pre], layers[edge.post]
    assert isinstance(network.cost, CrossEntropy)
    return layers[network.cost.layer], ERROR_SCALE
