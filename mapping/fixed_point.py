"""Fixed point: which codes hold the states of every layer, and where digital sums are whole numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from mapping.arithmetic import Codes, Limits, Scaling
from mapping.arithmetic.scaling import MULTIPLIER_BITS
from mapping.hardware import DIRECTIONS, Direction
from mapping.mapping import Mapping
from mapping.plan import LayerScale, MappedMatrix
from mapping.target import Target

STATE_BITS = (4, 20)  # the most that float32 adds up exactly, what reads add beyond a state included

# What a read adds to a drive: four such reads are exact in float32, and states of up to 20 bits are well inside.
DRIVE_BITS = 22


def layer_codes(mapping: Mapping) -> dict[str, Codes | None]:
    """Of every layer's states, clamped ones too; None where states are float."""
    return {name: codes_of_layer(mapping, name) for name in mapping.network.layers}


def codes_of_layer(mapping: Mapping, name: str) -> Codes | None:
    """Free layers reach their clip range, unlimited ones twice their converters' range, clamped ones that range."""
    bits, network, scale = mapping.target.controller.state_bits, mapping.network, mapping.layers[name]
    if bits is None:
        return None
    if name in network.inputs:
        return Codes.fixed_point(scale.full_scale, bits, signed=scale.signed)
    low, high = network.layers[name].clip
    reach = max(abs(low), abs(high))
    return Codes.fixed_point(reach if reach != math.inf else 2.0 * scale.full_scale, bits, signed=low < 0.0)


def bus_codes(mapping: Mapping, scale: LayerScale) -> Codes | None:
    """Of what one factor of a low-rank coupling hands to the other."""
    bits = mapping.target.controller.state_bits
    return None if bits is None else Codes.fixed_point(scale.full_scale, bits, signed=True)


def ends(mapping: Mapping, matrix: MappedMatrix) -> dict[Direction, Codes | None]:
    """Codes of what drives a matrix's rows (forward) and its columns (transposed).

    None where states are float, and for a readout's logits and errors.
    """
    network, chain = mapping.network, mapping.chains[matrix.coupling]
    edge = next((edge for edge in network.edges if edge.name == matrix.coupling), None)
    found: dict[Direction, Codes | None] = {}
    if matrix.name == chain[0]:
        found["forward"] = codes_of_layer(mapping, network.cost.layer if edge is None else edge.pre)
    else:
        found["forward"] = bus_codes(mapping, matrix.rows_scale)
    if matrix.name == chain[-1]:
        found["transposed"] = None if edge is None else codes_of_layer(mapping, edge.post)
    else:
        found["transposed"] = bus_codes(mapping, matrix.columns_scale)
    return found


def objections(target: Target, direction: Direction) -> Iterator[tuple[str, object, str]]:
    """Why sums of codes of a target's reads are not whole numbers of one step: key, value and what is expected."""
    cell, bits, (low, high) = target.cell, target.controller.state_bits, STATE_BITS
    dac, adc = target.dac_of(direction), target.adc_of(direction)
    rules: tuple[tuple[str, object, bool, str], ...] = (
        ("cell.encoding", cell.encoding, cell.encoding == "differential", "differential"),
        ("cell.slices", cell.slices, cell.slices == 1, "1"),
        ("controller.state_bits", bits, bits is not None and low <= bits <= high, f"{low} .. {high}"),
        (f"dac.bits ({direction})", dac.bits, dac.bits is not None, "a number"),
        (f"dac.input ({direction})", dac.input, dac.input == "parallel", "parallel"),
        (f"adc.bits ({direction})", adc.bits, adc.bits is not None, "a number"),
        (f"adc.range ({direction})", adc.range, adc.range == "coupling", "coupling"),
    )
    return ((key, value, expected) for key, value, fits, expected in rules if not fits)


def state_steps(mapping: Mapping, matrix: MappedMatrix) -> dict[Direction, float]:
    """By direction, the step of the states that a read's sums are brought to by the controller's integer rule.

    A direction is missing where sums are not whole numbers of one step (:func:`objections`), and where what is driven
    or sensed is no fixed-point state.
    """
    codes = ends(mapping, matrix)
    found: dict[Direction, float] = {}
    for driven, sensed in (DIRECTIONS, DIRECTIONS[::-1]):
        there, here = codes[driven], codes[sensed]
        if there is not None and here is not None and not any(objections(mapping.target, driven)):
            found[driven] = here.step
    return found


def state_limits(mapping: Mapping, name: str) -> Limits:
    """Lowest and highest code of a free layer's states: its clip range, within what the codes hold.

    Raises:
        ValueError: where states are float.
    """
    codes = codes_of_layer(mapping, name)
    if codes is None:
        raise ValueError(f"layer {name}: float states: expected controller.state_bits")
    low, high = mapping.network.layers[name].clip
    ends = [codes.low, codes.high]
    if low != -math.inf:
        ends[0] = max(codes.low, math.floor(low / codes.step + 0.5))
    if high != math.inf:
        ends[1] = min(codes.high, math.floor(high / codes.step + 0.5))
    return ends[0], ends[1]


def converter_codes(mapping: Mapping, matrix: MappedMatrix, direction: Direction) -> Codes | None:
    """Of the DACs that drive a matrix, None for ideal ones."""
    bits, scale = mapping.target.dac_of(direction).bits, matrix.scale_of(direction)
    return None if bits is None else Codes.for_range(scale.full_scale, bits, signed=scale.signed)


def driving(states: Codes, converter: Codes) -> Scaling:
    """Codes of a fixed-point state to codes of the converter that drives lines with them."""
    return Scaling.nearest(states.step / converter.step)


def requantising(adc_step: float, state_step: float) -> Scaling:
    """Sums of ADC codes that mean ``adc_step`` each to codes of a state."""
    ratio = adc_step / state_step
    # Coarse codes of a wide range count many steps of a state: there a multiplier of 16 bits has none to shift out.
    return Scaling.nearest(ratio, 16 if ratio < 2**15 else MULTIPLIER_BITS)


def adc_step(mapping: Mapping, matrix: MappedMatrix, direction: Direction) -> float:
    """What one code of the ADCs of a matrix means, where all of them have one range.

    Raises:
        ValueError: where they do not, or are ideal.
    """
    bits = mapping.target.adc_of(direction).bits
    scales = {
        tile.forward_full_scale if direction == "forward" else tile.transposed_full_scale for tile in matrix.tiles
    }
    if bits is None or len(scales) != 1:
        raise ValueError(f"matrix {matrix.name}: ADCs of {bits} bits and {len(scales)} ranges: expected bits and one")
    # In float32, as the simulator's digitisers hold it.
    return float(torch.tensor(scales.pop()) / Codes.for_range(1.0, bits, signed=True).high)
