"""What the page says about recorded studies of a mapping: gradients, learning, costs."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping as Table
from dataclasses import dataclass, field
from typing import Any

from mapping import Mapping
from reports.costs import CostRun, read_costs
from reports.costs_figure import costs_figure
from reports.figures import largest_only
from reports.gradients import SWEPT, GradientRun, gradients_figure, read_gradients
from reports.learning import LearningRun, learning_figure, read_learning

MAX_RUNS = 6

Records = Table[str, Table[str, Any]]


@dataclass(frozen=True)
class Studies:
    """Every recorded run, checked."""

    gradients: list[GradientRun] = field(default_factory=list)
    learning: list[LearningRun] = field(default_factory=list)
    costs: list[CostRun] = field(default_factory=list)


def read_studies(gradients: Records, learning: Records, costs: Records) -> Studies:
    """Check what ``hwmap simulate --phase nudged``, ``hwmap simulate --learn`` and ``hwmap cost`` recorded, by file.

    Raises:
        InputError: naming the file, the field, the value found and what was expected.
    """
    return Studies(read_gradients(gradients), read_learning(learning), read_costs(costs))


def studies_content(mapping: Mapping, studies: Studies) -> dict[str, Any]:
    """What the template's sections of studies name: at most ``MAX_RUNS`` runs of each, and how many there are."""
    gradients = largest_only(studies.gradients, MAX_RUNS, lambda run: run.chips * run.samples)
    learning = largest_only(studies.learning, MAX_RUNS, lambda run: len(run.per_chip) * run.steps)
    costs = largest_only(studies.costs, MAX_RUNS, lambda run: len(run.columns))
    return {
        "swept": SWEPT,
        "gradients": [
            (run, gradients_figure(run, mapping.target, f"gradients{number}"), in_order(run.by_coupling, mapping))
            for number, run in enumerate(gradients, start=1)
        ],
        "learning": [(run, learning_figure(run, f"learning{number}")) for number, run in enumerate(learning, start=1)],
        "costs": [
            (run, costs_figure(run, f"costs{number}"), in_order(run.couplings, mapping))
            for number, run in enumerate(costs, start=1)
        ],
        "gradient_runs": len(studies.gradients),
        "learning_runs": len(studies.learning),
        "cost_runs": len(studies.costs),
    }


def in_order(names: Iterable[str], mapping: Mapping) -> list[str]:
    """Couplings in the mapping's order (files have them by name), then whatever else there is."""
    there = list(names)
    return [name for name in mapping.chains if name in there] + [name for name in there if name not in mapping.chains]
