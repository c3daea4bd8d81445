"""Figures as SVG: well-formed, in the page's colours, the same twice, and with labels that fit their rules."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

import matplotlib as mpl
import pytest

import eqprop
from eqprop import Dense, Edge, EnergyNetwork, Layer, SquaredError
from reports.figures import VARIABLES, accuracy_over_age, matrix_bars, short
from reports.network_figure import Link, in_order, levels_of, network_figure
from reports.results import read


def test_svg_is_well_formed_and_follows_the_page(result: dict[str, Any]) -> None:
    figures = [
        matrix_bars(["a", "b"], [1, 300], [0.5, 1.0]),
        accuracy_over_age(read([result, {**result, "age_s": 60.0}]), "accuracy1"),
    ]
    for figure in figures:
        assert ElementTree.fromstring(figure).tag.endswith("svg")
        assert "var(--blue)" in figure
        assert not any(colour in figure for colour in VARIABLES)
        assert "<metadata" not in figure


def test_the_readers_matplotlib_settings_neither_show_nor_change() -> None:
    plain = matrix_bars(["a"], [3], [0.5])
    with mpl.rc_context({"font.size": 30, "svg.fonttype": "none", "text.parse_math": True}):
        assert matrix_bars(["a"], [3], [0.5]) == plain
        assert mpl.rcParams["font.size"] == 30


def test_perfect_and_useless_chips_can_be_drawn(result: dict[str, Any]) -> None:
    for share in (0.0, 1.0):
        same = {**result, "accuracy": share, "accuracy_per_chip": [share, share], "accuracy_ideal": share}
        assert "<svg" in accuracy_over_age(read([same]), "accuracy1")


@pytest.mark.parametrize(
    ("name", "label"),
    [("h1", "h1"), ("x" * 22, "x" * 22), ("begin" + "x" * 40 + "end", "beginxxxxxx…xxxxxxxend"), ("a\n\0b", "a··b")],
)
def test_labels_keep_both_ends_of_a_name(name: str, label: str) -> None:
    assert short(name) == label
    assert len(short(name)) <= 22


def test_arcs_of_one_height_share_no_ground() -> None:
    arcs = [Link(f"{a}{b}", a, b, "") for a in range(6) for b in range(a + 2, 6)]
    levels = levels_of(arcs)
    for one in arcs:
        for other in arcs:
            if one is not other and levels[one.name] == levels[other.name]:
                assert one.span[1] <= other.span[0] or other.span[1] <= one.span[0]


def test_layers_are_ordered_along_the_couplings() -> None:
    network = eqprop.models.build("hopfield-resnet13", width=0.02)
    network.free = tuple(sorted(network.free, reverse=True))
    assert in_order(network) == ["input", *(f"h{k}" for k in range(1, 9)), "output"]


def test_a_ring_of_layers_can_be_drawn() -> None:
    sizes = {"x": 2, "a": 3, "b": 4, "c": 5}
    pairs = [("x", "a"), ("a", "b"), ("b", "c"), ("c", "a"), ("a", "b")]
    edges = [Edge(f"e{number}", pre, post) for number, (pre, post) in enumerate(pairs)]
    couplings = {edge.name: Dense((sizes[edge.pre],), (sizes[edge.post],)) for edge in edges}
    layers = {name: Layer((size,)) for name, size in sizes.items()}
    network = EnergyNetwork(layers, ["x"], edges, couplings, SquaredError("c"))
    assert in_order(network) == ["x", "a", "b", "c"]
    assert "<svg" in network_figure(network, {edge.name: "dense" for edge in edges})
