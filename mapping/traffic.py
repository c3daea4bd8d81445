"""Traffic: bytes a sweep between each crossbar and the memories of the layers it reads and drives.

Forward, a tile receives every input that its rows see, once (it keeps those that several positions share), and sends a
partial sum for each of its columns and positions; transposed, it receives a state for each column and position, and
sends one sum for every input. States travel as wide as they are stored, sums with 32 bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eqprop import EnergyNetwork
from mapping.lowering import ConvLowering
from mapping.plan import MappedMatrix, Replica, Tile
from mapping.target import Target

SUM_BYTES = 4
FLOAT_BYTES = 4


def traffic(
    network: EnergyNetwork, chains: Mapping[str, Sequence[str]], matrices: Mapping[str, MappedMatrix], target: Target
) -> list[dict[str, float]]:
    """By crossbar, bytes a sweep by layer; the bus of a low-rank coupling counts as a layer of the coupling's name.

    What clamped inputs drive is read once a phase, and counts that much less.
    """
    count = 1 + max(tile.crossbar for matrix in matrices.values() for tile in matrix.tiles)
    found: list[dict[str, float]] = [{} for _ in range(count)]
    bits = target.controller.state_bits
    state = FLOAT_BYTES if bits is None else -(-bits // 8)
    for matrix in matrices.values():
        pre, post = ends(network, chains, matrix)
        clamped = pre in network.inputs
        sweeps = target.controller.free_sweeps if clamped else 1
        for replica in matrix.replicas:
            for tile in replica.tiles:
                inputs = inputs_seen(matrix, replica, tile)
                outputs = (tile.columns[1] - tile.columns[0]) * replica.region.positions
                here = found[tile.crossbar]
                into, out = (state, SUM_BYTES) if clamped else (state + SUM_BYTES, state + SUM_BYTES)
                here[pre] = here.get(pre, 0.0) + inputs * into / sweeps
                here[post] = here.get(post, 0.0) + outputs * out / sweeps
    return found


def ends(network: EnergyNetwork, chains: Mapping[str, Sequence[str]], matrix: MappedMatrix) -> tuple[str, str]:
    """What drives a matrix's rows, and what its columns: layers, or a coupling's bus."""
    layer = network.cost.layer  # a readout reads its layer and gives its errors back to it
    pre, post = next(((e.pre, e.post) for e in network.edges if e.name == matrix.coupling), (layer, layer))
    chain = chains[matrix.coupling]
    return (
        pre if matrix.name == chain[0] else matrix.coupling,
        post if matrix.name == chain[-1] else matrix.coupling,
    )


def inputs_seen(matrix: MappedMatrix, replica: Replica, tile: Tile) -> int:
    """How many of the inputs a tile's rows see at the positions of its replica."""
    lowering = matrix.lowering
    if not isinstance(lowering, ConvLowering):
        return tile.rows[1] - tile.rows[0]
    first, last = lowering.window(tile.rows).channels
    part = lowering.part(replica.region).shapes[0]
    whole = lowering.shapes[0]
    return (last - first) * min(part[1], whole[1]) * min(part[2], whole[2])
