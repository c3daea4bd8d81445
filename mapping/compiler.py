"""The compiler: from an energy network and a target to a mapping, as a list of passes.

    check      can this network sit on this target at all
    lower      couplings -> matrices, with row orders and cuts that fit the crossbars
    scale      weights per siemens, so that each coupling uses the whole conductance window
    calibrate  converter ranges of states and partial sums, from data or from stated bounds
    place      blocks -> crossbars
    encode     weights -> conductances
    schedule   which reads make a sweep

Each pass is a function of what is known so far.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as Table
from dataclasses import replace

import torch
from torch import Tensor

from eqprop import EnergyNetwork
from eqprop.errors import InputError
from eqprop.ordering import blocks
from mapping.bounds import BOUND_SOURCE, converter_scales, layer_scale, partial_sum_bounds
from mapping.calibration import Cuts, Ranges, measure
from mapping.encoding import Encoding, devices_per_weight, encoding_for
from mapping.hardware import Direction
from mapping.lowering import Lowering, lower, spans
from mapping.mapping import Mapping
from mapping.packing import Place, pack
from mapping.plan import LayerScale, MappedMatrix, Read, Step, Tile
from mapping.target import Target


@torch.no_grad()
def compile(
    network: EnergyNetwork,
    target: Target,
    calibration: Tensor | None = None,
    on_calibrated: Callable[[int], None] | None = None,
    packed: bool = True,
) -> Mapping:
    """Map ``network`` to the crossbars of ``target``.

    Args:
        calibration: images [samples, *input_shape] whose relaxation sets the converters' full scales; without
            any, clip ranges and worst-case bounds do (stated in the mapping).
        on_calibrated: called with the number of calibration images just done.
        packed: whether blocks share crossbars.

    Raises:
        InputError: if a weight is not finite, a crossbar cannot hold one weight, or the chip has too few crossbars.
    """
    check(network, target)
    lowered = {name: lower(coupling, target.crossbar.rows) for name, coupling in network.coupling_table().items()}
    matrices = {name: low.to_matrix(network.coupling(name).effective_weight()) for name, low in lowered.items()}
    encodings = {
        name: encoding_for(target.device, target.cell, float(matrix.abs().max())) for name, matrix in matrices.items()
    }
    cuts = {name: cut(lowered[name], encodings[name], matrix, target) for name, matrix in matrices.items()}
    ranges = None if calibration is None else measure(network, cuts, calibration, on_calibrated)
    layers = {name: layer_scale(network, name, ranges) for name in network.layers}
    tiles = place(cuts, target, packed)
    matrices_mapped = {
        name: mapped(name, network, target, cuts[name], encodings[name], layers, ranges, tiles[name]) for name in cuts
    }
    conductances = encode(matrices, encodings, tiles, target)
    return Mapping(network, target, layers, matrices_mapped, conductances, schedule(network))


def check(network: EnergyNetwork, target: Target) -> None:
    """The pass that refuses what cannot be mapped."""
    for name, value in network.state_dict().items():
        if not bool(torch.isfinite(value).all()):
            raise InputError(f"network: parameter {name} has NaN or infinite values: expected finite weights")
    needed = devices_per_weight(target.cell)
    if target.crossbar.columns < needed:
        raise InputError(
            f"crossbar {target.crossbar.rows}x{target.crossbar.columns}: one weight in {target.cell.encoding} "
            f"encoding takes 1 row and {needed} columns: expected at least 1x{needed}"
        )


def cut(lowering: Lowering, encoding: Encoding, matrix: Tensor, target: Target) -> Cuts:
    """Column cuts of one coupling, and what its tiles sense with every device exact."""
    sensed = encoding.sensed(encoding.encode(matrix))
    width = target.crossbar.columns // encoding.devices_per_weight
    return Cuts(lowering, sensed, spans(lowering.columns, width), encoding.slices)


def mapped(
    name: str,
    network: EnergyNetwork,
    target: Target,
    cuts: Cuts,
    encoding: Encoding,
    layers: Table[str, LayerScale],
    ranges: Ranges | None,
    tiles: tuple[Tile, ...],
) -> MappedMatrix:
    """One coupling with the full scales of its ADCs."""
    pre, post = converter_scales(network, layers, name)
    weight_per_siemens = encoding.weight_per_siemens
    forward, forward_source = full_scales(name, target, "forward", pre, cuts, weight_per_siemens, ranges)
    transposed, transposed_source = full_scales(name, target, "transposed", post, cuts, weight_per_siemens, ranges)
    with_scales = tuple(
        replace(tile, forward_full_scale=there, transposed_full_scale=back)
        for tile, there, back in zip(tiles, forward, transposed, strict=True)
    )
    return MappedMatrix(
        name,
        cuts.lowering,
        cuts.column_spans,
        weight_per_siemens,
        forward_source,
        transposed_source,
        with_scales,
    )


def full_scales(
    name: str,
    target: Target,
    direction: Direction,
    driven: LayerScale,
    cuts: Cuts,
    weight_per_siemens: float,
    ranges: Ranges | None,
) -> tuple[list[float], str]:
    """ADC full scales of a coupling's tiles in one direction, in the order of the tiles, and where they come from."""
    adc, dac = target.adc_of(direction), target.dac_of(direction)
    tiles = len(cuts.lowering.row_spans) * len(cuts.column_spans)
    if adc.full_scale_ampere is not None:
        fixed = adc.full_scale_ampere * weight_per_siemens * driven.full_scale / dac.full_scale_volt
        return [fixed] * tiles, "fixed by the target"
    measured = None
    # Bits are read one at a time at full voltage: sums of whole values say nothing about them.
    if ranges is not None and dac.input == "parallel":
        measured = (ranges.forward if direction == "forward" else ranges.transposed).get(name)
    if ranges is not None and measured is not None and float(measured.max()) > 0.0:
        reach, source = measured, f"calibration on {ranges.samples} images"
    else:
        reach = partial_sum_bounds(cuts, direction, driven)
        source = BOUND_SOURCE
    largest = float(reach.max()) or 1.0
    if adc.range == "coupling":
        return [largest] * tiles, source
    return [float(value) or largest for value in reach.flatten()], source


