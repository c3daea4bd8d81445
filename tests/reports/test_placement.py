"""The picture of the mesh against sites counted by hand: all crossbars inside, labels apart, colours told apart."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mapping
from mapping.mesh import Site
from reports.placement_figure import (
    WIDTH,
    Box,
    Sheet,
    label_boxes,
    mostly_held,
    placement_figure,
    placement_words,
    runs,
    shades,
)


def test_a_crossbar_is_named_after_the_coupling_with_most_devices(copied: mapping.Mapping) -> None:
    counts: list[Counter[str]] = [Counter() for _ in range(copied.crossbars)]
    for matrix in copied.matrices.values():
        for tile in matrix.tiles:
            for _row in range(*tile.rows):
                counts[tile.crossbar][matrix.coupling] += tile.columns[1] - tile.columns[0]
    held = mostly_held(copied)
    assert len(held) == copied.crossbars
    for name, count in zip(held, counts, strict=True):
        assert count[name] == max(count.values())
    assert len(set(held)) > 1


def test_the_figure_holds_a_colour_for_every_coupling_it_shows(copied: mapping.Mapping) -> None:
    assert copied.placement is not None
    drawing = placement_figure(copied, copied.placement, (3, 4))
    assert ElementTree.fromstring(drawing).tag.endswith("svg")
    shown = set(mostly_held(copied))
    for colour in shades(len(shown)):
        assert colour in drawing
    assert "var(--paper)" in drawing
    assert drawing == placement_figure(copied, copied.placement, (3, 4))
    assert placement_words(copied.placement, (3, 4)) == f"{copied.crossbars} crossbars on 2 chips of 3 × 4 sites"


@given(rows=st.integers(1, 40), columns=st.integers(1, 200), chips=st.integers(1, 13))
def test_chips_stand_inside_the_sheet_and_apart(rows: int, columns: int, chips: int) -> None:
    sheet = Sheet((rows, columns), chips)
    (height, width), gap = sheet.chip, 1e-6
    boxes = [(*sheet.corner(chip), width, height) for chip in range(chips)]
    for x, y, _, _ in boxes:
        assert x >= 0
        assert y >= 0
        assert x + width <= WIDTH + gap
        assert y + height <= sheet.height + gap
    for one, other in combinations(boxes, 2):
        assert abs(one[0] - other[0]) >= width - gap or abs(one[1] - other[1]) >= height - gap


@given(st.sets(st.tuples(st.integers(0, 1), st.integers(0, 4), st.integers(0, 5))), st.booleans())
def test_runs_cover_every_site_once(places: set[tuple[int, int, int]], joined: bool) -> None:
    found = list(runs([Site(*place) for place in places], joined))
    covered = [(site.chip, site.row, site.column + k) for site, length in found for k in range(length)]
    assert sorted(covered) == sorted(places)
    if not joined:
        assert all(length == 1 for _, length in found)


@pytest.mark.parametrize(("mesh", "chips"), [((4, 6), 1), ((8, 8), 2), ((32, 32), 2)])
def test_labels_of_neighbouring_hubs_do_not_meet(mesh: tuple[int, int], chips: int) -> None:
    sheet = Sheet(mesh, chips)
    sites = [Site(0, row, column) for row in range(4) for column in range(4)]
    labels = {site: f"h{number}, output" for number, site in enumerate(sites)}
    boxes = label_boxes(sheet, labels)
    assert set(boxes) == set(sites)
    assert not any(one.meets(other) for one, other in combinations(boxes.values(), 2))
    titles = [Box(x + 0.2, y - 0.14, 0.3, 0.1) for x, y in map(sheet.corner, range(chips))]
    for box in boxes.values():
        assert not any(box.meets(title) for title in titles)
        assert box.x - box.width / 2 >= 0
        assert box.x + box.width / 2 <= WIDTH
