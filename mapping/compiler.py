"""The compiler: from an energy network and a target to a mapping, as a list of passes.

    check      can this network sit on this target at all
    lower      couplings -> matrices, with row orders and cuts that fit the crossbars; low-rank factors kept or not
    scale      weights per siemens, so that each matrix uses the whole conductance window
    calibrate  converter ranges of states and partial sums, from data or from stated bounds
    replicate  copies of the slowest matrices, within a budget
    place      blocks -> crossbars, crossbars -> sites on the mesh
    encode     weights -> conductances
    schedule   which reads make a sweep, and which of them run together
    allocate   state memory

Each pass is a function of what is known so far. Matrices are made, used and dropped one by one: nothing as large as the
network stays but its conductances.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Mapping as Table
from dataclasses import replace
from itertools import groupby

import torch
from torch import Tensor

from eqprop import EnergyNetwork
from eqprop.errors import InputError
from mapping.bounds import layer_scale, partial_sum_bounds
from mapping.calibration import Cuts, Ranges, Stage, measure
from mapping.encoding import Encoding, devices_per_weight, encoding_for
from mapping.factors import Factor, LowRankMode, factors
from mapping.hardware import DIRECTIONS
from mapping.lowering import Lowering, spans
from mapping.mapping import Mapping
from mapping.memory import memory_for
from mapping.mesh import place_on_mesh
from mapping.place import Floor, copies
from mapping.plan import MappedMatrix, Replica
from mapping.scaling import Driven, driven_scales, full_scales
from mapping.schedule import Read, schedule
from mapping.target import Target
from mapping.timing import ReadTiming, read_clocks
from mapping.traffic import traffic


@torch.no_grad()
def compile(
    network: EnergyNetwork,
    target: Target,
    calibration: Tensor | None = None,
    on_calibrated: Callable[[int], None] | None = None,
    *,
    packed: bool = True,
    low_rank: LowRankMode = "auto",
    budget: int | None = None,
    seed: int = 0,
) -> Mapping:
    """Map ``network`` to the crossbars of ``target``.

    Args:
        calibration: images [samples, *input_shape] whose relaxation sets the converters' full scales; without
            any, clip ranges and worst-case bounds do (stated in the mapping).
        on_calibrated: called with the number of calibration images just done.
        packed: whether blocks share crossbars.
        low_rank: keep low-rank couplings as two chained reads, merge them into one matrix, or (auto) whichever needs
            fewer conversions.
        budget: crossbars that copies of the slowest matrices may fill; None makes one copy of each.
        seed: of the search for places on the mesh.

    Raises:
        InputError: if a weight is not finite, a crossbar cannot hold one weight, the chip (or the budget) has too few
            crossbars, or the controller too little memory.
        ValueError: for an unknown ``low_rank``.
    """
    check(network, target)
    width = target.crossbar.columns // devices_per_weight(target.cell)
    chains = factors(network, target.crossbar.rows, width, low_rank)
    flat = {factor.name: factor for chain in chains.values() for factor in chain}
    encodings = {
        name: encoding_for(target.device, target.cell, float(factor.matrix(network).abs().max()))
        for name, factor in flat.items()
    }
    ranges = None
    if calibration is not None:
        stages = {name: stages_of(network, chain, encodings, target) for name, chain in chains.items()}
        ranges = measure(network, stages, calibration, on_calibrated)
        del stages
    # With room to learn in, today's states say nothing about tomorrow's: those of free layers get their clip ranges.
    learning = target.cell.headroom > 1.0
    layers = {
        name: layer_scale(network, name, None if learning and name in network.free else ranges)
        for name in network.layers
    }
    driven: dict[str, Driven] = {}
    for chain in chains.values():
        driven |= driven_scales(network, layers, chain, ranges)
    floor = Floor(target, flat, packed)
    replicas = copies(floor, network, driven, budget)
    matrices = {
        name: mapped(factor, network, target, encodings[name], driven[name], ranges, replicas[name])
        for name, factor in flat.items()
    }
    conductances = encode(network, flat, encodings, matrices.values(), target)
    names = {name: tuple(factor.name for factor in chain) for name, chain in chains.items()}
    reads = schedule(network, names, matrices, clocks_of(matrices.values(), target))
    memory = memory_for(network, matrices, names, reads, target)
    sites = None
    if target.chip.mesh is not None:
        flows = traffic(network, names, matrices, target)
        sites = place_on_mesh(flows, target.chip.mesh, target.chip.link_hops, seed)
    return Mapping(network, target, layers, matrices, names, conductances, reads, sites, memory)


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
    """Column cuts of one matrix, and what its tiles sense with every device exact."""
    sensed = encoding.sensed(encoding.encode(matrix))
    width = target.crossbar.columns // encoding.devices_per_weight
    return Cuts(lowering, sensed, spans(lowering.columns, width), encoding.slices)


def largest_sums(factor: Factor, encoding: Encoding, matrix: Tensor, target: Target, driven: Driven) -> list[Tensor]:
    """Bounds of the partial sums of every tile, forward and transposed, [row spans, column spans] each."""
    found: list[list[Tensor]] = [[] for _ in DIRECTIONS]
    for first, last in factor.lowering.row_spans:
        alone = replace(factor.lowering, row_spans=((0, last - first),))
        cuts = cut(alone, encoding, matrix[first:last], target)
        for bounds, way in zip(found, DIRECTIONS, strict=True):
            bounds.append(partial_sum_bounds(cuts, way, driven[way]))
    return [torch.cat(bounds) for bounds in found]


def stages_of(
    network: EnergyNetwork, chain: tuple[Factor, ...], encodings: Table[str, Encoding], target: Target
) -> list[Stage]:
    """A coupling's matrices as calibration reads them."""
    stages = []
    for factor in chain:
        matrix = factor.matrix(network)
        cuts = cut(factor.lowering, encodings[factor.name], matrix, target)
        stages.append(Stage(factor.name, cuts, matrix if len(chain) > 1 else None))
    return stages


