"""hwmap cost: joules, seconds and square metres of an inference and of an EP step, beside a processor's joules."""

from __future__ import annotations

import time
from collections.abc import Callable
from collections.abc import Mapping as Table
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table as Shown

from eqprop.errors import InputError
from hwmap.commands.results import record_costs
from hwmap.console import print_result, table
from mapping import Mapping
from mapping.costs import Costs
from mapping.target import costs_table, preset_names
from reports.quantities import seconds, si
from sim.energy import Bill, Comparison, compare, costs, outer_product_cap, programming_cap
from sim.events import Drive, Work, expected, learning_events

BATCH = 128
DRIVE = Drive()
WORKS: dict[str, tuple[Work, ...]] = {
    "inference": ("inference",),
    "ep-step": ("ep-step",),
    "both": ("inference", "ep-step"),
}
AGAINST = {
    "same_work": "same reads",
    "dense": "low rank as dense",
    "backpropagation": "backpropagation",
}


@dataclass(frozen=True)
class Request:
    """What to price, and how; see ``hwmap cost --help``."""

    directory: Path
    work: str = "both"
    costs: tuple[str, ...] = ()
    batch: int = BATCH
    active: float = DRIVE.active
    mean_square: float = DRIVE.mean_square


def run(request: Request, as_json: bool) -> None:
    start = time.perf_counter()
    if request.work not in WORKS:
        raise InputError(f"--work {request.work}: expected one of {', '.join(WORKS)}")
    if request.batch < 1:
        raise InputError(f"--batch {request.batch}: expected at least 1 sample")
    for option, share in (("--active", request.active), ("--mean-square", request.mean_square)):
        if not 0.0 <= share <= 1.0:
            raise InputError(f"{option} {share:g}: expected a share from 0 to 1")
    mapping = Mapping.load(request.directory)
    drive = Drive(request.active, request.mean_square)
    found = {
        name: {work: priced(mapping, prices, work, request.batch, drive) for work in WORKS[request.work]}
        for name, prices in scenarios(request.costs, mapping.target.costs).items()
    }
    result = {
        "scenarios": found,
        "work": request.work,
        "batch": request.batch,
        "active": drive.active,
        "mean_square": drive.mean_square,
        "crossbars": mapping.crossbars,
        "weights": mapping.weights,
        "target": mapping.target.name,
        "target_costs": mapping.target.costs.name,
        "free_sweeps": mapping.target.controller.free_sweeps,
        "nudged_sweeps": mapping.target.controller.nudged_sweeps,
        "seed": 0,  # as every result has one; formulas draw nothing
        "seconds": time.perf_counter() - start,
    }
    record_costs(request.directory, result)
    *first, last = tables(result)
    for shown in first:
        print_result(result, None if as_json else shown, as_json=False)
    print_result(result, last, as_json)


def scenarios(names: tuple[str, ...], own: Costs) -> dict[str, Costs]:
    """Prices by name: of presets or files; without names all presets, and the target's own where it is none of them.

    Raises:
        InputError: for a name that is neither, or two files that give themselves one name.
    """
    found: dict[str, Costs] = {}
    for name in names or preset_names("costs"):
        prices = Costs.model_validate(costs_table(name, f"--costs {name}: "))
        if found.setdefault(prices.name, prices) != prices:
            raise InputError(f"--costs {name}: another scenario is called {prices.name} too: expected different names")
    if not names and own not in found.values():
        found[f"{own.name} (target)"] = own
    return found


