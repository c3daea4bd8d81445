"""What the compiler made: a network, a target, and where every weight went."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from eqprop import EnergyNetwork
from mapping.bounds import converter_scales
from mapping.encoding import Encoding, devices_per_weight, encoding_of_scale
from mapping.plan import LayerScale, MappedMatrix, Step
from mapping.target import Target


@dataclass(frozen=True, eq=False)
class Mapping:
    """A compiled network.

    Attributes:
        network: the ideal network, with the digital parameters (biases) a chip shares.
        target: the hardware.
        layers: converter range of each layer's states.
        matrices: each coupling's matrix on crossbars, by coupling name.
        conductances: programmed targets in siemens, float32 [crossbars, rows, columns].
        schedule: the reads of one sweep.
    """

    network: EnergyNetwork
    target: Target
    layers: dict[str, LayerScale]
    matrices: dict[str, MappedMatrix]
    conductances: Tensor
    schedule: tuple[Step, ...]

    @property
    def crossbars(self) -> int:
        """Physical arrays used."""
        return len(self.conductances)

    @property
    def tiles(self) -> int:
        """Blocks of weight matrices."""
        return sum(len(matrix.tiles) for matrix in self.matrices.values())

    @property
    def weights(self) -> int:
        """Weights mapped (a low-rank coupling counts as the matrix it multiplies out to)."""
        return sum(matrix.lowering.rows * matrix.lowering.columns for matrix in self.matrices.values())

    @property
    def utilization(self) -> float:
        """Share of the devices of all used crossbars that hold a weight."""
        crossbar = self.target.crossbar
        return self.weights * devices_per_weight(self.target.cell) / (self.crossbars * crossbar.rows * crossbar.columns)

    def encoding(self, name: str) -> Encoding:
        """The encoding of coupling ``name``."""
        return encoding_of_scale(self.target.device, self.target.cell, self.matrices[name].weight_per_siemens)

    def adc_full_scales_ampere(self, name: str) -> tuple[float, float]:
        """Currents that the largest ADC code means in a forward and in a transposed read of coupling ``name``.

        With full scales of each tile's own, those of the widest.

        A partial sum p of a coupling whose driven layer has full scale S is the current p V / (a S), with V the
        DAC's full-scale voltage and a the weight per siemens.
        """
        matrix = self.matrices[name]
        pre, post = converter_scales(self.network, self.layers, name)
        rows_volt = self.target.dac_of("forward").full_scale_volt
        columns_volt = self.target.dac_of("transposed").full_scale_volt
        return (
            matrix.forward_full_scale * rows_volt / (matrix.weight_per_siemens * pre.full_scale),
            matrix.transposed_full_scale * columns_volt / (matrix.weight_per_siemens * post.full_scale),
        )

    def matrix_of(self, name: str, crossbars: Tensor) -> Tensor:
        """Gather a coupling's devices out of all crossbars: [crossbars, rows, columns] -> [rows, columns * devices]."""
        return self.matrices[name].gather(crossbars, self.encoding(name).devices_per_weight)

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
