"""Converter ranges: what the largest code of every DAC and ADC means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor

from eqprop import EnergyNetwork
from mapping.bounds import BOUND_SOURCE, bus_bound, converter_scales
from mapping.calibration import Ranges
from mapping.factors import Factor
from mapping.hardware import Direction
from mapping.plan import LayerScale
from mapping.target import Target

Driven = dict[Direction, LayerScale]


def driven_scales(
    network: EnergyNetwork, layers: Mapping[str, LayerScale], chain: tuple[Factor, ...], ranges: Ranges | None
) -> dict[str, Driven]:
    """What drives the rows (forward) and the columns (transposed) of each matrix of a coupling, by matrix.

    Between the factors of a low-rank coupling it is the bus: as measured, else the largest that states within their
    range can cause.
    """
    found: dict[str, Driven] = {factor.name: {} for factor in chain}
    ends: tuple[tuple[Direction, Iterable[Factor]], ...] = (("forward", chain), ("transposed", reversed(chain)))
    for (direction, order), scale in zip(ends, converter_scales(network, layers, chain[0].coupling), strict=True):
        before: Factor | None = None
        for factor in order:
            if before is not None:
                scale = bus_scale(network, before, factor, direction, scale, ranges)
            found[factor.name][direction] = scale
            before = factor
    return found


def bus_scale(
    network: EnergyNetwork,
    before: Factor,
    factor: Factor,
    direction: Direction,
    scale: LayerScale,
    ranges: Ranges | None,
) -> LayerScale:
    """The range of what ``before`` hands to ``factor``, itself driven within ``scale``."""
    if ranges is not None and ranges.bus.get((factor.name, direction), 0.0) > 0.0:
        return LayerScale(ranges.bus[factor.name, direction], True, "calibration")
    matrix = before.matrix(network)
    return bus_bound(matrix if direction == "forward" else matrix.T, scale)


def full_scales(
    name: str,
    target: Target,
    direction: Direction,
    driven: LayerScale,
    bounds: Tensor,
    weight_per_siemens: float,
    ranges: Ranges | None,
) -> tuple[list[float], str]:
    """ADC full scales of a matrix's tiles in one direction, in the order of the tiles, and where they come from.

    Args:
        bounds: the largest partial sums there can be, [row spans, column spans].
    """
    adc, dac = target.adc_of(direction), target.dac_of(direction)
    tiles = bounds.numel()
    if adc.full_scale_ampere is not None:
        fixed = adc.full_scale_ampere * weight_per_siemens * driven.full_scale / dac.full_scale_volt
        return [fixed] * tiles, "fixed by the target"
    measured = None
    # Bits are read one at a time at full voltage: sums of whole values say nothing about them.
    if ranges is not None and dac.input == "parallel":
        measured = (ranges.forward if direction == "forward" else ranges.transposed).get(name)
    if ranges is not None and measured is not None and float(measured.max()) > 0.0:
        room = target.cell.headroom
        reach, source = measured * room, f"calibration on {ranges.samples} images"
        source += "" if room == 1.0 else f", times {room:g} to learn in"
    else:
        reach, source = bounds, BOUND_SOURCE
    largest = float(reach.max()) or 1.0
    if adc.range == "coupling":
        return [largest] * tiles, source
    return [float(value) or largest for value in reach.flatten()], source