def priced(mapping: Mapping, prices: Costs, work: Work, batch: int, drive: Drive = DRIVE) -> dict[str, Any]:
    """One sample's joules, seconds and square metres with all their parts, as plain numbers; null for no limit.

    ``latency_s`` is that of a sample by itself, the pulses of an update and all, while of the joules of pulses it bears
    its share of a batch.
    """
    # Events of learning follow the scenario (pulses, outer products), so the target itself gets its prices.
    mapping = replace(mapping, target=mapping.target.model_copy(update={"costs": prices}))
    bill = costs(mapping, expected(mapping, work, drive, batch))
    learning = learning_events(mapping, batch) if work == "ep-step" else {}
    spent = {
        "programming": bill.components_j["pulses"],
        "digital_outer_product": prices.mac_j * sum(events.macs for events in learning.values()),
    }
    against = compared(compare(mapping, bill, work, batch), spent)
    component, share = bill.dominating
    processor = prices.processor
    return {
        "energy_j": bill.total_j,
        "latency_s": bill.seconds,
        "area_m2": bill.total_m2,
        "by_component_j": bill.components_j,
        "by_coupling_j": bill.couplings_j,
        "by_component_m2": area_by_component(bill),
        "by_coupling_m2": {name: sum(parts.values()) for name, parts in bill.area_m2.items()},
        "busy_by_coupling_s": bill.busy_s,
        "dominating": component,
        "dominating_share": share,
        "outer_product_j": spent["digital_outer_product"],
        "unpriced": list(bill.unpriced),
        "processor": processor.model_dump() | {"j_per_flop": processor.j_per_flop, "against": against},
        "caps": against["backpropagation"]["caps"],
        "caps_by_formula": formulas(prices, batch) if work == "ep-step" else dict.fromkeys(spent),
        "assumptions": assumptions(prices, work, batch, drive),
    }


def area_by_component(bill: Bill) -> dict[str, float]:
    """Over all couplings, largest first."""
    sums: dict[str, float] = {}
    for parts in bill.area_m2.values():
        for name, area in parts.items():
            sums[name] = sums.get(name, 0.0) + area
    return dict(sorted(sums.items(), key=lambda item: -item[1]))


def compared(comparison: Comparison, spent: Table[str, float]) -> dict[str, dict[str, Any]]:
    """A processor's joules by what it computes, their ratio to those here, and what limits it.

    A cap is the ratio that would be left if nothing but ``spent`` cost anything. The formulas of ``sim.energy`` are
    these caps for weights that a sample uses once; a convolution uses each at every position, but writes it once.
    """
    found = {}
    for name in AGAINST:
        flop = getattr(comparison.flops, name)
        spent_there = flop * comparison.processor.j_per_flop
        found[name] = {
            "flop": flop,
            "joules": spent_there,
            "ratio": spent_there / comparison.joules if comparison.joules else None,
            "caps": {part: spent_there / only if only else None for part, only in spent.items()},
        }
    return found


def formulas(prices: Costs, batch: int) -> dict[str, float | None]:
    """The caps of the energy accounting, for weights that a sample uses once and two devices a weight."""
    caps = {"programming": programming_cap(prices, batch), "digital_outer_product": outer_product_cap(prices)}
    return {name: cap if cap < float("inf") else None for name, cap in caps.items()}


def assumptions(prices: Costs, work: Work, batch: int, drive: Drive) -> list[str]:
    """What figures and ratios rest on, in words."""
    processor, learning = prices.processor, prices.learning
    found = [
        f"{processor.name} at {processor.utilisation:.0%} of {processor.flop_per_s * 1e-12:.4g} TFLOP/s and "
        f"{processor.watt:g} W: {joules(processor.j_per_flop)} a FLOP; 2 FLOP for each use of a weight",
        f"{drive.active:.0%} of lines driven, mean (V / full scale)^2 {drive.mean_square:.3g} (bit-serial 1)",
        "backpropagation takes no sweeps, and is not shown to be equally accurate",
        "caps: nothing but writes, or the MACs of digital outer products, costs anything",
        "prices marked [U] in mapping/presets/costs are unverified or estimates",
    ]
    if work == "ep-step":
        pulses = f"{learning.pulses_per_device:g} x {joules(prices.pulse_j)} to write a device, once a batch of {batch}"
        formed = "in the devices" if learning.product == "analog" else f"digitally, {joules(prices.mac_j)} a MAC"
        found.append(f"{pulses}; outer products {formed}")
    return found


