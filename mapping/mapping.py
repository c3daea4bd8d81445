"""What the compiler made: a network, a target, and where every weight went."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from eqprop import EnergyNetwork
from mapping.encoding import Encoding, devices_per_weight, encoding_of_scale
from mapping.memory import Memory
from mapping.mesh import Placement
from mapping.plan import LayerScale, MappedMatrix
from mapping.schedule import Schedule
from mapping.target import Target
from mapping.timing import Timing


@dataclass(frozen=True, eq=False)
class Mapping:
    """A compiled network.

    Attributes:
        network: the ideal network, with the digital parameters (biases) a chip shares.
        target: the hardware.
        layers: converter range of each layer's states.
        matrices: on crossbars, by name: a coupling's own, or the factors COUPLING.V and COUPLING.U of a low-rank one.
        chains: each coupling's matrices in the order of a forward read.
        conductances: programmed targets in siemens, float32 [crossbars, rows, columns].
        schedule: the reads of a phase.
        placement: sites of the crossbars on the target's mesh, or None without one.
        memory: what the controller keeps while an EP step runs, and where.
    """

    network: EnergyNetwork
    target: Target
    layers: dict[str, LayerScale]
    matrices: dict[str, MappedMatrix]
    chains: dict[str, tuple[str, ...]]
    conductances: Tensor
    schedule: Schedule
    placement: Placement | None
    memory: Memory

    @property
    def crossbars(self) -> int:
        """Physical arrays used."""
        return len(self.conductances)

    @property
    def tiles(self) -> int:
        """Blocks of weight matrices, those of all copies."""
        return sum(len(matrix.tiles) for matrix in self.matrices.values())

    @property
    def weights(self) -> int:
        """Weights mapped, each counted once however many copies there are."""
        return sum(matrix.lowering.rows * matrix.lowering.columns for matrix in self.matrices.values())

    @property
    def devices_used(self) -> int:
        """Devices that hold a weight, of all copies."""
        weights = sum(m.lowering.rows * m.lowering.columns * len(m.replicas) for m in self.matrices.values())
        return weights * devices_per_weight(self.target.cell)

    @property
    def utilization(self) -> float:
        """Share of the devices of all used crossbars that hold a weight."""
        return self.devices_used / self.conductances.numel()

    @property
    def timing(self) -> Timing:
        """Clocks of its rounds, sweeps and phases."""
        return Timing(self.network, self.target, self.matrices, self.schedule)

    def encoding(self, name: str) -> Encoding:
        """The encoding of matrix ``name``."""
        return encoding_of_scale(self.target.device, self.target.cell, self.matrices[name].weight_per_siemens)

    def adc_full_scales_ampere(self, name: str) -> tuple[float, float]:
        """Currents that the largest ADC code means in a forward and in a transposed read of matrix ``name``.

        With full scales of each tile's own, those of the widest.

        A partial sum p of a matrix that is driven with full scale S is the current p V / (a S), with V the
        DAC's full-scale voltage and a the weight per siemens.
        """
        matrix = self.matrices[name]
        rows_volt = self.target.dac_of("forward").full_scale_volt
        columns_volt = self.target.dac_of("transposed").full_scale_volt
        per_siemens = matrix.weight_per_siemens
        return (
            matrix.forward_full_scale * rows_volt / (per_siemens * matrix.rows_scale.full_scale),
            matrix.transposed_full_scale * columns_volt / (per_siemens * matrix.columns_scale.full_scale),
        )

    def matrix_of(self, name: str, crossbars: Tensor, replica: int = 0) -> Tensor:
        """A matrix's devices out of all crossbars: [crossbars, rows, columns] -> [rows, columns * devices]."""
        return self.matrices[name].replicas[replica].gather(crossbars, self.encoding(name).devices_per_weight)

    def save(self, directory: str | Path) -> None:
        """Write ``mapping.yaml``, ``conductances.safetensors`` and ``network.safetensors``; see mapping/store.py."""
        from mapping.store import save

        save(self, Path(directory))

    @classmethod
    def load(cls, directory: str | Path) -> Mapping:
        """Read a compiled directory.

        Raises:
            InputError: if a file is missing, changed since it was compiled, or not what this version writes.
        """
        from mapping.store import load

        return load(Path(directory))
