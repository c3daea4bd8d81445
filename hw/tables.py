"""Rows of the controller's tables: what the program's operands point to, packed into words of their memories.

A table's row is a structure of fields, the first at bit 0. Numbers that may be negative are two's complement.

    reads     one for each matrix, direction and copy: what drives, what is sensed, where the sums go
    drive     beats that load the DACs of one position, drive_lanes lines each
    sense     beats that fetch the ADC codes of one position, lanes lines each
    tiles     crossbar, and line of its first row and column, of each tile
    layers    of the free layers: states and their copies, biases, the neuron's rule
    sources   which sums a layer's drive is made of, and how they become codes of its states
    contrasts one for each matrix that learns from states: where those of both sides are, and its lines
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from amaranth import Shape, signed
from amaranth.lib import data

from hw.config import FACTOR_BITS, ControllerConfig
from mapping.arithmetic.scaling import LARGEST_SHIFT


class Tables:
    """Layouts of all rows for one configuration."""

    def __init__(self, config: ControllerConfig) -> None:
        self.config = config

    @cached_property
    def rule(self) -> dict[str, Shape]:
        """Multiplier and shift of a scaling; the multiplier is signed."""
        return {"multiplier": signed(FACTOR_BITS + 1), "shift": Shape.cast(range(LARGEST_SHIFT + 1))}

    @cached_property
    def reads(self) -> data.StructLayout:
        """One row for each matrix, direction and copy; filled by ``Linker.read`` of hw/link.py."""
        c = self.config
        return data.StructLayout(
            {
                "transposed": 1,
                "from_sums": 1,
                "feed_first": address(max(c.state_words, c.sum_words)),
                "feed_words": address(c.code_words * (c.drive_lanes // c.lanes) + 1),
                "feed_groups": address(c.feed_groups + 1),
                "feed_signed": 1,
                "bus_multiplier": self.rule["multiplier"],
                "bus_shift": self.rule["shift"],
                "dac_multiplier": self.rule["multiplier"],
                "dac_shift": self.rule["shift"],
                "dac_low": signed(c.code_bits),
                "dac_high": signed(c.code_bits),
                "rows": address(c.image_side + 1),
                "columns": address(c.image_side + 1),
                "conversions": 16,
                "tile_first": address(c.tile_rows),
                "drive": self.walk(address(c.code_words)),
                "drive_first": address(c.drive_beats),
                "drive_count": address(c.drive_beats + 1),
                "sense": self.walk(address(c.sum_words)),
                "sense_first": address(c.sense_beats),
                "sense_count": address(c.sense_beats + 1),
            }
        )

    def walk(self, bits: int) -> data.StructLayout:
        """How a window moves over an image from position to position; addresses modulo 2^bits."""
        side = Shape(address(self.config.image_side + 1) + 2, signed=True)
        return data.StructLayout(
            {
                "height": address(self.config.image_side + 1),
                "width": address(self.config.image_side + 1),
                "top": side,
                "left": side,
                "down": address(self.config.image_side + 1),
                "across": address(self.config.image_side + 1),
                "base": bits,
                "base_across": bits,
                "base_down": bits,
            }
        )

    def beat(self, lanes: int, bits: int) -> data.StructLayout:
        """Lines of one tile that share a place in the window, a lane each."""
        side, line = address(self.config.image_side + 1), self.config.line_bits
        return data.StructLayout(
            {
                "down": side,
                "across": side,
                "offset": bits,
                "mask": lanes,
                "line": line,
                "stride": line,
                "tile": address(self.config.replica_tiles),
                "turn_last": 1,
                "last": 1,
            }
        )

    @cached_property
    def drive(self) -> data.StructLayout:
        """A beat to the DACs."""
        return self.beat(self.config.drive_lanes, address(self.config.code_words))

    @cached_property
    def sense(self) -> data.StructLayout:
        """A beat from the ADCs; its word among a layer's sums is also that of its states."""
        return self.beat(self.config.lanes, address(max(self.config.sum_words, self.config.state_words)))

    @cached_property
    def tiles(self) -> data.StructLayout:
        """Where a tile is."""
        return data.StructLayout(
            {"crossbar": address(self.config.crossbars), "row": self.config.line_bits, "column": self.config.line_bits}
        )

    @cached_property
    def layers(self) -> data.StructLayout:
        """One row for each free layer; filled by ``LayerLinker.row`` of hw/link_layers.py."""
        c = self.config
        state = address(c.state_words)
        constant = address(c.constant_words)
        return data.StructLayout(
            {
                "words": address(c.state_words + 1),
                "groups": address(c.feed_groups + 1),
                "units": 16,
                "state": state,
                "snapshot": state,
                "captured": state,
                "bias": constant,
                "constant": constant,
                "has_constant": 1,
                "signed": 1,
                "multiplier": self.rule["multiplier"],
                "shift": self.rule["shift"],
                "low": signed(c.state_bits + 1),
                "high": signed(c.state_bits + 1),
                "reset": c.state_bits,
                "settled": c.state_bits,
                "inputs_first": address(c.source_rows),
                "inputs": address(c.most_sources + 1),
                "sources_first": address(c.source_rows),
                "sources": address(c.most_sources + 1),
            }
        )

    @cached_property
    def sources(self) -> data.StructLayout:
        """A share of a drive: words of sums, and the scaling to codes of the layer's states."""
        return data.StructLayout({"first": address(self.config.sum_words), **self.rule})

    @cached_property
    def contrasts(self) -> data.StructLayout:
        """Walks over the states of both sides, from a state to its captured copy, and the beats of all tiles.

        For pulses: tiles of a copy and copies, one behind the other in the tiles' table, and the scalings from states
        to shares of a train, which the host works out from the learning rate.
        """
        c = self.config
        state = address(c.state_words)
        return data.StructLayout(
            {
                "rows": address(c.image_side + 1),
                "columns": address(c.image_side + 1),
                "tile_first": address(c.tile_rows),
                "pre": self.walk(state),
                "pre_captured": state,
                "pre_signed": 1,
                "row_first": address(c.sense_beats),
                "row_count": address(c.sense_beats + 1),
                "post": self.walk(state),
                "post_captured": state,
                "post_signed": 1,
                "column_first": address(c.sense_beats),
                "column_count": address(c.sense_beats + 1),
                "tiles": address(c.replica_tiles + 1),
                "copies": address(c.tile_rows + 1),
                "row_rule": data.StructLayout(self.rule),
                "column_rule": data.StructLayout(self.rule),
            }
        )


def address(count: int) -> int:
    """Bits that number ``count`` things, at least 1."""
    return max(1, (count - 1).bit_length())


def packed(layout: data.StructLayout, values: Mapping[str, object]) -> int:
    """A row as a number.

    Raises:
        ValueError: for a value that its field does not hold, or a field too many or too few.
    """
    fields = dict(layout)
    if fields.keys() != values.keys():
        raise ValueError(f"row with fields {sorted(fields.keys() ^ values.keys())} too many or too few")
    word = 0
    for name, field in fields.items():
        value = values[name]
        if isinstance(value, Mapping):
            value = packed(field.shape, value)
        shape = Shape.cast(field.shape)
        low, high = (
            (-(1 << shape.width - 1), (1 << shape.width - 1) - 1) if shape.signed else (0, (1 << shape.width) - 1)
        )
        if not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"{name} {value!r}: expected {low} .. {high}")
        word |= (value & (1 << shape.width) - 1) << field.offset
    return word
