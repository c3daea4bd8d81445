"""Joules of each scenario as stacked shares, and their totals on a logarithmic axis."""

from __future__ import annotations

import math

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from reports.costs import CostRun, Priced
from reports.figures import BLUE, GREEN, INK, MUTED, ORANGE, PAPER, render, short
from reports.quantities import si

LIGHT_INK = "#1a1f26"  # on colours that are light on any paper
# A hue for each of: arrays, converters, digital logic, writing. In the order of the stack.
COMPONENTS = {
    "devices": (BLUE, "devices read"),
    "lines": ("#7cc0e8", "lines charged"),
    "dac": ("#f0b429", "DACs"),
    "sense": ("#f7d98b", "sense amplifiers"),
    "adc": (ORANGE, "ADCs"),
    "arithmetic": (GREEN, "arithmetic"),
    "memory": ("#6fcfb0", "state memory"),
    "controller": ("#b5e3d3", "controller"),
    "pulses": ("#cc79a7", "pulses"),
    "verification": ("#e6bcd3", "verification"),
    "leakage": ("#a3a9b2", "leakage"),
}
DARK = {BLUE, ORANGE, GREEN}
LEAST_LABELLED = 0.07  # of a bar
LEAST_NAMED = 0.0005  # 0.05%, what the table's rounding still shows


def words(component: str) -> str:
    """A component's name for readers."""
    return COMPONENTS[component][1] if component in COMPONENTS else component


def costs_figure(run: CostRun, name: str) -> Markup:
    """A bar for each work of each scenario; ``name`` tells this figure's ids from those of another run's."""
    columns = run.columns
    rows, position, labels = [], 0.0, []
    for number, (scenario, work, _) in enumerate(columns):
        position += 1.0 if number == 0 or columns[number - 1][1] == work else 1.5
        rows.append(position)
        labels.append(f"{work}, {short(scenario)}")
    known = [*COMPONENTS, *(part for part in run.components if part not in COMPONENTS)]
    shown = [part for part in known if any(share(priced, part) >= LEAST_NAMED for _, _, priced in columns)]

    def paint(figure: Figure) -> None:
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1])
        for row, (_, _, priced) in zip(rows, columns, strict=True):
            stack(left, row, priced, shown)
        left.set_yticks(rows, labels)
        left.set_ylim(rows[-1] + 0.6, rows[0] - 0.6)
        left.set_xlim(0, 100)
        left.set_xlabel("share of the energy of one sample (%)")
        left.tick_params(axis="y", length=0)
        totals(right, rows, [priced.energy_j for _, _, priced in columns])
        handles = [Patch(facecolor=colour(part), label=words(part)) for part in shown]
        figure.legend(handles=handles, loc="outside lower center", ncols=6, frameon=False, fontsize=8)

    return render(name, 10.4, 1.35 + 0.33 * (rows[-1] - rows[0] + 1), paint)


def share(priced: Priced, component: str) -> float:
    return priced.components.get(component, 0.0) / priced.energy_j if priced.energy_j else 0.0


def colour(component: str) -> str:
    return COMPONENTS[component][0] if component in COMPONENTS else MUTED


def stack(axes: Axes, row: float, priced: Priced, shown: list[str]) -> None:
    start = 0.0
    for part in shown:
        width = share(priced, part)
        axes.barh(row, 100 * width, 0.68, 100 * start, color=colour(part), edgecolor=PAPER, linewidth=0.6)
        if width >= LEAST_LABELLED:
            axes.annotate(
                f"{width:.0%}", (100 * (start + width / 2), row), ha="center", va="center", fontsize=7.5,
                color=PAPER if colour(part) in DARK else LIGHT_INK,
            )  # fmt: skip
        start += width


def totals(axes: Axes, rows: list[float], joules: list[float]) -> None:
    axes.set_xlabel("energy of one sample")
    axes.tick_params(axis="y", length=0)
    priced = [(row, value) for row, value in zip(rows, joules, strict=True) if value > 0.0]
    if not priced:
        axes.set_xticks([])
        return
    lowest, highest = (10.0 ** math.floor(math.log10(min(v for _, v in priced))), max(v for _, v in priced))
    axes.set_xscale("log")
    axes.set_xlim(lowest / 2, highest * 40)  # room for the largest one's label
    axes.xaxis.set_major_locator(LogLocator(numticks=5))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: si(value, "J", 3)))
    axes.grid(axis="x")
    for row, value in priced:
        axes.plot([value], [row], "o", color=INK, markersize=5)
        axes.annotate(
            si(value, "J", 3), (value, row), (7, 0), textcoords="offset points", va="center", fontsize=8,
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.8},
        )  # fmt: skip