def place(cuts: Table[str, Cuts], target: Target, packed: bool) -> dict[str, tuple[Tile, ...]]:
    """Blocks to crossbars, column blocks within row blocks; crossbars are numbered as the couplings meet them.

    Packed, blocks share crossbars where they fit side by side; else each has its own.
    """
    per_weight = devices_per_weight(target.cell)
    blocks_of = {
        name: [(rows, columns) for rows in cutting.lowering.row_spans for columns in cutting.column_spans]
        for name, cutting in cuts.items()
    }
    every = [block for of_coupling in blocks_of.values() for block in of_coupling]
    if packed:
        sizes = [(rows[1] - rows[0], (columns[1] - columns[0]) * per_weight) for rows, columns in every]
        places = pack(sizes, target.crossbar.rows, target.crossbar.columns)
    else:
        places = [Place(number, (0, 0)) for number in range(len(every))]
    numbers: dict[int, int] = {}
    for there in places:
        numbers.setdefault(there.crossbar, len(numbers))
    available = target.chip.crossbars
    if available is not None and len(numbers) > available:
        raise InputError(
            f"target {target.name}: chip.crossbars is {available} but the network needs {len(numbers)} of "
            f"{target.crossbar.rows}x{target.crossbar.columns}"
        )
    left = iter(places)
    return {
        name: tuple(
            Tile(numbers[there.crossbar], rows, columns, at=there.at)
            for (rows, columns), there in zip(of_coupling, left, strict=False)
        )
        for name, of_coupling in blocks_of.items()
    }


def encode(
    matrices: Table[str, Tensor],
    encodings: Table[str, Encoding],
    tiles: Table[str, tuple[Tile, ...]],
    target: Target,
) -> Tensor:
    """Conductances of every crossbar in siemens, [crossbars, rows, columns]; unused devices are at g_min."""
    count = 1 + max(tile.crossbar for of_coupling in tiles.values() for tile in of_coupling)
    conductances = torch.full(
        (count, target.crossbar.rows, target.crossbar.columns), target.device.g_min_siemens, dtype=torch.float32
    )
    for name, matrix in matrices.items():
        encoded = encodings[name].encode(matrix.float())
        per_weight = encodings[name].devices_per_weight
        for tile in tiles[name]:
            (r0, r1), (c0, c1), (top, left) = tile.rows, tile.columns, tile.at
            block = encoded[r0:r1, c0 * per_weight : c1 * per_weight]
            conductances[tile.crossbar, top : top + block.shape[0], left : left + block.shape[1]] = block
    return conductances


def schedule(network: EnergyNetwork) -> tuple[Step, ...]:
    """The reads of one sweep: a step for each colour of the graph of free layers.

    No two layers of a step are joined, so every read of a step starts from states that the step does not change.
    Reads of clamped inputs are missing: their drive is constant and read once a phase.
    """
    steps = []
    for layers in blocks("coloured", network.free, network.edges):
        reads = []
        for layer in layers:
            reads += [Read(e.name, "forward") for e in network.edges_into[layer] if e.pre not in network.inputs]
            reads += [Read(e.name, "transposed") for e in network.edges_from[layer]]
        steps.append(Step(layers, tuple(reads)))
    return tuple(steps)