def mapped(
    factor: Factor,
    network: EnergyNetwork,
    target: Target,
    encoding: Encoding,
    driven: Driven,
    ranges: Ranges | None,
    replicas: tuple[Replica, ...],
) -> MappedMatrix:
    """One matrix with the full scales of its ADCs."""
    sums = largest_sums(factor, encoding, factor.matrix(network), target, driven)
    (forward, forward_source), (transposed, transposed_source) = (
        full_scales(factor.name, target, way, driven[way], bounds, encoding.weight_per_siemens, ranges)
        for way, bounds in zip(DIRECTIONS, sums, strict=True)
    )
    width = target.crossbar.columns // encoding.devices_per_weight

    def scaled(replica: Replica) -> Replica:
        return replace(
            replica,
            tiles=tuple(
                replace(tile, forward_full_scale=there, transposed_full_scale=back)
                for tile, there, back in zip(replica.tiles, forward, transposed, strict=True)
            ),
        )

    return MappedMatrix(
        factor.name,
        factor.coupling,
        factor.lowering,
        spans(factor.lowering.columns, width),
        driven["forward"],
        driven["transposed"],
        encoding.weight_per_siemens,
        forward_source,
        transposed_source,
        tuple(map(scaled, replicas)),
    )


def encode(
    network: EnergyNetwork,
    flat: Table[str, Factor],
    encodings: Table[str, Encoding],
    matrices: Iterable[MappedMatrix],
    target: Target,
) -> Tensor:
    """Conductances of every crossbar in siemens, [crossbars, rows, columns]; unused devices are at g_min."""
    every = list(matrices)
    count = 1 + max(tile.crossbar for matrix in every for tile in matrix.tiles)
    conductances = torch.full(
        (count, target.crossbar.rows, target.crossbar.columns), target.device.g_min_siemens, dtype=torch.float32
    )
    for matrix in every:
        encoding = encodings[matrix.name]
        weights = flat[matrix.name].matrix(network).float()
        per_weight = encoding.devices_per_weight
        for rows, tiles in groupby(sorted(matrix.tiles, key=lambda tile: tile.rows), key=lambda tile: tile.rows):
            encoded = encoding.encode(weights[slice(*rows)])
            for tile in tiles:
                (first, last), (top, left) = tile.columns, tile.at
                block = encoded[:, first * per_weight : last * per_weight]
                conductances[tile.crossbar, top : top + block.shape[0], left : left + block.shape[1]] = block
    return conductances


def clocks_of(matrices: Iterable[MappedMatrix], target: Target) -> dict[Read, int]:
    """How long every read takes."""
    timing = ReadTiming(target)
    reads = [
        (matrix, Read(matrix.name, direction, number))
        for matrix in matrices
        for direction in DIRECTIONS
        for number in range(len(matrix.replicas))
    ]
    return {read: read_clocks(timing, matrix, read) for matrix, read in reads}
