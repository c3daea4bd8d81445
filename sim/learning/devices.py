"""The devices of one chip while it learns: conductances that change, and what it costs them."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping as Table
from dataclasses import replace

import torch
from torch import Tensor

from mapping import Mapping
from mapping.device import PulsedUpdate
from sim.chip import Chip
from sim.devices import DeviceModel
from sim.devices.pulses import Responses, start_
from sim.fabrication import Fabrication, device_sets, manufacture, seen_by_terminals
from sim.wire_solver import WireSolver


class ChipDevices:
    """The devices of ``chip`` as they are now; time stands still while they learn.

    Where transposed reads have devices of their own these learn as one more copy of every copy of a matrix: the same
    pulses or writes reach both, and each device answers them in its own way.

    Attributes:
        mapping: the chip's, with the feedback set as further crossbars and copies: of n copies of a matrix in the
            forward set, copy k has its feedback in copy n + k.
        conductance: siemens, [crossbars, rows, columns], those of the feedback set last.
        pulses, writes: how often each device was pulsed or written, int32 of that shape.
        attempts: writes in all, those that write-verify repeated too.
        failed: writes that were given up.

    Raises:
        ValueError: for more than one chip.
    """

    def __init__(self, chip: Chip) -> None:
        if chip.replicas != 1:
            raise ValueError(f"{chip.replicas} chips: expected one, each chip learns by itself")
        self.chip, self.mapping = chip, with_feedback_copies(chip.mapping)
        self.model = DeviceModel(self.mapping.target.device)
        streams = chip.streams[0]
        self.made = manufacture(chip.mapping, chip.age_s, streams.start(), Fabrication())
        self.generator = torch.Generator().manual_seed(streams.learning)
        self.conductance = self.made.conductance
        self.pulses = torch.zeros(self.conductance.shape, dtype=torch.int32)
        self.writes = torch.zeros(self.conductance.shape, dtype=torch.int32)
        self.attempts = 0.0
        self.failed = 0
        self.w: Tensor | None = None
        self.responses: Responses | None = None

    def pulse(self, counts: Tensor) -> None:
        """Pulse devices one after the other: ``counts`` [crossbars, rows, columns], up where positive.

        Raises:
            ValueError: for devices without an update law, and down pulses on devices that only go up.
        """
        update = self.mapping.target.device.update
        if self.responses is None:
            self.responses = self.model.responses(tuple(self.conductance.shape), self.generator)
        if self.w is None:
            self.w = start_(update, self.responses, self.model.to_weight(self.conductance.clone()))
        remaining = counts.clone()
        while bool((remaining != 0.0).any()):
            direction = remaining.sign()
            self.model.pulse_(self.responses, self.w, direction, self.generator)
            remaining -= direction
        self.pulses += counts.abs().to(torch.int32)
        torch.where(counts != 0.0, self.model.to_siemens(self.w), self.conductance, out=self.conductance)
        self.stick_()

    def write(self, chosen: Tensor, target: Tensor) -> None:
        """Write the ``chosen`` devices (bool) to their ``target`` conductances, as the device is programmed."""
        own = None if self.made.own is None else self.made.own[chosen]
        written = self.model.program(target[chosen], self.generator, own)
        self.conductance[chosen] = written.conductance
        self.writes += chosen.to(torch.int32)
        self.attempts += written.attempts * int(chosen.sum())
        self.failed += written.failed
        self.w = None
        self.stick_()

    def write_weights(self, changes: Iterable[tuple[str, int, Tensor, Tensor]]) -> bool:
        """Write some weights of copies of matrices; whether there were any.

        Args:
            changes: matrix, number of the copy, which of its weights (bool [rows, columns]), and what all would be.
        """
        wanted = [change for change in changes if bool(change[2].any())]
        if not wanted:
            return False
        target = self.conductance.clone()
        where = torch.zeros(target.shape, dtype=torch.bool)
        for name, number, mask, weights in wanted:
            encoding, replica = self.mapping.encoding(name), self.mapping.matrices[name].replicas[number]
            per_weight = encoding.devices_per_weight
            chosen = mask.repeat_interleave(per_weight, dim=1)
            written = encoding.encode(weights.clamp(-encoding.largest, encoding.largest))
            replica.scatter_(target, torch.where(chosen, written, replica.gather(target, per_weight)), per_weight)
            replica.scatter_(where, chosen, per_weight)
        self.write(where, target)
        return True

    def stick_(self) -> None:
        if self.made.stuck is not None:
            self.made.stuck.stick_(self.conductance)

    def spread(self, values: Table[str, Tensor]) -> Tensor:
        """By matrix [rows, columns * devices] -> [crossbars, rows, columns], into every copy; zero elsewhere."""
        everywhere = torch.zeros_like(self.conductance)
        for name, of_matrix in values.items():
            per_weight = self.mapping.encoding(name).devices_per_weight
            for replica in self.mapping.matrices[name].replicas:
                replica.scatter_(everywhere, of_matrix, per_weight)
        return everywhere

    def weights(self, name: str, replica: int = 0) -> Tensor:
        """What a matrix's devices mean now, [rows, columns]."""
        return self.mapping.encoding(name).decode(self.mapping.matrix_of(name, self.conductance, replica))

    def connect(self) -> None:
        """Let the chip read these devices: read noise, wires and operands made anew."""
        chip = self.chip
        # Solved anew every time: a solution that is kept while devices move little would hide what was learned.
        solver = WireSolver(chip.mapping.target.wires.model_copy(update={"keep_within": 0.0}))
        chip.exchange(0, seen_by_terminals(chip.mapping, self.made, chip.age_s, solver))


def with_feedback_copies(mapping: Mapping) -> Mapping:
    """``mapping`` with a separate feedback set's devices as crossbars and copies behind the forward set's."""
    if device_sets(mapping) == 1:
        return mapping
    matrices = {}
    for name, matrix in mapping.matrices.items():
        feedback = tuple(
            replace(copy, tiles=tuple(replace(tile, crossbar=tile.crossbar + mapping.crossbars) for tile in copy.tiles))
            for copy in matrix.replicas
        )
        matrices[name] = replace(matrix, replicas=matrix.replicas + feedback)
    return replace(mapping, matrices=matrices, conductances=torch.cat([mapping.conductances] * 2))


def pulsed_law(mapping: Mapping) -> PulsedUpdate:
    """How pulses move a mapping's devices.

    Raises:
        ValueError: for devices without an update law.
    """
    device = mapping.target.device
    if not isinstance(device.update, PulsedUpdate):
        raise ValueError(f"device {device.name} has no update law: it cannot be pulsed")
    return device.update


def step_in_weight(devices: ChipDevices, name: str) -> float:
    """How much one pulse, in the middle of the window, changes a weight of a matrix when all its devices move."""
    device, encoding = devices.mapping.target.device, devices.mapping.encoding(name)
    law = pulsed_law(devices.mapping)
    siemens = law.step * (device.g_max_siemens - device.g_min_siemens) / (law.w_max - law.w_min)
    moving = 1 if law.one_sided else encoding.devices_per_slice
    return siemens * moving * encoding.weight_per_siemens
