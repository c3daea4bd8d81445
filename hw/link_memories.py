"""Where the linker puts what the controller's memories hold: states and their copies, sums, constants."""

from __future__ import annotations

from collections.abc import Sequence

from hw.beats import groups, words
from mapping import Mapping
from mapping.hardware import Direction
from mapping.memory import Buffer, allocate, state_buffers
from mapping.program.tabulate import as_image


class Memories:
    """First words of all buffers; a word is ``lanes`` numbers.

    Attributes:
        images: channels, height and width of every layer.
        shares: of each free layer, the reads that add to its drive in every sweep; input_shares: in the prologue.
        states, sums, constants: first words by buffer, and under "" how many words they all take.

    Raises:
        ValueError: for a layer that no other free layer drives.
    """

    def __init__(self, mapping: Mapping) -> None:
        self.mapping, self.network = mapping, mapping.network
        self.lanes = mapping.target.controller.lanes
        self.images = {name: as_image(layer.shape) for name, layer in self.network.layers.items()}
        free_edges = [edge for edge in self.network.edges if edge.pre not in self.network.inputs]
        self.input_shares: dict[str, list[tuple[str, Direction]]] = {
            name: [(e.name, "forward") for e in self.network.edges_into[name] if e not in free_edges]
            for name in self.network.free
        }
        self.shares: dict[str, list[tuple[str, Direction]]] = {
            name: [(e.name, "forward") for e in self.network.edges_into[name] if e in free_edges]
            + [(e.name, "transposed") for e in self.network.edges_from[name]]
            for name in self.network.free
        }
        for name, shares in self.shares.items():
            if not shares:
                raise ValueError(f"layer {name}: no other free layer drives it: expected at least one")
        self.states = self.allocated(("state", "snapshot", "captured"))
        self.sums = self.allocated(("drive", "bus"))
        self.constants = self.allocated(("constant",))

    def allocated(self, kinds: Sequence[str]) -> dict[str, int]:
        m = self.mapping
        buffers = state_buffers(self.network, m.matrices, m.chains, m.schedule, m.target.controller)
        everywhere = frozenset(moment for buffer in buffers for moment in buffer.moments)
        found = []
        for buffer in buffers:
            owner, _, kind = buffer.name.rpartition(".")
            if kind in kinds:
                moments = everywhere if kind == "bus" else buffer.moments
                found.append(Buffer(buffer.name, 4 * self.buffer_words(owner, kind), moments))
        memory = allocate(found)
        return {"": max(1, memory.bytes // 4)} | {name: slot.address // 4 for name, slot in memory.buffers.items()}

    def buffer_words(self, owner: str, kind: str) -> int:
        """Words of a layer's or matrix's buffer."""
        if kind == "bus":
            return groups(self.mapping.matrices[owner].lowering.columns, self.lanes)
        blocks = max(len(self.shares[owner]), len(self.input_shares[owner])) if kind == "drive" else 1
        return blocks * words(self.images[owner], self.lanes)

    def sums_of(self, layer: str, share: tuple[str, Direction]) -> int:
        """First word of the block that takes a read's sums; a layer has one block for each read."""
        shares = self.input_shares[layer] if share in self.input_shares[layer] else self.shares[layer]
        return self.sums[f"{layer}.drive"] + shares.index(share) * words(self.images[layer], self.lanes)