def tables(result: dict[str, Any]) -> list[Shown]:
    """Totals; joules of each work, areas and busy arrays by their parts; the processor, caps beside every ratio."""
    found, first = result["scenarios"], first_of(result["scenarios"])

    def each(work: str) -> dict[str, dict[str, Any]]:
        return {name: works[work] for name, works in found.items()}

    return [
        totals_table(result),
        *(parts_table(f"{work}: joules", each(work), "j", "energy_j", joules) for work in first),
        parts_table("area", each(next(iter(first))), "m2", "area_m2", square_mm),
        busy_table(first),
        *(processor_table(work, each(work)) for work in first),
    ]


def totals_table(result: dict[str, Any]) -> Shown:
    rows = [
        (
            name,
            work,
            joules(one["energy_j"]),
            seconds(one["latency_s"]),
            square_mm(one["area_m2"]),
            f"{one['dominating']} {one['dominating_share']:.0%}",
        )
        for name, works in result["scenarios"].items()
        for work, one in works.items()
    ]
    shown = table(
        f"one sample on {result['crossbars']:,} crossbars of {result['target']}, updates shared by {result['batch']}",
        ["costs", "work", "energy", "latency", "area", "most of it"],
        rows,
        text_columns=2,
    )
    unpriced = {part for works in result["scenarios"].values() for one in works.values() for part in one["unpriced"]}
    shown.caption = escape(f"costs nothing here: {', '.join(sorted(unpriced))}") if unpriced else None
    return shown


def parts_table(
    title: str, scenarios: Table[str, dict[str, Any]], unit: str, total: str, shown_as: Callable[[float], str]
) -> Shown:
    """By component, then by coupling, a column for each scenario; each part with its share."""
    shown = table(f"{title} by component, then by coupling", ["", *scenarios], [])
    for by in (f"by_component_{unit}", f"by_coupling_{unit}"):
        for part in first_of(scenarios)[by]:
            parts = ((one[by][part], one[total]) for one in scenarios.values())
            shown.add_row(escape(part), *(f"{shown_as(own)} {own / of if of else 0.0:4.0%}" for own, of in parts))
        shown.add_section()
    return shown


def busy_table(works: Table[str, dict[str, Any]]) -> Shown:
    """The same in every scenario: clocks are the target's."""
    rows = [
        (name, *(seconds(one["busy_by_coupling_s"][name]) for one in works.values()))
        for name in first_of(works)["busy_by_coupling_s"]
    ]
    return table("seconds that reads keep arrays busy, copies added", ["coupling", *works], rows)


def processor_table(work: str, scenarios: Table[str, dict[str, Any]]) -> Shown:
    rows = []
    for name, one in scenarios.items():
        for what, said in AGAINST.items():
            seen = one["processor"]["against"][what]
            if what == "dense" and seen["flop"] == one["processor"]["against"]["same_work"]["flop"]:
                continue  # no coupling of low rank is kept
            limits = (seen["ratio"], seen["caps"]["programming"], seen["caps"]["digital_outer_product"])
            rows.append((name, said, joules(seen["joules"]), *map(times, limits)))
    shown = table(
        f"{work}: a processor's joules, their ratio to those here, and the caps of that ratio",
        ["costs", "processor", "joules", "ratio", "cap: writes", "cap: MACs"],
        rows,
        text_columns=2,
    )
    told: dict[str, list[str]] = {}
    for name, one in scenarios.items():
        for note in one["assumptions"]:
            told.setdefault(note, []).append(name)
    notes = (note if len(names) == len(scenarios) else f"{', '.join(names)}: {note}" for note, names in told.items())
    shown.caption = escape("\n".join(notes))
    shown.caption_justify = "left"
    return shown


def first_of(several: Table[str, dict[str, Any]]) -> dict[str, Any]:
    return next(iter(several.values()))


def joules(value_j: float) -> str:
    return si(value_j, "J", 3)


def times(ratio: float | None) -> str:
    """Three digits; None is no limit."""
    if ratio is None:
        return "none"
    return f"{ratio:,.0f} x" if ratio >= 1000 else f"{ratio:.3g} x"


def square_mm(area_m2: float) -> str:
    return f"{area_m2 * 1e6:.3g} mm²"
