"""The section on gradients against the record it was made from, written by hand."""

from __future__ import annotations

import copy
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from typing import Any

import pytest

import mapping
from eqprop.errors import InputError
from reports.gradients import gradients_figure, read_gradients


def row_of(page: Any, first: str) -> list[str]:
    """The last table row of five cells that starts with ``first``, without that; conductances stand above."""
    found: list[str] = [row for row in page.rows if len(row) == 5 and row[0] == first][-1]
    return found[1:]


@pytest.fixture(scope="module")
def target() -> mapping.Target:
    return mapping.Target.load("rram-hfo2")


def test_a_record_is_read_as_it_is(gradient_record: dict[str, Any]) -> None:
    (run,) = read_gradients({"a.json": gradient_record})
    assert (run.all.cosine, run.all.norm_ratio) == (0.51, 1.51)
    assert (run.all.cosine_own, run.all.norm_ratio_own) == (0.71, 1.26)
    assert list(run.by_coupling) == ["h1_h2", "input_h1"]
    assert list(run.against) == ["beta", "adc_bits", "dac_bits", "average"]
    assert list(run.against["adc_bits"]) == [4.0, 8.0, 10.0]  # names of a table are words: 10 stood before 4
    assert run.against["adc_bits"][4.0].cosine == 0.58
    assert run.beta_words == "bias and noise balance"


def test_names_of_files_do_not_set_the_order(gradient_record: dict[str, Any]) -> None:
    other = {**gradient_record, "age_s": 60.0}
    assert read_gradients({"a": other, "b": gradient_record}) == read_gradients({"a": gradient_record, "b": other})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("fidelity",), {}),
        (("fidelity",), {"h1_h2": {}}),
        (("fidelity", "input_h1", "cosine"), 1.5),
        (("fidelity", "input_h1", "cosine"), "high"),
        (("fidelity", "all", "norm_ratio"), -1.0),
        (("fidelity", "all", "norm_ratio_own_weights"), []),
        (("against",), None),
        (("against", "beta"), {}),
        (("against", "beta", "strong"), {}),
        (("against", "beta", "-0.1"), {}),
        (("against", "beta", "0.1"), 3),
        (("against", "adc_bits", "8", "cosine_own_weights"), -2.0),
        (("beta",), 0.0),
        (("beta_reason",), None),
        (("chips",), 0),
        (("samples",), 1.5),
        (("age_s",), -1.0),
        (("nudges",), 2),
    ],
)
def test_what_no_comparison_records_is_refused(
    gradient_record: dict[str, Any], path: tuple[str, ...], value: Any
) -> None:
    broken = copy.deepcopy(gradient_record)
    table = broken
    for key in path[:-1]:
        table = table[key]
    table[path[-1]] = value
    with pytest.raises(InputError, match=rf"^out/b\.json: field {path[0]}.*expected") as caught:
        read_gradients({"out/a.json": gradient_record, "out/b.json": broken})
    assert "\n" not in str(caught.value)


def test_figure_has_a_panel_for_each_thing_varied(gradient_record: dict[str, Any], target: mapping.Target) -> None:
    (run,) = read_gradients({"a": gradient_record})
    drawing = gradients_figure(run, target, "g1")
    assert ElementTree.fromstring(drawing).tag.endswith("svg")
    assert drawing.count('id="g1-axes_') == 4
    del gradient_record["against"]["adc_bits"]
    (fewer,) = read_gradients({"a": gradient_record})
    assert gradients_figure(fewer, target, "g1").count('id="g1-axes_') == 3
    gradient_record["against"] = {}
    (none,) = read_gradients({"a": gradient_record})
    assert gradients_figure(none, target, "g1") == ""


def test_gradients_of_zero_are_gaps(
    compiled: mapping.Mapping, gradient_record: dict[str, Any], written: Callable[..., Any]
) -> None:
    nothing = dict.fromkeys(("cosine", "norm_ratio", "cosine_own_weights", "norm_ratio_own_weights"))
    gradient_record["fidelity"]["input_h1"] = nothing
    gradient_record["against"]["dac_bits"]["8"] = nothing
    page = written(compiled, gradients={"a.json": gradient_record})
    assert row_of(page, "input_h1") == ["–"] * 4
    assert row_of(page, "DAC bits 8") == ["–"] * 4


def test_the_section_shows_what_is_recorded(
    compiled: mapping.Mapping, gradient_record: dict[str, Any], written: Callable[..., Any]
) -> None:
    page = written(compiled, gradients={"a.json": gradient_record})
    assert row_of(page, "all weights as one") == ["0.510", "1.51", "0.710", "1.26"]
    assert row_of(page, "input_h1") == ["0.530", "1.53", "0.730", "1.28"]
    assert row_of(page, "conversions averaged a read 16") == ["0.630", "1.63", "0.830", "1.38"]
    names = [row[0] for row in page.rows if len(row) == 5 and row[0] in gradient_record["fidelity"]]
    assert names[-2:] == ["input_h1", "h1_h2"]  # as the mapping has them, not by name
    assert "digits, 64 training images, β 0.1" in page.text
    assert "2 chips of rram-hfo2, fresh, seed 3; phases +−; β chosen: bias and noise balance" in page.text
    assert "harmless to learning in place" in page.text
