"""Recorded runs of learning on chips, checked, and their accuracies as curves."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reports.figures import BLUE, ORANGE, render
from reports.record import Record

PULSES, VERIFY = "pulses", "verify"


@dataclass(frozen=True)
class ChipRun:
    """What one chip learned.

    Attributes:
        before, after: accuracy as a share.
        curve: steps learned, rising from 0, and the accuracy then; shorter than the run where its loss became infinite.
        pulses, most_pulses: of a device, mean and largest; ``writes`` and ``most_writes`` likewise.
        attempts, failed: writes in all with those that were repeated, and those that were given up.
        saturated: share of lines whose trains of pulses could not be longer; None for a rule without trains.
    """

    before: float
    after: float
    curve: tuple[tuple[int, float], ...]
    pulses: float
    most_pulses: int
    writes: float
    most_writes: int
    attempts: float
    failed: int
    saturated: float | None


@dataclass(frozen=True)
class LearningRun:
    """One run of ``hwmap simulate --learn``.

    Attributes:
        ideal: accuracy of the network that was compiled, before learning, in ideal arithmetic.
        samples: test images that accuracies are of; ``labelled``: training images.
        update: ``pulses`` or ``verify``; ``trains``: of pulses.
        seconds: wall time.
    """

    per_chip: tuple[ChipRun, ...]
    ideal: float
    samples: int
    labelled: int
    age_s: float
    seed: int
    steps: int
    batch: int
    update: str
    trains: str
    rate: float
    beta: float
    data: str
    target: str
    seconds: float

    @property
    def before(self) -> float:
        """Mean over chips."""
        return statistics.mean(chip.before for chip in self.per_chip)

    @property
    def after(self) -> float:
        """Mean over chips."""
        return statistics.mean(chip.after for chip in self.per_chip)

    @property
    def rule(self) -> str:
        """How devices followed, in words."""
        return f"{self.trains} trains of pulses" if self.update == PULSES else "writes with verification"

    @property
    def stopped(self) -> list[tuple[int, int]]:
        """Chips that did not learn to the end, each with the last step whose accuracy there is."""
        last = [(number, chip.curve[-1][0]) for number, chip in enumerate(self.per_chip)]
        return [(number, step) for number, step in last if step < self.steps]


def read_learning(records: Mapping[str, Mapping[str, Any]]) -> list[LearningRun]:
    """Check what was recorded, by file; in an order that does not depend on the files' names.

    Raises:
        InputError: naming the file, the field, the value found and what was expected.
    """
    runs = [read_run(Record(record, where)) for where, record in records.items()]
    return sorted(
        runs,
        key=lambda run: (
            run.data, run.update, run.trains, run.steps, run.batch, run.rate, run.beta, run.age_s, run.seed, run.seconds
        ),
    )  # fmt: skip


def read_run(record: Record) -> LearningRun:
    chips, steps = record.whole("chips", least=1), record.whole("steps", least=1)
    return LearningRun(
        per_chip=tuple(read_chip(chip, steps) for chip in record.listed("per_chip", chips, "chips")),
        ideal=record.share("accuracy_ideal"),
        samples=record.whole("samples", least=1),
        labelled=record.whole("labelled", least=1),
        age_s=record.at_least("age_s"),
        seed=record.whole("seed"),
        steps=steps,
        batch=record.whole("batch", least=1),
        update=record.one_of("update", PULSES, VERIFY),
        trains=record.text("trains"),
        rate=record.at_least("rate"),
        beta=record.positive("beta"),
        data=record.text("data"),
        target=record.text("target"),
        seconds=record.at_least("seconds"),
    )


def read_chip(record: Record, steps: int) -> ChipRun:
    return ChipRun(
        before=record.share("before"),
        after=record.share("after"),
        curve=curve(record, steps),
        pulses=record.at_least("pulses_per_device"),
        most_pulses=record.whole("most_pulses"),
        writes=record.at_least("writes_per_device"),
        most_writes=record.whole("most_writes"),
        attempts=record.at_least("write_attempts"),
        failed=record.whole("failed_writes"),
        saturated=record.within("saturated_lines", 0.0, 1.0),
    )


def curve(record: Record, steps: int) -> tuple[tuple[int, float], ...]:
    expected = f"pairs of a step, from 0 up to at most {steps} (field steps), and an accuracy from 0 to 1"
    points = record.table.get("curve")
    if not isinstance(points, list | tuple) or not points:
        raise record.refusal("curve", expected)
    found = []
    for point in points:
        if not isinstance(point, list | tuple) or len(point) != 2:
            raise record.refusal("curve", expected)
        pair = Record({"curve": point[0], "accuracy": point[1]}, record.where, f"{record.above}curve: ")
        found.append((pair.whole("curve"), pair.share("accuracy")))
    reached = [step for step, _ in found]
    if reached[0] != 0 or reached[-1] > steps or any(a >= b for a, b in itertools.pairwise(reached)):
        raise record.refusal("curve", expected)
    return tuple(found)


def learning_figure(run: LearningRun, name: str) -> Markup:
    """Accuracy of each chip over steps, their mean in bold while all learn, the compiled network as a dashed line.

    ``name`` tells this figure's ids from those of another run's.
    """
    curves = [chip.curve for chip in run.per_chip]
    together = [points for points in zip(*curves, strict=False) if len({step for step, _ in points}) == 1]

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        alone = len(curves) == 1
        for points in curves:
            axes.plot(
                [step for step, _ in points], [100 * share for _, share in points], color=BLUE, marker="o",
                markersize=3.5, linewidth=1.8 if alone else 1.0, alpha=1.0 if alone else 0.5, zorder=3,
            )  # fmt: skip
        if not alone:
            means = [100 * statistics.mean(share for _, share in points) for points in together]
            axes.plot([points[0][0] for points in together], means, color=BLUE, linewidth=2.4, zorder=4)
        axes.axhline(100 * run.ideal, color=ORANGE, linewidth=1.2, linestyle=(0, (5, 3)), zorder=2)
        axes.annotate(
            f"ideal {100 * run.ideal:.2f}%", (1.0, 100 * run.ideal), (5, 0), xycoords=("axes fraction", "data"),
            textcoords="offset points", va="center", color=ORANGE, fontsize=8,
        )  # fmt: skip
        seen = [100 * share for points in curves for _, share in points] + [100 * run.ideal]
        margin = max(0.1 * (max(seen) - min(seen)), 0.5)
        axes.set_ylim(min(seen) - margin, max(seen) + margin)
        axes.set_xlim(0, run.steps)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.set_xlabel(f"steps of {run.batch} images")
        axes.set_ylabel("accuracy (%)")
        axes.grid(axis="y")

    return render(name, 7.6, 2.7, paint)
