"""Driver software: what a host writes and reads on the bus to run EP steps, as plain transactions.

Both simulations carry them out, the fast one at once and cocotb's clock by clock, so the software is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import Tensor

from hw.config import ControllerConfig
from hw.controller import address_map
from hw.image import contents, lanes_of, lanes_word, with_trains
from hw.link import Linked
from hw.link_layers import bias_words
from hw.register_map import EVENTS
from hw.registers import WORD_BYTES
from hw.tables import Tables
from mapping import Mapping
from mapping.arithmetic import SquaredErrorNudge
from mapping.arithmetic.trains import stride
from mapping.fixed_point import codes_of_layer
from sim.learning.registers import RegisterTrains
from tb.arrays import Codes, image_of, words_of

Copy = Literal["state", "snapshot", "captured"]

# Where the states of a free phase, of +beta and of -beta are after an EP step with two nudges.
COPIES: tuple[Copy, ...] = ("snapshot", "captured", "state")


@dataclass(frozen=True)
class Write:
    """32-bit words to consecutive addresses (bytes)."""

    address: int
    words: tuple[int, ...]


@dataclass(frozen=True)
class Read:
    """So many 32-bit words from consecutive addresses."""

    address: int
    count: int


class Host:
    """Software for one controller: all it knows is the mapping, the tables and the map of the bus."""

    def __init__(self, mapping: Mapping, linked: Linked, config: ControllerConfig) -> None:
        self.mapping, self.linked, self.config = mapping, linked, config
        self.map, self.tables = address_map(config), Tables(config)

    # Memories

    def columns(self, memory: str) -> int:
        """32-bit words that a row of a memory takes on the bus: a power of two."""
        return self.map.window(memory).row_bytes // WORD_BYTES

    def row_words(self, memory: str, value: int) -> tuple[int, ...]:
        """A row as 32-bit words, lowest first, zeros up to the width on the bus."""
        return tuple(value >> 32 * n & 0xFFFFFFFF for n in range(self.columns(memory)))

    def rows_write(self, memory: str, first: int, values: list[int]) -> Write:
        """Rows from ``first`` on."""
        address = self.map.base(memory) + 4 * self.columns(memory) * first
        return Write(address, tuple(word for value in values for word in self.row_words(memory, value)))

    def loading(self) -> Iterator[Write]:
        """Program, tables and biases."""
        for memory, values in contents(self.linked, self.tables).items():
            yield self.rows_write(memory, 0, values)

    def biases_write(self, biases: dict[str, Tensor]) -> Iterator[Write]:
        """Biases of free layers, one a channel, as phases add them from now on."""
        for name, bias in biases.items():
            words = bias_words(self.mapping, name, bias, self.config.lanes)
            rows = [lanes_word(word, self.config.constant_bits) for word in words]
            yield self.rows_write("constant", self.linked.places[name].first["bias"], rows)

    # States

    def codes(self, name: str, values: Tensor) -> Codes:
        """States of a layer, of one sample, as codes."""
        codes = codes_of_layer(self.mapping, name)
        assert codes is not None
        return codes.encode_(values.double().clone()).numpy().astype(np.int64)

    def states_write(self, name: str, codes: Codes) -> Write:
        """The states of a layer."""
        words = words_of(codes, self.config.lanes).tolist()
        rows = [lanes_word(tuple(word), self.config.state_bits) for word in words]
        return self.rows_write("state", self.linked.places[name].first["state"], rows)

    def states_read(self, name: str, copy: Copy = "state") -> Read:
        """Where the states of a layer are, or a copy of them."""
        place = self.linked.places[name]
        rows = place.image[1] * place.image[2] * -(-place.image[0] // self.config.lanes)
        columns = self.columns("state")
        return Read(self.map.base("state") + 4 * columns * place.first[copy], columns * rows)

    def states_of(self, name: str, words: list[int]) -> Codes:
        """The states in what :meth:`states_read` read, in the layer's shape."""
        columns, config = self.columns("state"), self.config
        codes = codes_of_layer(self.mapping, name)
        assert codes is not None
        rows = []
        for first in range(0, len(words), columns):
            row = sum(int(word) << 32 * n for n, word in enumerate(words[first : first + columns]))
            rows.append(lanes_of(row, config.lanes, config.state_bits, codes.low < 0))
        return image_of(np.array(rows, dtype=np.int64), self.mapping.network.layers[name].shape)

    # Registers

    def register(self, name: str, value: int) -> Write:
        """A whole register."""
        return Write(self.map.registers.address(name), (value,))

    def register_read(self, name: str) -> Read:
        """A whole register."""
        return Read(self.map.registers.address(name), 1)

    def settings(
        self,
        beta: float,
        free_sweeps: int,
        nudged_sweeps: int,
        gradients: bool = True,
        pulses: bool = False,
        early_stop: bool = False,
    ) -> Iterator[Write]:
        """Sweeps, the nudge of both signs, whether contrasts are worked out or devices pulsed, and where phases end."""
        name = self.mapping.network.cost.layer
        codes = codes_of_layer(self.mapping, name)
        assert codes is not None
        yield self.register("sweeps", free_sweeps | nudged_sweeps << 16)
        options = {"gradients": int(gradients), "pulses": int(pulses), "early_stop": int(early_stop)}
        yield self.register("options", self.fields("options", options))
        for sign, strength in (("plus", beta), ("minus", -beta)):
            nudge = SquaredErrorNudge.build(
                strength, self.mapping.network.layers[name].stiffness, round(1.0 / codes.step)
            )
            fields = {"multiplier": nudge.divide.multiplier, "shift": nudge.divide.shift}
            yield self.register(f"nudge_{sign}_push", nudge.push & (1 << self.config.push_bits) - 1)
            yield self.register(f"nudge_{sign}_divide", self.fields(f"nudge_{sign}_divide", fields))
        yield self.register("interrupt_enable", (1 << len(EVENTS)) - 1)

    def trains(self, trains: RegisterTrains, gains: dict[str, float]) -> Iterator[Write]:
        """How lines pulse from now on; ``gains``: by matrix, wanted pulses where the codes of both sides are 1."""
        fields = {"slots": trains.slots, "stride": stride(trains.slots), "fixed": int(trains.fixed), "load": 1}
        yield self.register(
            "train_seeds", self.fields("train_seeds", {"row": trains.rows.seed, "column": trains.columns.seed})
        )
        yield self.register("trains", self.fields("trains", fields))
        for number, (name, row) in enumerate(zip(self.linked.contrast_names, self.linked.contrasts, strict=True)):
            rows, columns = trains.sides(gains[name])
            word = with_trains(self.tables, row, rows.scaling, columns.scaling)
            yield self.rows_write("contrasts", number, [word])

    def fields(self, register: str, values: dict[str, int]) -> int:
        """A register's word from its fields."""
        found = next(one for one in self.map.registers.registers if one.name == register)
        return sum((values.get(f.name, 0) & (1 << f.bits) - 1) << shift for shift, f in found.placed())

    def field_of(self, register: str, field: str, word: int) -> int:
        """One field of a register's word."""
        found = next(one for one in self.map.registers.registers if one.name == register)
        return next(word >> shift & (1 << f.bits) - 1 for shift, f in found.placed() if f.name == field)

    def sample(self, x: dict[str, Codes], label: int) -> Iterator[Write]:
        """Clamped inputs as codes, and the class that nudged phases nudge towards."""
        for name, codes in x.items():
            yield self.states_write(name, codes)
        yield self.register("label", label)

    def command(self, **bits: int) -> Write:
        """Of the register ``control``: start, stop, abort, clear_counters."""
        return self.register("control", self.fields("control", bits))
