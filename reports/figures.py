"""Figures as inline SVG that follows the page's colours: bars, histograms, accuracies."""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from mapping.device import Device
from reports.conductances import MICROSIEMENS, Distribution
from reports.quantities import age, large
from reports.results import Result

# Okabe and Ito's palette, told apart with every common colour vision. Each colour stands for a variable of the
# page's style sheet, so that a figure is legible on light and on dark paper.
BLUE, ORANGE, GREEN = "#0072b2", "#d55e00", "#009e73"
INK, MUTED, GRID, PAPER = "#010203", "#6b7280", "#d1d5db", "#fefefd"
VARIABLES = {
    BLUE: "var(--blue)",
    ORANGE: "var(--orange)",
    GREEN: "var(--green)",
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    PAPER: "var(--paper)",
}

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same glyphs on every machine
    "font.size": 8.5,
    "axes.titlesize": 8.5,
    "svg.fonttype": "path",
    "text.parse_math": False,  # a name may hold dollar signs
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}

MAX_BARS = 40
MAX_PANELS = 12
LONGEST_LABEL = 22


def render(name: str, width: float, height: float, paint: Callable[[Figure], None]) -> Markup:
    """Run ``paint`` on an empty figure of ``width`` x ``height`` inches and return it as inline SVG.

    ``name`` makes the figure's ids its own within the page. Same drawing, same bytes.
    """
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a name in a script the font lacks: boxes will do
        mpl.rcdefaults()  # whatever the reader's own matplotlibrc says
        mpl.rcParams.update(STYLE)
        mpl.rcParams["svg.hashsalt"] = name
        figure = Figure(figsize=(width, height), layout="constrained")
        paint(figure)
        buffer = io.StringIO()
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(buffer, format="svg", metadata=nothing, facecolor="none")
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, variable)
    return Markup(svg)  # matplotlib has escaped the texts; they are outlines here anyway


def short(name: str, longest: int = LONGEST_LABEL) -> str:
    """A label that fits: long names lose their middle, unprintable characters show as dots."""
    printable = "".join(character if character.isprintable() else "·" for character in name)
    if len(printable) <= longest:
        return printable
    half = (longest - 1) // 2
    return f"{printable[: longest - 1 - half]}…{printable[-half:]}"


def largest_only(entries: list[Any], most: int, size: Callable[[Any], float]) -> list[Any]:
    """The ``most`` largest entries, in their own order."""
    if len(entries) <= most:
        return entries
    keep = {id(entry) for entry in sorted(entries, key=size, reverse=True)[:most]}
    return [entry for entry in entries if id(entry) in keep]


def matrix_bars(names: Sequence[str], crossbars: Sequence[int], utilization: Sequence[float]) -> Markup:
    """Crossbars of each matrix, and the share of their devices that hold a weight."""

    def paint(figure: Figure) -> None:
        left, right = figure.subplots(1, 2, sharey=True)
        rows = range(len(names))
        panels = (
            (left, [float(count) for count in crossbars], BLUE, "crossbars", "{:,.0f}"),
            (right, [100 * share for share in utilization], GREEN, "devices that hold a weight (%)", "{:.1f}%"),
        )
        for axes, values, colour, label, wording in panels:
            axes.barh(rows, values, color=colour, height=0.62)
            for row, value in enumerate(values):
                axes.annotate(
                    wording.format(value), (value, row), (4, 0), textcoords="offset points", va="center", fontsize=8
                )
            axes.set_xlabel(label)
            axes.grid(axis="x")
            axes.tick_params(axis="y", length=0)
        left.set_xlim(0, 1.18 * max(crossbars))
        left.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        right.set_xlim(0, 118)
        right.set_xticks(range(0, 101, 25))
        left.set_yticks(rows, [short(name) for name in names])
        left.set_ylim(len(names) - 0.4, -0.6)

    return render("bars", 10.0, 0.85 + 0.24 * len(names), paint)


