"""Simulated chips: an energy network whose couplings are crossbars."""

from __future__ import annotations

import copy
from collections.abc import Callable
from collections.abc import Mapping as Table
from pathlib import Path

import torch
from torch import Tensor

from eqprop import EnergyNetwork, SquaredError
from eqprop.dynamics import Equilibrium
from mapping import Mapping
from mapping.arithmetic import Scaling, SquaredErrorNudge, neuron_, round_
from mapping.fixed_point import layer_codes
from mapping.hardware import DIRECTIONS, Direction
from mapping.timing import Phase
from sim.coupling import MappedCoupling
from sim.events import DIGITAL, Events, Phases, of_coupling, programming_events, total
from sim.fabrication import Crossbars, Fabrication, Streams, build_reads, make_crossbars
from sim.read_path import Conversions
from sim.reads import Reads
from sim.running_drift import RunningDrift
from sim.wire_solver import WireSolver
from sim.wires import asymmetry

STATES_AT_ONCE = 10  # tensors as large as all states that a sweep holds: states, drives kept, reads and their copies


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
        first: number of the first of them: chip k of a seed by itself is ``first=k`` and one chip.
        wire_cache: folder that keeps solved wires between runs.
        on_solved: called with the number of crossbars whose wires were just solved, in both directions.
        drifting: every relaxation makes the chip older, and each starts with the devices as old as the chip is then
            (during one they stand still). Behind wires with resistance, ``wires.keep_within`` hides smaller changes.
        drift_speed: how many times faster than the controller's clock, see :class:`sim.running_drift.RunningDrift`.

    Raises:
        ValueError: for a negative age or speed, or fewer than one chip.
    """

    def __init__(
        self,
        mapping: Mapping,
        seed: int = 0,
        chips: int = 1,
        age_s: float = 0.0,
        *,
        first: int = 0,
        wire_cache: Path | None = None,
        on_solved: Callable[[int], None] | None = None,
        drifting: bool = False,
        drift_speed: float = 1.0,
    ) -> None:
        if chips < 1:
            raise ValueError(f"chips {chips}: expected >= 1")
        check_age(age_s)
        network = copy.deepcopy(mapping.network)
        self.streams = [Streams.of(seed, chip) for chip in range(first, first + chips)]
        solvers = [WireSolver(mapping.target.wires, wire_cache, on_solved) for _ in range(chips)]
        fabrication = Fabrication()
        arrays = fabricate(mapping, age_s, self.streams, solvers, fabrication)
        couplings = {name: MappedCoupling(network.coupling(name), arrays[name]) for name in mapping.chains}
        super().__init__(network.layers, network.inputs, network.edges, couplings, network.cost, network.dynamics)
        self.biases = network.biases
        self.mapping = mapping
        self.seed = seed
        self.age_s = self._devices_age_s = age_s
        self._drift = RunningDrift(mapping, drift_speed if drifting else 0.0)
        self.fabrication = fabrication
        self._chips = chips
        self.solvers = solvers
        self._phases = Phases()
        self._earlier = dict.fromkeys(mapping.chains, Events())  # of the same devices at other ages
        self._converted: dict[tuple[str, Direction], Conversions] = {}  # by them
        self.codes = layer_codes(mapping)

    @property
    def wire_error_bound(self) -> float:
        """How far off the wires of any coupling can be since they were solved: |dG_eff| / |G_eff| at most."""
        return max(solver.bound for solver in self.solvers)

    def set_age(self, age_s: float) -> None:
        """Let the same devices be ``age_s`` seconds old; wires are solved anew where devices moved enough.

        Raises:
            ValueError: for a negative age.
        """
        check_age(age_s)
        self.keep_counts()
        self.fabrication = Fabrication()
        arrays = fabricate(self.mapping, age_s, self.streams, self.solvers, self.fabrication)
        for name, of_chips in arrays.items():
            self.mapped(name).arrays = of_chips
        self.age_s = self._devices_age_s = age_s

    def keep_counts(self) -> None:
        """Remember what was counted by arrays that others are about to take the place of."""
        names = self.mapping.chains
        self._earlier = {name: self.events(name) for name in names}
        self._converted = {(name, way): self.conversions(name, way) for name in names for way in DIRECTIONS}

    def exchange(self, number: int, crossbars: Crossbars) -> None:
        """Let chip ``number`` read other devices from here on: those it has learned.

        Raises:
            ValueError: if the chip is drifting: what learned devices age to is not modelled.
        """
        if self._drift.speed:
            raise ValueError("a drifting chip: expected one with drifting=False, learned devices do not age")
        self.keep_counts()
        for name in self.mapping.chains:
            self.mapped(name).arrays[number] = build_reads(self.mapping, name, crossbars, self.streams[number])

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
        return sum(array.nbytes for name in self.mapping.chains for array in self.mapped(name).arrays)

    @property
    def bytes_per_image(self) -> int:
        """Memory that one image of a batch takes while it relaxes on all chips (an estimate)."""
        sizes = sum(layer.size for layer in self.layers.values())
        return 4 * STATES_AT_ONCE * sizes * self._chips

    def conversions(self, name: str, direction: Direction) -> Conversions:
        """ADC conversions of a coupling so far, all chips together."""
        now = Conversions.total(array.conversions(direction) for array in self.mapped(name).arrays)
        return Conversions.total([self._converted.get((name, direction), Conversions()), now])

    def events(self, name: str | None = None, direction: Direction | None = None) -> Events:
        """What happened since the chip was made or :meth:`reset_events`, all chips and samples together.

        Args:
            name: a coupling, ``sim.events.DIGITAL`` for what belongs to none, or everything.
            direction: reads of one direction alone, of a chip whose age was not set since (a coupling's name given).
        """
        if name is None:
            return total(self.events(each) for each in (*self.mapping.chains, DIGITAL))
        if name == DIGITAL:
            return self._phases.events(self.mapping)
        found = Events() if direction is not None else self._earlier[name]
        for array in self.mapped(name).arrays:
            found += of_coupling(self.mapping, name, {way: array.seen(way) for way in DIRECTIONS}, direction)
        return found

    def reset_events(self) -> None:
        """Count from zero; conversions as well."""
        self._phases = Phases()
        self._earlier = dict.fromkeys(self.mapping.chains, Events())
        self._converted = {}
        for name in self.mapping.chains:
            for array in self.mapped(name).arrays:
                array.forget()

    @property
    def programming_events(self) -> Events:
        """What programming the chips took; not among :meth:`events`."""
        return programming_events(self.mapping, self.fabrication)

    def asymmetry(self, name: str) -> float:
        """|W_forward - W_transposed| / |W_forward| of a coupling (Frobenius norms), the largest of the chips."""
        worst = 0.0
        for array in self.mapped(name).arrays:
            worst = max(worst, asymmetry(*(array.effective_weight(direction) for direction in DIRECTIONS)))
        return worst

    @torch.no_grad()
    def relax(self, *args: object, **settings: object) -> Equilibrium:
        """As :meth:`EnergyNetwork.relax`; read noise that is frozen over a phase is drawn anew first.

        Devices of a drifting chip are as old as the chip first; the phase makes it older.
        """
        if self.age_s != self._devices_age_s:
            self.set_age(self.age_s)
        for name in self.mapping.chains:
            for array in self.mapped(name).arrays:
                array.begin_phase()
        found = super().relax(*args, **settings)  # type: ignore[arg-type]
        samples = len(next(iter(found.states.values())))
        phase: Phase = "nudged" if settings.get("beta") else "free"
        self._phases.relaxed(phase, samples, found.sweeps)
        self.age_s += self._drift.seconds(phase, found.sweeps)
        return found

    def logits(self, states: Table[str, Tensor]) -> Tensor:
        """As :meth:`EnergyNetwork.logits`; the read of an answer is counted."""
        found = super().logits(states)
        self._phases.answers += len(found)
        return found

    def spread(self, data: Tensor) -> Tensor:
        """Repeat a batch for each chip: [batch, ...] -> [chips * batch, ...]."""
        if self._chips == 1:
            return data
        repeated = data.repeat(self._chips, *(1 for _ in data.shape[1:]))
        # repeat forgets the memory format, and random draws fill memory in order: a chip would see other noise.
        return repeated.to(memory_format=torch.channels_last) if data.dim() == 4 else repeated

    def clamp(self, x: Tensor | Table[str, Tensor]) -> dict[str, Tensor]:
        """As :meth:`EnergyNetwork.clamp`, rounded to the inputs' fixed point."""
        return {name: self.rounded(name, value) for name, value in super().clamp(x).items()}

    def bias_drive(self, name: str) -> Tensor:
        """As :meth:`EnergyNetwork.bias_drive`, rounded to the layer's fixed point: what reads add are its multiples."""
        drive, codes = super().bias_drive(name), self.codes[name]
        return drive if codes is None else round_(drive * (1.0 / codes.step)).mul_(codes.step)

    def rounded(self, name: str, state: Tensor) -> Tensor:
        """The nearest values that a layer's fixed point holds."""
        codes = self.codes[name]
        return state if codes is None else codes.quantise_(state.clone())

    def minimise_(self, name: str, drive: Tensor, state: Tensor, target: Tensor | None, beta: float) -> Tensor:
        """As :meth:`EnergyNetwork.minimise_`, by the controller's integer rules where states are fixed-point."""
        codes, stiffness = self.codes[name], self.layers[name].stiffness
        nudged = name == self.cost.layer and target is not None and beta != 0.0
        if codes is None or (nudged and not isinstance(self.cost, SquaredError)):
            return super().minimise_(name, drive, state, target, beta)
        whole = round_(drive.mul_(1.0 / codes.step))
        limits = (codes.low, codes.high)
        if nudged:
            assert target is not None
            nudge = SquaredErrorNudge.build(beta, stiffness, round(1.0 / codes.step))
            nudge.apply_(whole, target, limits)
        else:
            neuron_(whole, 0, Scaling.nearest(1.0 / stiffness), limits)
        return whole.mul_(codes.step)

    def confine_(self, name: str, state: Tensor) -> Tensor:
        """Clip to the layer's range and round to its fixed point."""
        state = super().confine_(name, state)
        codes = self.codes[name]
        return state if codes is None else codes.quantise_(state)


def check_age(age_s: float) -> None:
    if not 0.0 <= age_s < float("inf"):
        raise ValueError(f"age_s {age_s}: expected seconds >= 0")


def fabricate(
    mapping: Mapping, age_s: float, streams: list[Streams], solvers: list[WireSolver], fabrication: Fabrication
) -> dict[str, list[Reads]]:
    """Program every coupling's crossbars on every chip, by coupling name."""
    arrays: dict[str, list[Reads]] = {name: [] for name in mapping.chains}
    for own, solver in zip(streams, solvers, strict=True):
        crossbars = make_crossbars(mapping, age_s, own.start(), solver, fabrication)
        for name in mapping.chains:
            arrays[name].append(build_reads(mapping, name, crossbars, own))
    return arrays
