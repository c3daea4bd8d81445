"""What each pass of the compiler did, in figures."""

from __future__ import annotations

from collections import Counter

from mapping import Mapping
from mapping.encoding import devices_per_weight
from reports.quantities import seconds
from reports.schedule import bottleneck


def passes(mapping: Mapping, calibrate: str | None) -> list[tuple[str, str]]:
    """(pass, what it did) in the order of the compiler."""
    matrices, cell = mapping.matrices.values(), mapping.target.cell
    orders = Counter(matrix.lowering.order for matrix in matrices)
    devices = f"{devices_per_weight(cell)} device{'s' if devices_per_weight(cell) > 1 else ''} a weight"
    sources = sorted({matrix.forward_source for matrix in matrices} | {matrix.transposed_source for matrix in matrices})
    kept = sum(len(chain) > 1 for chain in mapping.chains.values())
    lowered = [f"{mapping.weights:,} weights", "row orders: " + counted(orders)]
    if kept:
        lowered.append(f"{kept} low-rank couplings kept as two chained reads")
    return [
        ("check", f"{len(mapping.network.layers)} layers, {len(mapping.chains)} couplings, all parameters finite"),
        ("lower", "; ".join(lowered)),
        ("scale", f"{cell.encoding}, levels {cell.levels}, slices {cell.slices}: {devices}"),
        ("calibrate", f"ranges from {calibrate or 'bounds'}; ADCs: {'; '.join(sources)}"),
        ("replicate", replication(mapping)),
        ("pack", packing(mapping)),
        ("place", placement(mapping)),
        ("encode", f"{mapping.conductances.numel():,} conductances, {mapping.conductances.nbytes / 1e6:,.1f} MB"),
        ("schedule", schedule(mapping)),
        ("allocate", f"{mapping.memory.bytes:,} bytes of state memory ({mapping.memory.peak:,} alive at most)"),
    ]


def counted(kinds: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in kinds.items())


def replication(mapping: Mapping) -> str:
    copied = {name: len(m.replicas) for name, m in mapping.matrices.items() if len(m.replicas) > 1}
    said = ", ".join(f"{matrix} x{copies}" for matrix, copies in copied.items()) or "one copy of each"
    slowest = bottleneck(mapping)
    if slowest is None:
        return f"{said}; a free sweep reads nothing"
    return f"{said}; slowest in a sweep is {slowest[0]} with {slowest[1]:,} clocks"


def packing(mapping: Mapping) -> str:
    size = mapping.target.crossbar
    alone = mapping.devices_used / (mapping.tiles * size.rows * size.columns)
    return (
        f"{mapping.tiles:,} blocks ({alone:.1%} of devices if each had a crossbar) on {mapping.crossbars:,} crossbars, "
        f"{mapping.utilization:.1%} of devices"
    )


def placement(mapping: Mapping) -> str:
    found, mesh = mapping.placement, mapping.target.chip.mesh
    if found is None or mesh is None:
        return "no mesh (chip.mesh): crossbars are not placed"
    chips = 1 + max(site.chip for site in found.sites)
    return (
        f"{mapping.crossbars:,} crossbars on {chips} chip{'s' if chips > 1 else ''} of {mesh[0]}x{mesh[1]}; "
        f"{found.byte_hops:,.0f} byte hops a sweep, worst way {found.worst_hops} hops"
    )


def schedule(mapping: Mapping) -> str:
    timing, plan = mapping.timing, mapping.schedule
    rounds = sum(len(step.rounds) for step in plan.steps)
    reads = sum(len(reads) for step in plan.steps for reads in step.rounds)
    sweep, arrays = timing.sweep_clocks("free"), 0
    for step in plan.steps:
        arrays += sum(max(timing.read_clocks(read) for read in reads) for reads in step.rounds)
    return (
        f"{len(plan.steps)} steps, {rounds} rounds and {reads} reads a sweep: {sweep:,} clocks "
        f"({seconds(timing.seconds(sweep))}), the arrays alone {arrays:,} "
        f"({mapping.target.controller.lanes} lanes take the rest); "
        f"EP step {timing.ep_step_clocks:,} clocks ({seconds(timing.seconds(timing.ep_step_clocks))})"
    )
