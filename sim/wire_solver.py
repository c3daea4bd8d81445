"""Wires of a chip's crossbars, solved once and kept: in memory while devices drift little, on disk between runs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from eqprop.atomic import replacing
from mapping.hardware import DIRECTIONS, Direction, Wires
from sim.wire_models import NoiseOperands, change_bound, noise_operands
from sim.wires import effective_conductance

TERMS = 2  # Legendre terms of the noise: variance within 1 % of the exact one for 128 x 128, 25 uS and 5 ohm


@dataclass(frozen=True)
class Seen:
    """What terminals see of crossbars in one direction.

    Attributes:
        conductance: [crossbars, rows, columns] siemens.
        squared: variance of each device's read noise as the terminals see it, or None.
        noise: the rest of the noise behind resistive wires, or None.
    """

    conductance: Tensor
    squared: Tensor | None = None
    noise: NoiseOperands | None = None


@dataclass(frozen=True)
class Solution:
    """Wires solved for ``conductance``."""

    conductance: Tensor
    seen: dict[Direction, Seen]


class WireSolver:
    """Solves the wires of one chip.

    Attributes:
        bound: the largest relative error, |dG_eff| over the matrix's norm, that keeping solved wires while devices
            drifted can have made; 0 where all were solved for the devices as they are.

    Args:
        wires: resistances and ends.
        folder: keeps solutions by the hash of what was solved; None keeps nothing.
        on_solved: called with the number of crossbars just solved.
    """

    def __init__(
        self, wires: Wires, folder: Path | None = None, on_solved: Callable[[int], None] | None = None
    ) -> None:
        self.wires, self.folder, self.on_solved = wires, folder, on_solved
        self.kept: Solution | None = None
        self.bound = 0.0

    def solve(self, conductance: Tensor, squared: Tensor | None) -> dict[Direction, Seen]:
        """What both directions see of a chip's crossbars.

        A solution is kept for as long as no device has moved by more than ``wires.keep_within`` of its conductance
        since it was found.

        Args:
            conductance: [crossbars, rows, columns] siemens.
            squared: variance of their read noise in siemens^2, or None.
        """
        if self.wires.ideal:
            return {"forward": Seen(conductance, squared), "transposed": Seen(conductance, squared)}
        kept = self.kept
        if kept is None or (squared is None) != (kept.seen["forward"].squared is None):
            return self.solve_anew(conductance, squared)
        bound, moved = change_bound(kept.conductance, conductance)
        if float(moved.max()) > self.wires.keep_within:
            return self.solve_anew(conductance, squared)
        norm = kept.seen["forward"].conductance.norm().clamp(min=1e-30)
        self.bound = max(self.bound, float(bound.norm() / norm))
        return kept.seen

    def solve_anew(self, conductance: Tensor, squared: Tensor | None) -> dict[Direction, Seen]:
        path = None if self.folder is None else self.folder / f"{self.key(conductance, squared)}.safetensors"
        seen = None if path is None else read(path)
        if seen is None:
            seen = self.computed(conductance, squared)
            if path is not None:
                write(path, seen)
        elif self.on_solved is not None:
            self.on_solved(len(conductance) * solves(self.wires, squared is not None))
        self.kept = Solution(conductance, seen)
        return seen

    def computed(self, conductance: Tensor, squared: Tensor | None) -> dict[Direction, Seen]:
        """Solve every crossbar in both directions; equal ends and terminal resistances need one solution only."""
        seen: dict[Direction, Seen] = {}
        for direction in DIRECTIONS:
            settings = {**resistances(self.wires, direction), "on_tile": self.on_solved}
            if direction == "transposed" and symmetric(self.wires):
                effective = seen["forward"].conductance
            else:
                effective = effective_conductance(conductance, **settings)
            if squared is None:
                seen[direction] = Seen(effective)
            else:
                noise = noise_operands(conductance, squared, terms=TERMS, **settings)
                seen[direction] = Seen(effective, noise.squared, noise)
        return seen

    def key(self, conductance: Tensor, squared: Tensor | None) -> str:
        """Hash of all that a solution depends on."""
        digest = hashlib.sha256(f"1 {TERMS} {self.wires.model_dump_json()} {tuple(conductance.shape)}".encode())
        for values in (conductance, squared):
            digest.update(b"none" if values is None else values.contiguous().cpu().numpy().tobytes())
        return digest.hexdigest()


def resistances(wires: Wires, direction: Direction) -> dict[str, Any]:
    """The keywords of :mod:`sim.wires` for one direction."""
    transposed = direction == "transposed"
    return {
        "row_resistance_ohm": wires.row_resistance_ohm,
        "column_resistance_ohm": wires.column_resistance_ohm,
        "driver_resistance_ohm": wires.driver_resistance_ohm,
        "sense_resistance_ohm": wires.sense_resistance_ohm,
        "direction": direction,
        "driven_end": wires.transposed_driven_end if transposed else "near",
        "sensed_end": wires.transposed_sensed_end if transposed else "near",
    }


def symmetric(wires: Wires) -> bool:
    """Whether reciprocity makes the transposed read the exact transpose of the forward one."""
    same_ends = wires.transposed_driven_end == wires.transposed_sensed_end == "near"
    return same_ends and wires.driver_resistance_ohm == wires.sense_resistance_ohm


def solves(wires: Wires, noisy: bool) -> int:
    """How often each crossbar of a chip is solved."""
    if wires.ideal:
        return 0
    return (1 if symmetric(wires) else 2) + (2 if noisy else 0)


NOISE_FIELDS = ("squared", "linear", "cross", "gram")


def write(path: Path, seen: dict[Direction, Seen]) -> None:
    tensors = {}
    for direction, view in seen.items():
        tensors[f"{direction}.conductance"] = view.conductance.clone(memory_format=torch.contiguous_format)
        if view.noise is not None:
            for field in NOISE_FIELDS:
                tensors[f"{direction}.{field}"] = getattr(view.noise, field).contiguous()
    with replacing(path) as aside:
        safetensors.torch.save_file(tensors, aside)


def read(path: Path) -> dict[Direction, Seen] | None:
    """A solution written before; None if there is none, or none that can be read."""
    try:
        tensors = safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError):
        return None
    seen: dict[Direction, Seen] = {}
    for direction in DIRECTIONS:
        conductance = tensors.get(f"{direction}.conductance")
        if conductance is None:
            return None
        noise = None
        if f"{direction}.gram" in tensors:
            noise = NoiseOperands(*(tensors[f"{direction}.{field}"] for field in NOISE_FIELDS))
        seen[direction] = Seen(conductance, None if noise is None else noise.squared, noise)
    return seen
