"""The network as a drawn graph: layers from input to output, couplings to the next layer straight, skips as arcs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import networkx as nx
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path

from eqprop import CrossEntropy, EnergyNetwork
from reports.figures import BLUE, GREEN, INK, MUTED, PAPER, render, short
from reports.quantities import shape

# Inches.
BOX_WIDTH = 0.46
BOX_HEIGHT = 1.5
PITCH_LEAST, PITCH_MOST = 1.0, 1.7
PAGE_WIDTH = 10.8
ARC_STEP = 0.34
MARGIN = 0.15


@dataclass(frozen=True)
class Link:
    """A coupling in the drawing: box numbers it joins (pre, post), its name and a word about its kind."""

    name: str
    pre: int
    post: int
    label: str

    @property
    def span(self) -> tuple[int, int]:
        return min(self.pre, self.post), max(self.pre, self.post)


def in_order(network: EnergyNetwork) -> list[str]:
    """Layers from input to output: along the couplings, and as the network lists them where those leave it open."""
    position = {name: number for number, name in enumerate((*network.inputs, *network.free))}
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(position)
    graph.add_edges_from((edge.pre, edge.post) for edge in network.edges)
    if not nx.is_directed_acyclic_graph(graph):
        return list(position)
    return list(nx.lexicographical_topological_sort(graph, key=lambda name: position[name]))


def levels_of(arcs: list[Link]) -> dict[str, int]:
    """A height for each arc, short ones lowest, so that arcs of one height share no ground."""
    taken: list[list[tuple[int, int]]] = []
    levels = {}
    for arc in sorted(arcs, key=lambda arc: (arc.span[1] - arc.span[0], arc.span)):
        first, last = arc.span
        level = next((k for k, spans in enumerate(taken) if all(last <= a or b <= first for a, b in spans)), len(taken))
        if level == len(taken):
            taken.append([])
        taken[level].append(arc.span)
        levels[arc.name] = level
    return levels


def network_figure(network: EnergyNetwork, kinds: dict[str, str]) -> Markup:
    """Boxes with name and shape, and every coupling with its word from ``kinds`` (by coupling name)."""
    names = in_order(network)
    number = {name: k for k, name in enumerate(names)}
    links = [Link(edge.name, number[edge.pre], number[edge.post], kinds[edge.name]) for edge in network.edges]
    boxes = [(name, shape(network.layers[name].shape), colour_of(network, name)) for name in names]
    if isinstance(network.cost, CrossEntropy):
        readout = network.cost.readout
        links.append(Link(readout, number[network.cost.layer], len(boxes), kinds[readout]))
        boxes.append(("softmax", f"{network.coupling(readout).post_shape[0]} classes", MUTED))
    straight: dict[tuple[int, int], Link] = {}
    for link in links:
        if link.post == link.pre + 1:
            straight.setdefault(link.span, link)
    arcs = [link for link in links if straight.get(link.span) is not link]
    levels = levels_of(arcs)
    pitch = min(max((PAGE_WIDTH - BOX_WIDTH - 2 * MARGIN) / max(len(boxes) - 1, 1), PITCH_LEAST), PITCH_MOST)
    width = pitch * (len(boxes) - 1) + BOX_WIDTH + 2 * MARGIN
    top = BOX_HEIGHT / 2 + ARC_STEP * (max(levels.values(), default=-1) + 1) + (0.28 if arcs else 0.0)
    height = top + BOX_HEIGHT / 2 + 2 * MARGIN

    def paint(figure: Figure) -> None:
        figure.set_layout_engine("none")
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_axis_off()
        axes.set_xlim(-BOX_WIDTH / 2 - MARGIN, width - BOX_WIDTH / 2 - MARGIN)
        axes.set_ylim(-BOX_HEIGHT / 2 - MARGIN, height - BOX_HEIGHT / 2 - MARGIN)
        for link in straight.values():
            draw_straight(axes, link, pitch)
        for link in arcs:
            draw_arc(axes, link, pitch, levels[link.name])
        for column, (name, sizes, colour) in enumerate(boxes):
            draw_box(axes, column * pitch, name, sizes, colour)

    return render("network", width, height, paint)


def colour_of(network: EnergyNetwork, name: str) -> str:
    return GREEN if name in network.inputs else BLUE


def draw_box(axes: Axes, x: float, name: str, sizes: str, colour: str) -> None:
    corner = (x - BOX_WIDTH / 2, -BOX_HEIGHT / 2)
    axes.add_patch(
        FancyBboxPatch(
            corner, BOX_WIDTH, BOX_HEIGHT, boxstyle="round,pad=0,rounding_size=0.06", facecolor=PAPER,
            edgecolor=colour, linewidth=1.4, zorder=3,
        )
    )  # fmt: skip
    axes.text(x - 0.09, 0, short(name, 17), rotation=90, ha="center", va="center", fontweight="bold", zorder=4)
    axes.text(x + 0.1, 0, short(sizes, 20), rotation=90, ha="center", va="center", fontsize=7.5, zorder=4)


def draw_straight(axes: Axes, link: Link, pitch: float) -> None:
    start, end = link.pre * pitch + BOX_WIDTH / 2, link.post * pitch - BOX_WIDTH / 2
    axes.annotate("", (end, 0), (start, 0), arrowprops={"arrowstyle": "-|>", "color": INK, "shrinkA": 0, "shrinkB": 0})
    axes.text((start + end) / 2, 0.08, link.label, ha="center", va="bottom", fontsize=6.8, linespacing=1.15)


def draw_arc(axes: Axes, link: Link, pitch: float, level: int) -> None:
    # Leave on the right of a box's top and arrive on its left, so that two arcs never share a point.
    side = math.copysign(0.13, link.post - link.pre)
    start, end = link.pre * pitch + side, link.post * pitch - side
    foot, rise = BOX_HEIGHT / 2, ARC_STEP * (level + 1)
    control = foot + rise * 4 / 3  # a cubic reaches 3/4 of its control points' height
    path = Path(
        [(start, foot), (start, control), (end, control), (end, foot)],
        [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4],
    )
    axes.add_patch(PathPatch(path, facecolor="none", edgecolor=INK, linewidth=1.0, zorder=2))
    axes.annotate(
        "", (end, foot), (end, foot + 0.03),
        arrowprops={"arrowstyle": "-|>", "color": INK, "shrinkA": 0, "shrinkB": 0},
    )  # fmt: skip
    axes.text(
        (start + end) / 2, foot + rise, link.label.replace("\n", ", "), ha="center", va="center", fontsize=7,
        bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.2}, zorder=5,
    )  # fmt: skip
