"""Checked fields against values written by hand: what JSON may hold is either returned as it is or refused by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from eqprop.errors import InputError
from reports.record import Record

TABLE: dict[str, Any] = {
    "one": 1,
    "half": 0.5,
    "text": "x",
    "true": True,
    "nothing": None,
    "nan": math.nan,
    "infinite": math.inf,
    "minus": -1.0,
    "huge": 10**400,
    "list": [0.5, 1],
    "words": ["a", "b"],
    "table": {"inside": {"deep": 2}},
    "empty": {},
    "tables": [{"a": 1}, {"a": 2}],
}
RECORD = Record(TABLE, "out/x.json")


def test_what_is_right_is_returned() -> None:
    assert math.isnan(RECORD.number("nan"))
    assert (RECORD.at_least("one"), RECORD.at_least("minus", -2.0), RECORD.positive("half")) == (1.0, -1.0, 0.5)
    assert (RECORD.within("half", 0.0, 1.0), RECORD.within("nothing", 0.0, 1.0)) == (0.5, None)
    assert RECORD.within("infinite", 0.0, math.inf) == math.inf
    assert (RECORD.share("one"), RECORD.shares("list", 2, "chips")) == (1.0, (0.5, 1.0))
    assert (RECORD.whole("one", least=1), RECORD.text("text"), RECORD.texts("words")) == (1, "x", ("a", "b"))
    assert RECORD.one_of("text", "y", "x") == "x"
    assert RECORD.inner("table").inner("inside").whole("deep") == 2
    assert {name: inner.whole("deep") for name, inner in RECORD.inners("table").items()} == {"inside": 2}
    assert [inner.whole("a") for inner in RECORD.listed("tables", 2, "chips")] == [1, 2]


@pytest.mark.parametrize(
    ("read", "fields"),
    [
        (Record.number, ("text", "true", "nothing", "huge", "list", "missing")),
        (Record.at_least, ("minus", "nan", "infinite", "huge", "text", "nothing", "missing")),
        (Record.positive, ("minus", "nan", "infinite", "text", "true", "missing")),
        (lambda record, field: record.within(field, 0.0, 1.0), ("minus", "nan", "infinite", "text", "missing")),
        (Record.share, ("minus", "nan", "text", "true", "missing")),
        (lambda record, field: record.shares(field, 2, "chips"), ("words", "half", "text", "tables", "missing")),
        (lambda record, field: record.shares(field, 3, "chips"), ("list",)),
        (Record.whole, ("half", "minus", "true", "text", "huge", "missing")),
        (Record.text, ("one", "nothing", "missing")),
        (Record.texts, ("text", "list", "missing")),
        (lambda record, field: record.one_of(field, "a", "b"), ("text", "one", "list", "missing")),
        (Record.inner, ("one", "list", "nothing", "missing")),
        (Record.inners, ("empty", "one", "missing")),
        (lambda record, field: record.listed(field, 2, "chips"), ("list", "table", "missing")),
        (lambda record, field: record.listed(field, 1, "chips"), ("tables",)),
    ],
)
def test_what_is_wrong_is_refused_by_name(read: Callable[[Record, str], Any], fields: tuple[str, ...]) -> None:
    for field in fields:
        with pytest.raises(InputError, match=rf"^out/x\.json: field {field}[.:]?.*expected") as caught:
            read(RECORD, field)
        assert "\n" not in str(caught.value)


def test_a_field_is_named_with_all_that_it_stands_in() -> None:
    with pytest.raises(InputError, match=r"^out/x\.json: field table\.inside\.deep: 2: expected a name$"):
        RECORD.inner("table").inner("inside").text("deep")
    inside = Record({"tables": [{}, {"a": "x"}]}, "out/x.json", "table.inside.").listed("tables", 2, "chips")[1]
    with pytest.raises(InputError, match=r"^out/x\.json: field table\.inside\.tables\.1\.a: 'x': expected a number$"):
        inside.number("a")


def test_long_values_and_odd_names_stay_one_short_line() -> None:
    with pytest.raises(InputError) as caught:
        Record({"a\nb": "x" * 10_000}, "f").number("a\nb")
    assert str(caught.value).startswith("f: field a·b: 'xxx")
    assert len(str(caught.value)) < 120
