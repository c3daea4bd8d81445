"""The section on costs against the record it was made from, written by hand."""

from __future__ import annotations

import copy
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from typing import Any

import pytest

import mapping
from eqprop.errors import InputError
from reports.costs import read_costs
from reports.costs_figure import COMPONENTS, costs_figure
from reports.quantities import times


def test_a_record_is_read_as_it_is(cost_record: dict[str, Any]) -> None:
    (run,) = read_costs({"a.json": cost_record})
    assert [(name, work) for name, work, _ in run.columns] == [
        ("cheap", "inference"),
        ("dear", "inference"),
        ("cheap", "EP step"),
    ]
    assert run.headings == [("inference", 2), ("EP step", 1)]
    assert run.components == ["adc", "memory", "dac"]  # largest first, without what is free
    assert run.couplings == ["h1_h2", "input_h1", "(digital)"]
    step = run.scenarios["cheap"]["ep-step"]
    assert (step.energy_j, step.latency_s, step.area_m2) == (pytest.approx(1.6e-8), 2.5e-4, 3e-8)
    assert (step.against[2].joules, step.against[2].writing_cap, step.against[2].product_cap) == (4e-9, 64.0, None)
    assert run.assumptions == {
        "half of the lines": ["cheap", "dear"],
        "scale 1": ["cheap"],
        "scale 100": ["dear"],
        "scale 2": ["cheap"],
    }
    assert run.caps == {"cheap": (61.5, None)}


def test_names_of_files_do_not_set_the_order(cost_record: dict[str, Any]) -> None:
    other = {**cost_record, "batch": 1}
    assert read_costs({"a": other, "b": cost_record}) == read_costs({"a": cost_record, "b": other})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("scenarios",), {}),
        (("scenarios",), None),
        (("scenarios", "cheap"), {"breakfast": {}}),
        (("scenarios", "cheap", "inference"), None),
        (("scenarios", "cheap", "inference", "energy_j"), -1.0),
        (("scenarios", "cheap", "inference", "latency_s"), None),
        (("scenarios", "cheap", "inference", "area_m2"), "large"),
        (("scenarios", "cheap", "inference", "by_component_j"), []),
        (("scenarios", "cheap", "inference", "by_component_j", "adc"), "much"),
        (("scenarios", "cheap", "inference", "by_coupling_j", "input_h1"), float("nan")),
        (("scenarios", "cheap", "inference", "dominating"), None),
        (("scenarios", "cheap", "inference", "dominating_share"), 50.0),
        (("scenarios", "cheap", "inference", "unpriced"), "none"),
        (("scenarios", "cheap", "inference", "assumptions"), [1]),
        (("scenarios", "cheap", "inference", "processor"), "A100"),
        (("scenarios", "cheap", "inference", "processor", "name"), 100),
        (("scenarios", "cheap", "inference", "processor", "against", "same_work", "ratio"), -2.0),
        (("scenarios", "cheap", "inference", "processor", "against", "same_work", "caps"), None),
        (("scenarios", "cheap", "inference", "caps_by_formula", "programming"), "none"),
        (("batch",), 0),
        (("active",), 2),
        (("target_costs",), None),
    ],
)
def test_what_no_costs_record_is_refused(cost_record: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    broken: Any = copy.deepcopy(cost_record)
    table = broken
    for key in path[:-1]:
        table = table[key]
    table[path[-1]] = value
    with pytest.raises(InputError, match=rf"^out/b\.json: field {re.escape('.'.join(path))}.*expected") as caught:
        read_costs({"out/a.json": cost_record, "out/b.json": broken})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("table", "part"), [("by_component_j", "adc"), ("by_coupling_j", "input_h1")])
def test_parts_that_miss_the_total_are_refused(cost_record: dict[str, Any], table: str, part: str) -> None:
    cost_record["scenarios"]["dear"]["inference"][table][part] *= 1.01
    with pytest.raises(InputError, match=rf"field scenarios\.dear\.inference\.{table}: .*add up to 8e-07"):
        read_costs({"a.json": cost_record})


