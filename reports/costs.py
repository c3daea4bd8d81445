"""Recorded costs, checked: joules, seconds and square metres of each technology scenario, beside a processor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reports.record import Record

WORKS = {"inference": "inference", "ep-step": "EP step"}
DIGITAL = "(digital)"
COMPUTES = {
    "same_work": "the same reads",
    "dense": "the same, low rank multiplied out",
    "backpropagation": "backpropagation, no sweeps",
}
ROUNDING = 1e-6  # of sums


@dataclass(frozen=True)
class Against:
    """A processor's joules for something it computes instead.

    Attributes:
        ratio: its joules over those here; None where nothing costs anything here.
        writing_cap, product_cap: that ratio if nothing but writing devices, or digital outer products, cost anything
            here; None for no cap.
    """

    computes: str
    joules: float
    ratio: float | None
    writing_cap: float | None
    product_cap: float | None


@dataclass(frozen=True)
class Priced:
    """What one sample costs under one scenario.

    Attributes:
        components, couplings: joules of each, which add up to ``energy_j``.
        dominating: the component that costs most, and its share.
        caps: against backpropagation by the formulas, for weights that a sample uses once: writing, outer products.
        assumptions: what figures and ratios rest on, in words.
        unpriced: what is ideal in the target and costs nothing.
    """

    energy_j: float
    latency_s: float
    area_m2: float
    components: dict[str, float]
    couplings: dict[str, float]
    dominating: str
    dominating_share: float
    processor: str
    against: tuple[Against, ...]
    caps: tuple[float | None, float | None]
    assumptions: tuple[str, ...]
    unpriced: tuple[str, ...]


@dataclass(frozen=True)
class CostRun:
    """One run of ``hwmap cost``.

    Attributes:
        scenarios: by name, by work (``inference``, ``ep-step``).
        batch: samples that share an update; ``active``: share of lines that a read drives.
        own: the scenario of the target itself.
    """

    scenarios: dict[str, dict[str, Priced]]
    batch: int
    active: float
    own: str

    @property
    def columns(self) -> list[tuple[str, str, Priced]]:
        """Scenario, work in words, and its price: inferences first, so that equal works stand side by side."""
        return [
            (name, words, works[work])
            for work, words in WORKS.items()
            for name, works in self.scenarios.items()
            if work in works
        ]

    @property
    def headings(self) -> list[tuple[str, int]]:
        """The works of ``columns``, each with how many scenarios have it."""
        words = [words for _, words, _ in self.columns]
        return [(each, words.count(each)) for each in dict.fromkeys(words)]

    @property
    def components(self) -> list[str]:
        """Names in the order of the most that one costs anywhere."""
        return largest_first([priced.components for _, _, priced in self.columns])

    @property
    def couplings(self) -> list[str]:
        """Names in the record's own order, the digital side last."""
        names = dict.fromkeys(name for _, _, priced in self.columns for name in priced.couplings)
        return sorted(names, key=lambda name: name == DIGITAL)

    @property
    def assumptions(self) -> dict[str, list[str]]:
        """What is assumed, each with the scenarios that assume it; nothing twice."""
        found: dict[str, list[str]] = {}
        for name, _, priced in self.columns:
            for words in priced.assumptions:
                if name not in found.setdefault(words, []):
                    found[words].append(name)
        return found

    @property
    def computed(self) -> list[str]:
        """What the processor computes; without the reads multiplied out where they cost as much as those that are."""
        rows: dict[str, list[float]] = {words: [] for words in COMPUTES.values()}
        for _, _, priced in self.columns:
            for row in priced.against:
                rows[row.computes].append(row.joules)
        same = rows[COMPUTES["dense"]] == rows[COMPUTES["same_work"]]
        return [what for what in rows if not (same and what == COMPUTES["dense"])]

    @property
    def caps(self) -> dict[str, tuple[float | None, float | None]]:
        """By scenario, the caps by formula of whatever work has some."""
        return {name: priced.caps for name, _, priced in self.columns if priced.caps != (None, None)}

    @property
    def unpriced(self) -> list[str]:
        return sorted({what for _, _, priced in self.columns for what in priced.unpriced})


def largest_first(tables: list[dict[str, float]]) -> list[str]:
    """Names by their largest share of any table; without those that are zero everywhere."""
    most: dict[str, float] = {}
    for table in tables:
        total = math.fsum(table.values()) or 1.0
        for name, joules in table.items():
            most[name] = max(most.get(name, 0.0), joules / total)
    return sorted((name for name in most if most[name] > 0.0), key=lambda name: -most[name])


def read_costs(records: Mapping[str, Mapping[str, Any]]) -> list[CostRun]:
    """Check what was recorded, by file; in an order that does not depend on the files' names.

    Raises:
        InputError: naming the file, the field, the value found and what was expected.
    """
    runs = [read_run(Record(record, where)) for where, record in records.items()]
    return sorted(runs, key=lambda run: (run.batch, run.active, list(run.scenarios), [w for _, w, _ in run.columns]))


def read_run(record: Record) -> CostRun:
    scenarios = {}
    for name, works in record.inners("scenarios").items():
        known = {work: read_priced(works.inner(work)) for work in WORKS if work in works.table}
        if not known:
            raise record.inner("scenarios").refusal(name, f"a table with {' or '.join(WORKS)}")
        scenarios[name] = known
    return CostRun(scenarios, record.whole("batch", least=1), record.share("active"), record.text("target_costs"))


def read_priced(record: Record) -> Priced:
    energy_j, processor, caps = record.at_least("energy_j"), record.inner("processor"), record.inner("caps_by_formula")
    return Priced(
        energy_j=energy_j,
        latency_s=record.at_least("latency_s"),
        area_m2=record.at_least("area_m2"),
        components=joules(record, "by_component_j", energy_j),
        couplings=joules(record, "by_coupling_j", energy_j),
        dominating=record.text("dominating"),
        dominating_share=record.share("dominating_share"),
        processor=processor.text("name"),
        against=tuple(read_against(COMPUTES[what], processor.inner("against").inner(what)) for what in COMPUTES),
        caps=(cap(caps, "programming"), cap(caps, "digital_outer_product")),
        assumptions=record.texts("assumptions"),
        unpriced=record.texts("unpriced"),
    )


def joules(record: Record, field: str, energy_j: float) -> dict[str, float]:
    table = record.inner(field)
    found = {name: table.at_least(name) for name in table.table}
    if not math.isclose(math.fsum(found.values()), energy_j, rel_tol=ROUNDING):
        raise record.refusal(field, f"parts that add up to {energy_j:g} (field energy_j)")
    return found


def read_against(computes: str, record: Record) -> Against:
    caps = record.inner("caps")
    return Against(
        computes,
        record.at_least("joules"),
        cap(record, "ratio"),
        cap(caps, "programming"),
        cap(caps, "digital_outer_product"),
    )


def cap(record: Record, field: str) -> float | None:
    """A ratio; None for none, which an infinite one is too."""
    found = record.within(field, 0.0, math.inf)
    return None if found == math.inf else found
