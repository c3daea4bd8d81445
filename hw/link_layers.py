"""Linking layers: their places and rows, the sources of their drives, their biases."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from hw.beats import groups, words
from hw.link_memories import Memories
from mapping import Mapping
from mapping.arithmetic import Scaling
from mapping.device.read_noise import NoReadNoise
from mapping.fixed_point import DRIVE_BITS, adc_step, codes_of_layer, requantising, state_limits
from mapping.hardware import Direction
from mapping.plan import MappedMatrix

Row = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """Where a layer lies.

    Attributes:
        image: channels, height and width.
        first: its first word, by kind of memory: state, snapshot, captured, bias, constant.
    """

    image: tuple[int, int, int]
    first: dict[str, int]


class LayerLinker:
    """Rows of layers and sources, places of layers, words of biases."""

    def __init__(self, memories: Memories) -> None:
        self.memories, self.mapping, self.network = memories, memories.mapping, memories.network
        self.lanes = memories.lanes

    def rows(self, places: dict[str, Place]) -> tuple[list[Row], list[Row]]:
        """Rows of layers, and of all their sources."""
        sources: list[Row] = []
        layers = [self.row(name, sources) | {"bias": places[name].first["bias"]} for name in self.network.free]
        return layers, sources

    def row(self, name: str, sources: list[Row]) -> Row:
        """One row of layers; its sources join the others."""
        layer, image = self.network.layers[name], self.memories.images[name]
        codes = codes_of_layer(self.mapping, name)
        assert codes is not None
        low, high = state_limits(self.mapping, name)
        neuron = Scaling.nearest(1.0 / layer.stiffness)
        row: Row = {
            "words": words(image, self.lanes),
            "groups": groups(image[0], self.lanes),
            "units": layer.size,
            "state": self.memories.states[f"{name}.state"],
            "snapshot": self.memories.states[f"{name}.snapshot"],
            "captured": self.memories.states[f"{name}.captured"],
            "constant": self.memories.constants.get(f"{name}.constant", 0),
            "has_constant": int(f"{name}.constant" in self.memories.constants),
            "signed": int(codes.low < 0),
            "multiplier": neuron.multiplier,
            "shift": neuron.shift,
            "low": low,
            "high": high,
            "reset": min(max(0, low), high) & (1 << self.state_bits) - 1,
            "settled": 0,
        }
        for key, shares in (("inputs", self.memories.input_shares[name]), ("sources", self.memories.shares[name])):
            row[f"{key}_first"], row[key] = len(sources), len(shares)
            for share in shares:
                scaling = sum_scaling(self.mapping, self.giver(*share), share[1], codes.step)
                sources.append(
                    {
                        "first": self.memories.sums_of(name, share),
                        "multiplier": scaling.multiplier,
                        "shift": scaling.shift,
                    }
                )
        return row

    def giver(self, coupling: str, direction: Direction) -> MappedMatrix:
        """The matrix whose sums a coupling's read ends with."""
        chain = self.mapping.chains[coupling]
        return self.mapping.matrices[chain[-1 if direction == "forward" else 0]]

    @property
    def state_bits(self) -> int:
        bits = self.mapping.target.controller.state_bits
        assert bits is not None
        return bits

    def parameters(self) -> tuple[tuple[tuple[int, ...], ...], dict[str, Place]]:
        """Biases behind the constants, and the place of every layer."""
        biases: list[tuple[int, ...]] = []
        places = {}
        for name, image in self.memories.images.items():
            kinds = ("state",) if name in self.network.inputs else ("state", "snapshot", "captured")
            first = {kind: self.memories.states[f"{name}.{kind}"] for kind in kinds}
            if name in self.network.free:
                first["bias"] = self.memories.constants[""] + len(biases)
                if f"{name}.constant" in self.memories.constants:
                    first["constant"] = self.memories.constants[f"{name}.constant"]
                biases += bias_words(self.mapping, name, self.network.biases[name], self.lanes)
            places[name] = Place(image, first)
        return tuple(biases), places


def bias_words(mapping: Mapping, name: str, bias: Tensor, lanes: int) -> list[tuple[int, ...]]:
    """One bias a channel of a free layer, as codes of its drive.

    Raises:
        ValueError: for a bias beyond the bits of a drive.
    """
    codes = codes_of_layer(mapping, name)
    assert codes is not None
    values = [math.floor(value / codes.step + 0.5) for value in bias.detach().flatten().tolist()]
    reach = 1 << DRIVE_BITS - 1
    for channel, value in enumerate(values):
        if not -reach <= value < reach:
            raise ValueError(f"bias {channel} of layer {name}: code {value}: expected less than {DRIVE_BITS} bits")
    values += [0] * (-len(values) % lanes)
    return [tuple(values[at : at + lanes]) for at in range(0, len(values), lanes)]


def sum_scaling(mapping: Mapping, matrix: MappedMatrix, direction: Direction, step: float) -> Scaling:
    """From sums of a read's ADC codes to codes of ``step``."""
    return requantising(adc_step(mapping, matrix, direction) / averaged(mapping, direction), step)


def averaged(mapping: Mapping, direction: Direction) -> int:
    """Conversions of each read that are added up: one where averaging changes nothing."""
    noise = mapping.target.read.noise == "fresh" and not isinstance(mapping.target.device.read_noise, NoReadNoise)
    return mapping.target.read.average if noise or mapping.target.adc_of(direction).noise_lsb else 1
