"""The section on learning against the record it was made from, written by hand."""

from __future__ import annotations

import copy
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from typing import Any

import pytest

import mapping
from eqprop.errors import InputError
from reports.learning import learning_figure, read_learning


def test_a_record_is_read_as_it_is(learning_record: dict[str, Any]) -> None:
    (run,) = read_learning({"a.json": learning_record})
    assert (run.before, run.after, run.ideal) == (0.375, 0.625, 0.9375)
    assert run.per_chip[0].curve == ((0, 0.5), (10, 0.625), (20, 0.75))
    assert (run.per_chip[1].pulses, run.per_chip[1].most_pulses, run.per_chip[1].saturated) == (12.25, 1234, 0.0625)
    assert run.stopped == [(1, 10)]
    assert run.rule == "stochastic trains of pulses"
    (verified,) = read_learning({"a.json": {**learning_record, "update": "verify"}})
    assert verified.rule == "writes with verification"  # whose trains mean nothing


def test_names_of_files_do_not_set_the_order(learning_record: dict[str, Any]) -> None:
    other = {**learning_record, "rate": 0.5}
    assert read_learning({"a": other, "b": learning_record}) == read_learning({"a": learning_record, "b": other})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("accuracy_ideal",), 93.0),
        (("chips",), 3),
        (("per_chip",), None),
        (("per_chip", 1), []),
        (("per_chip", 1, "after"), 1.5),
        (("per_chip", 1, "curve"), None),
        (("per_chip", 1, "curve"), []),
        (("per_chip", 1, "curve"), [[0, 0.5], [10]]),
        (("per_chip", 1, "curve"), [[0, 0.5], [10, 2.0]]),
        (("per_chip", 1, "curve"), [[0, 0.5], [10.5, 0.5]]),
        (("per_chip", 1, "curve"), [[5, 0.5]]),
        (("per_chip", 1, "curve"), [[0, 0.5], [0, 0.5]]),
        (("per_chip", 1, "curve"), [[0, 0.5], [21, 0.5]]),
        (("per_chip", 0, "pulses_per_device"), -1.0),
        (("per_chip", 0, "most_pulses"), 1.5),
        (("per_chip", 0, "failed_writes"), None),
        (("per_chip", 0, "saturated_lines"), 2.0),
        (("steps",), 0),
        (("update",), "magic"),
        (("trains",), None),
        (("rate",), -0.1),
        (("beta",), 0),
        (("seconds",), "long"),
    ],
)
def test_what_no_learning_records_is_refused(
    learning_record: dict[str, Any], path: tuple[Any, ...], value: Any
) -> None:
    broken: Any = copy.deepcopy(learning_record)
    table = broken
    for key in path[:-1]:
        table = table[key]
    table[path[-1]] = value
    named = "per_chip" if path[0] == "chips" else ".".join(map(str, path))
    with pytest.raises(InputError, match=rf"^out/b\.json: field {named}.*expected") as caught:
        read_learning({"out/a.json": learning_record, "out/b.json": broken})
    assert "\n" not in str(caught.value)


def test_any_curve_can_be_drawn(learning_record: dict[str, Any]) -> None:
    for curves in ([[[0, 0.5]], [[0, 0.5]]], [[[0, 1.0], [20, 1.0]], [[0, 0.0], [7, 1.0]]]):
        for chip, points in zip(learning_record["per_chip"], curves, strict=True):
            chip["curve"] = points
        (run,) = read_learning({"a": learning_record})
        assert ElementTree.fromstring(learning_figure(run, "l1")).tag.endswith("svg")
    alone = {**learning_record, "chips": 1, "per_chip": learning_record["per_chip"][:1]}
    (run,) = read_learning({"a": alone})
    assert "<svg" in learning_figure(run, "l1")


def test_the_section_shows_what_is_recorded(
    compiled: mapping.Mapping, learning_record: dict[str, Any], written: Callable[..., Any]
) -> None:
    page = written(compiled, learning={"a.json": learning_record})
    assert page.row("0", 9)[1:] == ["50.00%", "75.00%", "+25.00", "12.25", "1,234", "0", "0", "6.25%"]
    assert ["1", "25.00%", "50.00%", "+25.00"] in [row[:4] for row in page.rows]
    assert "From 37.50% to 62.50% (+25.00 points, mean over 2 chips) on 200 test images." in page.text
    assert "digits, 20 steps by stochastic trains of pulses" in page.text
    assert "rate 0.05, β 0.3, batches of 16 of 1,437 labelled images; 2 chips of ecram, 1 h, seed 5" in page.text
    assert "The loss of chip 1 did not stay finite: its last accuracy is that after step 10." in page.text
    assert "Lines with the longest train" in page.text


def test_writes_show_those_given_up(
    compiled: mapping.Mapping, learning_record: dict[str, Any], written: Callable[..., Any]
) -> None:
    chip = {**learning_record["per_chip"][0], "write_attempts": 2500.0, "failed_writes": 3, "saturated_lines": None}
    record = {**learning_record, "update": "verify", "chips": 1, "per_chip": [chip]}
    page = written(compiled, learning={"a.json": record})
    assert page.row("0", 9)[8] == "3 of 2,500"
    assert "mean over" not in page.text
    assert "did not stay finite" not in page.text


def test_six_runs_are_shown_and_others_counted(
    compiled: mapping.Mapping, learning_record: dict[str, Any], written: Callable[..., Any]
) -> None:
    runs = {f"{seed}.json": {**learning_record, "seed": seed, "steps": 20 + seed} for seed in range(8)}
    page = written(compiled, learning=runs)
    shown = [steps for steps in range(20, 28) if f"digits, {steps} steps" in page.text]
    assert shown == [22, 23, 24, 25, 26, 27]
    assert "6 of 8 recorded runs" in page.text