def test_a_cap_is_never_just_left_out(cost_record: dict[str, Any]) -> None:
    del cost_record["scenarios"]["cheap"]["ep-step"]["caps_by_formula"]["programming"]
    with pytest.raises(InputError, match=r"caps_by_formula\.programming: None: expected"):
        read_costs({"a.json": cost_record})  # where there is none the record says null


def test_shares_fill_the_bars(cost_record: dict[str, Any]) -> None:
    cost_record["scenarios"]["dear"]["inference"]["by_component_j"] = {"unheard of": 8e-7}
    (run,) = read_costs({"a.json": cost_record})
    drawing = costs_figure(run, "c1")
    assert ElementTree.fromstring(drawing).tag.endswith("svg")
    assert COMPONENTS["memory"][0] in drawing
    assert COMPONENTS["controller"][0] not in drawing
    for works in cost_record["scenarios"].values():
        for priced in works.values():
            priced["energy_j"] = 0.0
            for table in ("by_component_j", "by_coupling_j"):
                priced[table] = dict.fromkeys(priced[table], 0.0)
    (free,) = read_costs({"a.json": cost_record})
    assert "<svg" in costs_figure(free, "c1")


def test_the_section_shows_what_is_recorded(
    compiled: mapping.Mapping, cost_record: dict[str, Any], written: Callable[..., Any]
) -> None:
    page = written(compiled, costs={"a.json": cost_record})
    assert [row for row in page.rows if len(row) == 6 and row[0] in ("inference", "EP step")] == [
        ["inference", "cheap", "8 nJ", "250 µs", "0.03 mm²", "ADCs, 50%"],
        ["inference", "dear", "800 nJ", "250 µs", "0.03 mm²", "ADCs, 50%"],
        ["EP step", "cheap", "16 nJ", "250 µs", "0.03 mm²", "ADCs, 50%"],
    ]
    parts = {row[0]: row[1:] for row in page.rows if len(row) == 4 and row[-1].endswith("J")}
    assert list(parts)[:4] == ["input_h1", "h1_h2", "digital side", "all"]  # as the mapping has them
    assert parts["h1_h2"] == ["2 nJ", "200 nJ", "4 nJ"]
    assert parts["state memory"] == ["3 nJ", "300 nJ", "6 nJ"]
    assert "pulses" not in parts
    assert "The target itself names cheap." in page.text
    assert "An update for each 128 samples, 50% of lines driven" in page.text


def test_no_ratio_stands_without_its_caps_and_assumptions(
    compiled: mapping.Mapping, cost_record: dict[str, Any], written: Callable[..., Any]
) -> None:
    page = written(compiled, costs={"a.json": cost_record})
    rows = [row for row in page.rows if len(row) == 8 and row[5].endswith("×")]
    assert [row[:4] for row in rows[-2:]] == [
        ["EP step", "cheap", "A100", "the same reads"],
        ["", "", "", "backpropagation, no sweeps"],
    ]  # not the reads multiplied out, which are the same
    assert [row[4:] for row in rows[-2:]] == [["32 nJ", "2 ×", "64 ×", "none"], ["4 nJ", "0.25 ×", "64 ×", "none"]]
    assert len(rows) == 6
    assert page.text.count("half of the lines") == 1
    assert "scale 100 (dear)" in page.text
    assert "cheap writing 61.5 ×, outer products none" in page.text


@pytest.mark.parametrize(
    ("ratio", "words"),
    [(None, "none"), (0.4087, "0.409 ×"), (18.13, "18.1 ×"), (999.6, "1,000 ×"), (56774.2, "56,774 ×")],
)
def test_ratios_read_as_numbers(ratio: float | None, words: str) -> None:
    assert times(ratio) == words
