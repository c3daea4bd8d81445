"""Recorded comparisons of EP gradients, checked, and their cosines as lines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from mapping.target import Target
from reports.figures import BLUE, MUTED, ORANGE, render
from reports.record import Record

ALL = "all"  # every weight as one gradient
SWEPT = {
    "beta": "nudging strength β",
    "adc_bits": "ADC bits",
    "dac_bits": "DAC bits",
    "average": "conversions averaged a read",
}
LOGARITHMIC = {"beta", "average"}
ROUNDING = 1e-6  # by which the cosine of equal gradients may miss 1
TO_IDEAL, TO_OWN = "against the ideal network", "against the chip's own weights"


@dataclass(frozen=True)
class Compared:
    """A chip's gradient beside a true one, means over chips; None where a gradient was zero.

    Attributes:
        cosine, norm_ratio: to the ideal network's gradient.
        cosine_own, norm_ratio_own: to that of an ideal network with the chip's own weights.
    """

    cosine: float | None
    norm_ratio: float | None
    cosine_own: float | None
    norm_ratio_own: float | None


@dataclass(frozen=True)
class GradientRun:
    """One run of ``hwmap simulate --phase nudged``.

    Attributes:
        all: of every weight as one gradient; ``by_coupling`` of each coupling.
        against: the same for other values of what ``SWEPT`` names, rising; all else as in the target and ``beta``.
        nudges: the phases in their order, as ``+-``.
        seconds: wall time.
    """

    all: Compared
    by_coupling: dict[str, Compared]
    against: dict[str, dict[float, Compared]]
    beta: float
    beta_reason: str
    samples: int
    chips: int
    age_s: float
    seed: int
    data: str
    target: str
    nudges: str
    seconds: float

    @property
    def beta_words(self) -> str:
        """Why beta is what it is; a reason of its own accord begins with ``beta 0.1:``."""
        return self.beta_reason.removeprefix(f"beta {self.beta:.3g}: ")


def read_gradients(records: Mapping[str, Mapping[str, Any]]) -> list[GradientRun]:
    """Check what was recorded, by file; in an order that does not depend on the files' names.

    Raises:
        InputError: naming the file, the field, the value found and what was expected.
    """
    runs = [read_run(Record(record, where)) for where, record in records.items()]
    return sorted(runs, key=lambda run: (run.data, run.age_s, run.beta, run.seed, run.samples, run.chips, run.seconds))


def read_run(record: Record) -> GradientRun:
    couplings = {name: compared(row) for name, row in record.inners("fidelity").items()}
    if ALL not in couplings:
        raise record.inner("fidelity").refusal(ALL, "a table")
    swept = record.inner("against")
    return GradientRun(
        all=couplings.pop(ALL),
        by_coupling=couplings,
        against={what: variants(swept, what) for what in SWEPT if what in swept.table},
        beta=record.positive("beta"),
        beta_reason=record.text("beta_reason"),
        samples=record.whole("samples", least=1),
        chips=record.whole("chips", least=1),
        age_s=record.at_least("age_s"),
        seed=record.whole("seed"),
        data=record.text("data"),
        target=record.text("target"),
        nudges=record.text("nudges"),
        seconds=record.at_least("seconds"),
    )


def compared(record: Record) -> Compared:
    most = 1.0 + ROUNDING
    return Compared(
        record.within("cosine", -most, most),
        record.within("norm_ratio", 0.0, math.inf),
        record.within("cosine_own_weights", -most, most),
        record.within("norm_ratio_own_weights", 0.0, math.inf),
    )


def variants(swept: Record, what: str) -> dict[float, Compared]:
    """By value, rising; the values are names of fields, as JSON has no other."""
    found = {}
    for name, row in swept.inners(what).items():
        try:
            value = float(name)
        except ValueError:
            value = math.nan
        if not 0.0 < value < math.inf:
            raise swept.inner(what).refusal(name, "names that are numbers > 0")
        found[value] = compared(row)
    return dict(sorted(found.items()))


def gradients_figure(run: GradientRun, target: Target, name: str) -> Markup:
    """Cosines of all weights as one gradient, a panel for each thing that was varied.

    ``name`` tells this figure's ids from those of another run's. Dotted: what the target, or the run, has itself.
    """
    panels = [(what, found) for what, found in run.against.items() if found]
    usual = {
        "beta": run.beta,
        "adc_bits": target.adc.bits,
        "dac_bits": target.dac.bits,
        "average": target.read.average,
    }
    seen = [*cosines(run.against)]
    low = min([0.0, *seen])

    def paint(figure: Figure) -> None:
        row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (what, found) in zip(row, panels, strict=True):
            panel(axes, what, found, usual[what])
        row[0].set_ylim(low - 0.05 if low < 0.0 else -0.03, 1.05)
        row[0].set_ylabel("cosine")
        handles, _ = row[0].get_legend_handles_labels()
        figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=8)

    return render(name, 0.6 + 2.5 * len(panels), 2.9, paint) if panels else Markup()


def cosines(against: Mapping[str, Mapping[float, Compared]]) -> Iterable[float]:
    for found in against.values():
        for row in found.values():
            yield from (value for value in (row.cosine, row.cosine_own) if value is not None)


def panel(axes: Axes, what: str, found: Mapping[float, Compared], usual: float | None) -> None:
    values = list(found)
    ends = [min(values), max(values)] if usual is None else [min(*values, usual), max(*values, usual)]
    if what in LOGARITHMIC:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlim(ends[0] / 1.5, ends[1] * 1.5)
    else:
        axes.set_xlim(ends[0] - 1.0, ends[1] + 1.0)
    if usual is not None:
        axes.axvline(usual, color=MUTED, linewidth=1.0, linestyle=(0, (1, 2)), label="as simulated", zorder=1)
    axes.axhline(0.0, color=MUTED, linewidth=0.8, zorder=1)
    for label, colour, marker, heights in (
        (TO_OWN, BLUE, "o", [row.cosine_own for row in found.values()]),
        (TO_IDEAL, ORANGE, "s", [row.cosine for row in found.values()]),
    ):
        shown = [math.nan if height is None else height for height in heights]
        axes.plot(values, shown, color=colour, marker=marker, markersize=4, linewidth=1.6, label=label, zorder=3)
    axes.set_xticks(values)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel(SWEPT[what])
    axes.grid(axis="y")
