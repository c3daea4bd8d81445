"""Gradients as the controller gives them, beat by beat, put together to matrices."""

from __future__ import annotations

import numpy as np

from hw.config import ControllerConfig
from hw.link import Linked
from hw.tables import address
from mapping import Mapping
from tb.arrays import Codes
from tb.traffic import fields


def gradients_of(words: np.ndarray, mapping: Mapping, linked: Linked, config: ControllerConfig) -> dict[str, Codes]:
    """By matrix [rows, columns], from beats [beats, 32-bit words] of the stream ``gradient``.

    Raises:
        AssertionError: for a weight given twice, or never, or a device that no first copy of a matrix has.
    """
    head = [address(config.contrast_rows), address(config.crossbars), config.line_bits, config.line_bits]
    widths = [*head, config.line_bits, config.lanes, *[config.gradient_bits] * config.lanes]
    found: dict[str, Codes] = {}
    given: dict[str, Codes] = {}
    for name in linked.contrast_names:
        shape = (mapping.matrices[name].lowering.rows, mapping.matrices[name].lowering.columns)
        found[name], given[name] = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for matrix, crossbar, row, column, stride, mask, *values in fields(words, widths, set(range(6))):
        name = linked.contrast_names[int(matrix)]
        for lane, value in enumerate(values):
            if mask >> lane & 1:
                line = int(column + lane * stride) % (1 << config.line_bits)
                place = weight_at(mapping, name, int(crossbar), int(row), line)
                found[name][place] = value
                given[name][place] += 1
    assert all((counts == 1).all() for counts in given.values()), "a weight's gradient twice or never"
    return found


def weight_at(mapping: Mapping, name: str, crossbar: int, row: int, column: int) -> tuple[int, int]:
    """Of a matrix's first copy, the weight on these lines of a crossbar."""
    per_weight = mapping.encoding(name).devices_per_weight
    for tile in mapping.matrices[name].replicas[0].tiles:
        down, across = row - tile.at[0], column - tile.at[1] // per_weight
        inside = 0 <= down < tile.rows[1] - tile.rows[0] and 0 <= across < tile.columns[1] - tile.columns[0]
        if tile.crossbar == crossbar and inside:
            return tile.rows[0] + down, tile.columns[0] + across
    raise AssertionError(f"{name} has no weight in row {row}, column {column} of crossbar {crossbar}")
