"""One sweep as a chart in time: a row for each matrix, a bar for each of its reads."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from mapping.timing import Timing
from reports.figures import BLUE, GREEN, GRID, INK, MAX_BARS, MUTED, ORANGE, PAPER, render, short
from reports.schedule import Bar, StepSpan, sweep

# Inches.
WIDTH = 10.6
ROW = 0.24
CHARACTER = 0.066
LINES = 0.14

BAR, COPIES, UPDATE = 0.62, 0.8, 0.3  # heights, in rows
COLOURS = {"forward": BLUE, "transposed": ORANGE}
UNITS = ((1e-6, 1e9, "ns"), (1e-3, 1e6, "µs"), (1.0, 1e3, "ms"), (float("inf"), 1.0, "s"))


def schedule_figure(timing: Timing) -> Markup:
    """A sweep of the free phase; at most ``MAX_BARS`` matrices, those that are read longest."""
    steps = sweep(timing)
    shown = longest_read(steps)
    names = [name for name in timing.matrices if name in shown]
    row = {name: number for number, name in enumerate(names)}
    total_s = timing.seconds(steps[-1].end)
    scale, unit = next((scale, unit) for least, scale, unit in UNITS if total_s < least)
    clock = timing.seconds(1) * scale
    labels = step_labels(steps)
    above = LINES * max(label.count("\n") + 1 for label in labels)

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        bottom = len(names) + 0.6
        for step, label in zip(steps, labels, strict=True):
            draw_step(axes, step, label, row, clock, bottom)
        axes.set_yticks(range(len(names) + 1), [*(short(name) for name in names), "update"])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(bottom, -0.6)
        axes.set_xlim(0, steps[-1].end * clock)
        axes.set_xlabel(f"time in a sweep ({unit})")
        axes.grid(axis="y", linewidth=0.4)
        figure.legend(handles=legend(steps), loc="outside lower center", ncols=5, frameon=False, fontsize=8)

    return render("schedule-chart", WIDTH, 1.15 + above + ROW * (len(names) + 1), paint)


def longest_read(steps: Sequence[StepSpan]) -> set[str]:
    """The matrices that the sweep reads, at most ``MAX_BARS``."""
    busy: dict[str, int] = {}
    for bar in bars_of(steps):
        busy[bar.matrix] = busy.get(bar.matrix, 0) + bar.clocks
    return set(sorted(busy, key=lambda name: -busy[name])[:MAX_BARS])


def bars_of(steps: Sequence[StepSpan]) -> list[Bar]:
    return [bar for step in steps for span in step.rounds for bar in span.bars]


def step_labels(steps: Sequence[StepSpan]) -> list[str]:
    """The layers of each step in as many lines as its width asks for; its number alone where none would fit."""
    inches = 0.8 * WIDTH / steps[-1].end
    labels = []
    for number, step in enumerate(steps, start=1):
        characters = int((step.end - step.start) * inches / CHARACTER)
        layers = ", ".join(short(layer, max(characters - 1, 3)) for layer in step.layers)
        fits = characters >= 6
        text = f"step {number}: {layers}" if characters >= 14 else f"{number}: {layers}"
        labels.append(textwrap.fill(text, characters, max_lines=3, placeholder=" …") if fits else str(number))
    return labels


def draw_step(axes: Axes, step: StepSpan, label: str, row: dict[str, int], clock: float, bottom: float) -> None:
    for span in step.rounds:
        if span.start > step.start:
            axes.axvline(span.start * clock, color=GRID, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)
        for bar in span.bars:
            if bar.matrix in row:
                draw_bar(axes, bar, row[bar.matrix], clock)
        if span.waits_for_lanes:
            waiting = (span.start + span.array_clocks) * clock
            axes.fill_betweenx(
                [-0.6, bottom - 1.1], waiting, (span.start + span.clocks) * clock, facecolor="none", edgecolor=GRID,
                hatch="////", linewidth=0.0, zorder=1,
            )  # fmt: skip
    axes.barh(
        len(row), (step.end - step.update_start) * clock, UPDATE, step.update_start * clock, color=GREEN, zorder=3
    )
    axes.axvline(step.end * clock, color=MUTED, linewidth=1.0, zorder=2)
    axes.annotate(
        label, ((step.start + step.end) / 2 * clock, 1.0), (0, 3), xycoords=("data", "axes fraction"),
        textcoords="offset points", ha="center", va="bottom", fontsize=8, linespacing=1.1,
    )  # fmt: skip


def draw_bar(axes: Axes, bar: Bar, row: int, clock: float) -> None:
    several = bar.copies > 1
    axes.barh(
        row, bar.clocks * clock, COPIES if several else BAR, bar.start * clock, color=COLOURS[bar.direction],
        alpha=1.0 if several else 0.72, zorder=3,
    )  # fmt: skip
    if several:
        axes.annotate(
            f"×{bar.copies}", (bar.start * clock, row), (4, -0.5), textcoords="offset points", va="center",
            fontsize=7.5, fontweight="bold", color=INK, zorder=5,
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.8},
        )  # fmt: skip


def legend(steps: Sequence[StepSpan]) -> list[Patch]:
    rounds = [span for step in steps for span in step.rounds]
    entries = [
        Patch(facecolor=BLUE, alpha=0.72, label="forward read"),
        Patch(facecolor=ORANGE, alpha=0.72, label="transposed read"),
        Patch(facecolor=GREEN, label="update of layers"),
    ]
    if any(bar.copies > 1 for bar in bars_of(steps)):
        entries.insert(2, Patch(facecolor="none", edgecolor="none", label="×N: copies read side by side"))
    if any(span.waits_for_lanes for span in rounds):
        entries.append(Patch(facecolor="none", edgecolor=GRID, hatch="////", label="codes wait for the lanes"))
    return entries