def conductance_histograms(shown: Sequence[Distribution], device: Device) -> Markup:
    """Small multiples of at most ``MAX_PANELS`` distributions, on common axes."""
    columns = min(len(shown), 4)
    rows = math.ceil(len(shown) / columns)
    marks = {
        "g_min": device.g_min_siemens * MICROSIEMENS,
        "g_max": device.g_max_siemens * MICROSIEMENS,
    }

    def paint(figure: Figure) -> None:
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        tallest = max(max(entry.counts) for entry in shown)
        low, high = min(entry.low for entry in shown), max(entry.high for entry in shown)
        margin = 0.05 * (high - low)
        for number, axes in enumerate(grid.flat):
            if number >= len(shown):
                axes.set_visible(False)
                continue
            entry = shown[number]
            histogram_panel(axes, entry, marks, tallest)
            if number + columns >= len(shown):  # nothing below shows the axis
                axes.tick_params(axis="x", labelbottom=True)
        grid[0][0].set_xlim(low - margin, high + margin)
        grid[0][0].set_ylim(0.7, 60 * tallest)
        figure.supxlabel("programmed conductance (µS)", fontsize=8.5)
        figure.supylabel("devices", fontsize=8.5)

    return render("conductances", max(2.55 * columns, 4.2), 0.5 + 1.6 * rows, paint)


def histogram_panel(axes: Axes, entry: Distribution, marks: dict[str, float], tallest: int) -> None:
    width = (entry.high - entry.low) / len(entry.counts)
    edges = [entry.low + width * number for number in range(len(entry.counts) + 1)]
    axes.set_yscale("log")
    axes.stairs([max(count, 0.1) for count in entry.counts], edges, baseline=0.1, fill=True, color=BLUE)
    for (label, position), side in zip(marks.items(), ("left", "right"), strict=True):
        axes.axvline(position, color=ORANGE, linewidth=0.9, linestyle=(0, (3, 2)))
        shift = 3 if side == "left" else -3
        axes.annotate(
            label, (position, 45 * tallest), (shift, 0), textcoords="offset points", ha=side, va="top",
            color=ORANGE, fontsize=7,
        )  # fmt: skip
    axes.yaxis.set_major_locator(LogLocator(numticks=5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: large(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="y", which="minor", length=0)
    axes.grid(axis="y")
    axes.set_title(short(entry.name), loc="left")


def accuracy_over_age(results: Sequence[Result], name: str) -> Markup:
    """Chips as dots, their mean as a line, the ideal network as a dashed line; a column for each run, by age.

    ``name`` tells this figure's ids from those of another group's.
    """
    runs = sorted(results, key=lambda result: (result.age_s, result.seed, result.chips))
    ages = [run.age_s for run in runs]
    seeds_differ = len({run.seed for run in runs}) > 1 or len(set(ages)) < len(ages)
    labels = [age(run.age_s) + (f"\nseed {run.seed}" if seeds_differ else "") for run in runs]

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for column, run in enumerate(runs):
            spread = [column + (0.0 if run.chips == 1 else 0.3 * (k / (run.chips - 1) - 0.5)) for k in range(run.chips)]
            axes.plot(
                spread, [100 * share for share in run.per_chip], "o", color=BLUE, markersize=5, alpha=0.75,
                markeredgewidth=0, zorder=3,
            )  # fmt: skip
            mean = 100 * run.accuracy
            axes.plot([column - 0.24, column + 0.24], [mean, mean], color=BLUE, linewidth=1.8, zorder=4)
            axes.annotate(
                f"{mean:.2f}%", (column + 0.24, mean), (4, 0), textcoords="offset points", va="center", fontsize=8,
                color=INK, bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.0}, zorder=5,
            )  # fmt: skip
        for ideal in sorted({run.ideal for run in runs}):
            axes.axhline(100 * ideal, color=ORANGE, linewidth=1.2, linestyle=(0, (5, 3)), zorder=2)
            axes.annotate(
                f"ideal {100 * ideal:.2f}%", (1.0, 100 * ideal), (5, 0), xycoords=("axes fraction", "data"),
                textcoords="offset points", va="center", color=ORANGE, fontsize=8,
            )  # fmt: skip
        seen = [100 * share for run in runs for share in (*run.per_chip, run.ideal)]
        margin = max(0.12 * (max(seen) - min(seen)), 0.5)
        axes.set_ylim(min(seen) - margin, max(seen) + margin)
        axes.set_xlim(-0.6, len(runs) - 0.1)
        axes.set_xticks(range(len(runs)), labels)
        axes.tick_params(axis="x", length=0)
        axes.set_ylabel("accuracy (%)")
        axes.set_xlabel("age since the device's reference time")
        axes.grid(axis="y")

    return render(name, max(2.4 + 1.05 * len(runs), 4.6), 3.0, paint)
