"""Fixed point: which codes hold the states of every layer, and where digital sums are whole numbers."""

from __future__ import annotations

import math

from mapping import Mapping
from mapping.arithmetic import Codes
from mapping.hardware import Direction
from mapping.plan import LayerScale, MappedMatrix


def layer_codes(mapping: Mapping) -> dict[str, Codes | None]:
    """Of every layer's states, clamped ones too; None where states are float.

    Free layers reach their clip range, unlimited ones twice the range of their converters, clamped ones that range.
    """
    bits, network = mapping.target.controller.state_bits, mapping.network
    found: dict[str, Codes | None] = {}
    for name, layer in network.layers.items():
        scale = mapping.layers[name]
        low, high = layer.clip
        reach = max(abs(low), abs(high))
        if name in network.inputs:
            reach, signed = scale.full_scale, scale.signed
        else:
            reach, signed = reach if reach != math.inf else 2.0 * scale.full_scale, low < 0.0
        found[name] = None if bits is None else Codes.fixed_point(reach, bits, signed=signed)
    return found


def bus_codes(mapping: Mapping, scale: LayerScale) -> Codes | None:
    """Of what one factor of a low-rank coupling hands to the other."""
    bits = mapping.target.controller.state_bits
    return None if bits is None else Codes.fixed_point(scale.full_scale, bits, signed=True)


def ends(mapping: Mapping, matrix: MappedMatrix) -> tuple[Codes | None, Codes | None]:
    """Codes of what drives a matrix's rows and of what drives its columns; None for a readout's logits and errors."""
    layers, network = layer_codes(mapping), mapping.network
    edge = next((edge for edge in network.edges if edge.name == matrix.coupling), None)
    pre = layers[network.cost.layer] if edge is None else layers[edge.pre]
    post = None if edge is None else layers[edge.post]
    chain = mapping.chains[matrix.coupling]
    return (
        pre if matrix.name == chain[0] else bus_codes(mapping, matrix.rows_scale),
        post if matrix.name == chain[-1] else bus_codes(mapping, matrix.columns_scale),
    )


WIDEST_STATE_BITS = 20


def state_steps(mapping: Mapping, matrix: MappedMatrix) -> dict[Direction, float]:
    """By direction, the step of the states that a read's sums are brought to by the controller's integer rule.

    A direction is missing where sums are not whole numbers of one step: ideal converters, full scales of tiles, bits of
    bit-serial input, slices, and the offset that is subtracted in offset encoding; and where the states are float, or
    wider than what float32 adds up exactly.
    """
    target, cell = mapping.target, mapping.target.cell
    if (target.controller.state_bits or 0) > WIDEST_STATE_BITS:
        return {}
    rows, columns = ends(mapping, matrix)
    found: dict[Direction, float] = {}
    sides: tuple[tuple[Direction, Codes | None, Codes | None], ...] = (
        ("forward", rows, columns),
        ("transposed", columns, rows),
    )
    for direction, driven, sensed in sides:
        adc, dac = target.adc_of(direction), target.dac_of(direction)
        whole = adc.bits is not None and adc.range == "coupling" and dac.bits is not None and dac.input == "parallel"
        if whole and cell.encoding == "differential" and cell.slices == 1 and driven is not None and sensed is not None:
            found[direction] = sensed.step
    return found
