"""A recorded result as read from its file, which anyone may have edited: every value is checked when asked for."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eqprop.errors import InputError


@dataclass(frozen=True)
class Record:
    """A table of named values.

    Every method raises InputError, one line that names the record, the field, the value found and what was expected.

    Attributes:
        table: the values; those that nobody asks for are left alone.
        where: the record, as its file.
        above: dotted name of the field that this table stands in.
    """

    table: Mapping[str, Any]
    where: str
    above: str = ""

    def refusal(self, field: str, expected: str) -> InputError:
        name = "".join(letter if letter.isprintable() else "·" for letter in f"{self.above}{field}")
        found = reprlib.repr(self.table.get(field))
        return InputError(f"{self.where}: field {name}: {found}: expected {expected}")

    def number(self, field: str) -> float:
        """Any number, NaN and infinities too."""
        value = as_number(self.table.get(field))
        if value is None:
            raise self.refusal(field, "a number")
        return value

    def at_least(self, field: str, least: float = 0.0) -> float:
        """A finite number."""
        value = as_number(self.table.get(field))
        if value is None or not least <= value < math.inf:
            raise self.refusal(field, f"a number >= {least:g}")
        return value

    def positive(self, field: str) -> float:
        value = as_number(self.table.get(field))
        if value is None or not 0.0 < value < math.inf:
            raise self.refusal(field, "a number > 0")
        return value

    def within(self, field: str, low: float, high: float) -> float | None:
        """A number of a range, or nothing."""
        value = as_number(self.table.get(field))
        if self.is_nothing(field):
            return None
        if value is None or not low <= value <= high:
            raise self.refusal(field, f"a number from {low:g} to {high:g}, or null")
        return value

    def share(self, field: str) -> float:
        value = as_share(self.table.get(field))
        if value is None:
            raise self.refusal(field, "a share from 0 to 1")
        return value

    def shares(self, field: str, count: int, counted: str) -> tuple[float, ...]:
        """A list as long as the field ``counted`` says."""
        values = self.table.get(field)
        if not isinstance(values, list | tuple) or len(values) != count:
            raise self.refusal(field, f"a list of {count} (field {counted})")
        found = [share for share in map(as_share, values) if share is not None]
        if len(found) != count:
            raise self.refusal(field, "shares from 0 to 1")
        return tuple(found)

    def whole(self, field: str, least: int = 0) -> int:
        value = self.table.get(field)
        if isinstance(value, bool) or not isinstance(value, int) or value < least or as_number(value) is None:
            raise self.refusal(field, f"a whole number >= {least}")
        return value

    def text(self, field: str) -> str:
        value = self.table.get(field)
        if not isinstance(value, str):
            raise self.refusal(field, "a name")
        return value

    def texts(self, field: str) -> tuple[str, ...]:
        values = self.table.get(field)
        if not isinstance(values, list | tuple) or not all(isinstance(value, str) for value in values):
            raise self.refusal(field, "a list of words")
        return tuple(values)

    def one_of(self, field: str, *names: str) -> str:
        value = self.table.get(field)
        if value not in names:
            raise self.refusal(field, " or ".join(names))
        return str(value)

    def is_nothing(self, field: str) -> bool:
        """Whether the field is there, and null."""
        return field in self.table and self.table[field] is None

    def inner(self, field: str) -> Record:
        """The table that a field holds."""
        value = self.table.get(field)
        if not isinstance(value, Mapping):
            raise self.refusal(field, "a table")
        return Record(value, self.where, f"{self.above}{field}.")

    def inners(self, field: str) -> dict[str, Record]:
        """The tables in the table that a field holds, by name, at least one."""
        table = self.inner(field)
        if not table.table:
            raise self.refusal(field, "a table that is not empty")
        return {name: table.inner(name) for name in table.table}

    def listed(self, field: str, count: int, counted: str) -> list[Record]:
        """The tables of a list as long as the field ``counted`` says."""
        values = self.table.get(field)
        if not isinstance(values, list | tuple) or len(values) != count:
            raise self.refusal(field, f"a list of {count} (field {counted})")
        numbered = Record(
            {str(number): value for number, value in enumerate(values)}, self.where, f"{self.above}{field}."
        )
        return [numbered.inner(str(number)) for number in range(count)]


def as_number(value: Any) -> float | None:
    """A float, or None for what is no number or beyond any float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def as_share(value: Any) -> float | None:
    share = as_number(value)
    return share if share is not None and 0.0 <= share <= 1.0 else None
