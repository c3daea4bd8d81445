"""Distributions against numpy's histogram of the same conductances gathered by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

import mapping
from reports.conductances import BINS, distributions, histogram


def weight_devices(compiled: mapping.Mapping, name: str) -> np.ndarray[Any, Any]:
    """Microsiemens of the devices a coupling's tiles occupy, read crossbar by crossbar."""
    per_weight = compiled.encoding(name).devices_per_weight
    blocks = []
    for tile in compiled.matrices[name].tiles:
        (r0, r1), (c0, c1), (top, left) = tile.rows, tile.columns, tile.at
        width = (c1 - c0) * per_weight
        blocks.append(compiled.conductances[tile.crossbar, top : top + r1 - r0, left : left + width].numpy().ravel())
    return np.concatenate(blocks).astype(np.float64) * 1e6


def test_distributions_count_exactly_the_devices_that_hold_weights(compiled: mapping.Mapping) -> None:
    found = distributions(compiled)
    assert [entry.name for entry in found] == list(compiled.matrices)
    assert sum(entry.devices for entry in found) == 2 * compiled.weights
    for entry in found:
        expected = weight_devices(compiled, entry.name)
        assert sum(entry.counts) == entry.devices == len(expected)
        counts, _ = np.histogram(np.clip(expected, 1.0, 40.0), BINS, (1.0, 40.0))
        assert np.abs(np.cumsum(counts) - np.cumsum(entry.counts)).max() <= 2  # float32 at a bin's edge
        assert entry.mean == pytest.approx(expected.mean(), rel=1e-5)
        assert entry.share_at_min == pytest.approx((expected < 1.0001).mean())
        assert entry.share_at_min >= 0.5


def test_devices_of_all_copies_count(copied: mapping.Mapping) -> None:
    found = distributions(copied)
    assert sum(entry.devices for entry in found) == copied.devices_used > 2 * copied.weights
    for entry in found:
        expected = weight_devices(copied, entry.name)
        assert sum(entry.counts) == entry.devices == len(expected)
        assert entry.mean == pytest.approx(expected.mean(), rel=1e-5)


def test_conductances_outside_the_window_widen_the_range(compiled: mapping.Mapping) -> None:
    entry = distributions(dataclasses.replace(compiled, conductances=compiled.conductances * 2))[0]
    assert (entry.low, entry.high) == (1.0, pytest.approx(80.0))
    assert sum(entry.counts) == entry.devices


def test_ends_belong_to_the_outer_bins() -> None:
    counts = histogram(torch.tensor([1.0, 1.0, 40.0]), 1.0, 40.0)
    assert (counts[0], counts[-1], sum(counts)) == (2, 1, 3)
