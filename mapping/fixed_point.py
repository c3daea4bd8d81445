"""Fixed point: which codes hold the states of every layer, and where digital sums are whole numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator

from mapping.arithmetic import Codes
from mapping.hardware import DIRECTIONS, Direction
from mapping.mapping import Mapping
from mapping.plan import LayerScale, MappedMatrix
from mapping.target import Target

STATE_BITS = (4, 20)  # the most that float32 adds up exactly, what reads add beyond a state included


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
