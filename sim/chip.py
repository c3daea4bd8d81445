"""Simulated chips: an energy network whose couplings are crossbars."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from eqprop import EnergyNetwork
from eqprop.dynamics import Equilibrium
from mapping import Mapping
from mapping.hardware import DIRECTIONS, Direction
from sim.array import Array
from sim.converters import state_codes
from sim.coupling import MappedCoupling
from sim.fabrication import Fabrication, Streams, build_array, make_crossbars
from sim.read_path import Conversions
from sim.wire_solver import WireSolver
from sim.wires import asymmetry

STATES_AT_ONCE = 8  # tensors as large as all states that a sweep holds: states, drives, reads and their copies


class Chip(EnergyNetwork):
    """One or more instances of a compiled chip, each with its own devices.

    It is an energy network: dynamics and estimators run on it unchanged. Inputs and labels are given once and
    spread over the chips; states and logits hold [chips * batch, ...], chip after chip.

    Args:
        mapping: what the compiler made.
        seed: fixes programming errors, stuck devices, drift, converters and read noise. Chip k of seed s draws from
            its own streams, so it is the same chip in any batch of chips.
        chips: instances simulated together; ``memory_bytes`` says what they take.
        age_s: seconds since the reference time of the device (see its preset).
        wire_cache: folder that keeps solved wires between runs.
        on_solved: called with the number of crossbars whose wires were just solved, in both directions.

    Raises:
        ValueError: for a negative age or fewer than one chip.
    """

    def __init__(
        self,
        mapping: Mapping,
        seed: int = 0,
        chips: int = 1,
        age_s: float = 0.0,
        *,
        wire_cache: Path | None = None,
        on_solved: Callable[[int], None] | None = None,
    ) -> None:
        if chips < 1:
            raise ValueError(f"chips {chips}: expected >= 1")
        check_age(age_s)
        network = copy.deepcopy(mapping.network)
        self._streams = [Streams.of(seed, chip) for chip in range(chips)]
        solvers = [WireSolver(mapping.target.wires, wire_cache, on_solved) for _ in range(chips)]
        fabrication = Fabrication()
        arrays = fabricate(mapping, age_s, self._streams, solvers, fabrication)
        couplings = {name: MappedCoupling(network.coupling(name), arrays[name]) for name in mapping.matrices}
        super().__init__(network.layers, network.inputs, network.edges, couplings, network.cost, network.dynamics)
        self.biases = network.biases
        self.mapping = mapping
        self.seed = seed
        self.age_s = age_s
        self.fabrication = fabrication
        self._chips = chips
        self._solvers = solvers
        bits = mapping.target.controller.state_bits
        self._state_codes = {
            name: state_codes(bits, mapping.network.layers[name].clip, mapping.layers[name]) for name in network.free
        }

    @property
    def wire_error_bound(self) -> float:
        """How far off the wires of any coupling can be since they were solved: |dG_eff| / |G_eff| at most."""
        return max(solver.bound for solver in self._solvers)

    def set_age(self, age_s: float) -> None:
        """Let the same devices be ``age_s`` seconds old; wires are solved anew where devices moved enough.

        Raises:
            ValueError: for a negative age.
        """
        check_age(age_s)
        self.fabrication = Fabrication()
        arrays = fabricate(self.mapping, age_s, self._streams, self._solvers, self.fabrication)
        for name, of_chips in arrays.items():
            self.mapped(name).arrays = of_chips
        self.age_s = age_s

    def mapped(self, name: str) -> MappedCoupling:
        """The coupling that answers for ``name``."""
        coupling = self.couplings[name]
        assert isinstance(coupling, MappedCoupling)
        return coupling

    @property
    def replicas(self) -> int:
        """Number of chips."""
        return self._chips

    @property
    def memory_bytes(self) -> int:
        """Memory of all chips' devices and prepared reads."""
        return sum(array.nbytes for name in self.mapping.matrices for array in self.mapped(name).arrays)

    @property
    def bytes_per_image(self) -> int:
        """Memory that one image of a batch takes while it relaxes on all chips (an estimate)."""
        sizes = sum(layer.size for layer in self.layers.values())
        return 4 * STATES_AT_ONCE * sizes * self._chips

    def conversions(self, name: str, direction: Direction) -> Conversions:
        """ADC conversions of a coupling so far, all chips together."""
        total = Conversions()
        for array in self.mapped(name).arrays:
            seen = array.conversions(direction)
            total.made += seen.made
            total.clipped += seen.clipped
        return total

    def asymmetry(self, name: str) -> float:
        """|W_forward - W_transposed| / |W_forward| of a coupling (Frobenius norms), the largest of the chips."""
        worst = 0.0
        for array in self.mapped(name).arrays:
            worst = max(worst, asymmetry(*(array.effective_weight(direction) for direction in DIRECTIONS)))
        return worst

    @torch.no_grad()
    def relax(self, *args: object, **settings: object) -> Equilibrium:
        """As :meth:`EnergyNetwork.relax`; read noise that is frozen over a phase is drawn anew first."""
        for name in self.mapping.matrices:
            for array in self.mapped(name).arrays:
                array.begin_phase()
        return super().relax(*args, **settings)  # type: ignore[arg-type]

    def spread(self, data: Tensor) -> Tensor:
        """Repeat a batch for each chip: [batch, ...] -> [chips * batch, ...]."""
        if self._chips == 1:
            return data
        repeated = data.repeat(self._chips, *(1 for _ in data.shape[1:]))
        # repeat forgets the memory format, and random draws fill memory in order: a chip would see other noise.
        return repeated.to(memory_format=torch.channels_last) if data.dim() == 4 else repeated

    def confine_(self, name: str, state: Tensor) -> Tensor:
        """Clip to the layer's range and round to its fixed point."""
        state = super().confine_(name, state)
        codes = self._state_codes[name]
        return state if codes is None else codes.quantise_(state)


def check_age(age_s: float) -> None:
    if not 0.0 <= age_s < float("inf"):
        raise ValueError(f"age_s {age_s}: expected seconds >= 0")


def fabricate(
    mapping: Mapping, age_s: float, streams: list[Streams], solvers: list[WireSolver], fabrication: Fabrication
) -> dict[str, list[Array]]:
    """Program every coupling's crossbars on every chip, by coupling name."""
    arrays: dict[str, list[Array]] = {name: [] for name in mapping.matrices}
    for own, solver in zip(streams, solvers, strict=True):
        crossbars = make_crossbars(mapping, age_s, own.start(), solver, fabrication)
        for name in mapping.matrices:
            arrays[name].append(build_array(mapping, name, crossbars, own.reads))
    return arrays
