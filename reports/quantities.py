"""Numbers as a reader expects them: SI prefixes, thousands, percent, ages."""

from __future__ import annotations

import math
from collections.abc import Sequence

PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}
RATES = {"Hz", "FLOP/s"}  # which take prefixes above none

DAY_S, HOUR_S, MINUTE_S = 86400.0, 3600.0, 60.0


def si(value: float, unit: str, digits: int = 4) -> str:
    """``4e-05, "S"`` -> ``40 µS``; prefixes from femto up to none, of rates up to tera."""
    return si_list([value], unit, digits)


def si_list(values: Sequence[float], unit: str, digits: int = 5) -> str:
    """Several values in the one prefix that suits the largest of them: ``0.348, 16.03, -43.853 µS``."""
    largest = max(
        (abs(float(f"{value:.{digits}g}")) for value in values), default=0.0
    )  # 999.6 in three digits is 1,000
    exponent = 0 if largest == 0.0 else 3 * math.floor(math.log10(largest) / 3)
    exponent = min(max(exponent, min(PREFIXES)), max(PREFIXES) if unit in RATES else 0)
    scaled = [value / 10.0**exponent for value in values]
    numbers = ", ".join(f"{value:,.{digits}g}" if value < 1e4 else f"{value:,g}" for value in scaled)
    return f"{numbers} {PREFIXES[exponent]}{unit}".rstrip()


def percent(share: float, digits: int = 2) -> str:
    return f"{100 * share:.{digits}f}%"


def points(share: float) -> str:
    """A difference of two shares in percentage points, with its sign."""
    return f"{100 * share:+.2f}".replace("-", "−")


def large(value: float) -> str:
    """An axis label for a power of ten: 1, 100, 10k, 1M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def age(age_s: float) -> str:
    """``fresh`` for 0, else the largest unit that leaves at least one of it."""
    if age_s == 0.0:
        return "fresh"
    for seconds, unit in ((DAY_S, "d"), (HOUR_S, "h"), (MINUTE_S, "min")):
        if age_s >= seconds:
            return f"{age_s / seconds:.4g} {unit}"
    return f"{age_s:.4g} s"


def shape(sizes: Sequence[int]) -> str:
    return " × ".join(str(size) for size in sizes)


def plural(count: int, thing: str) -> str:
    """``1 tile``, ``1,206 tiles``."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def seconds(value_s: float) -> str:
    """``0.00123`` -> ``1.23 ms``, above a minute as an age."""
    return si(value_s, "s", 3) if value_s < MINUTE_S else age(value_s)


def bytes_words(count: int) -> str:
    """``512 bytes``, ``43.7 kB``, ``1.25 MB``; thousands, not 1024."""
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= 0.9995 * size:  # rounded to three digits it is one of them
            return f"{count / size:.3g} {unit}"
    return plural(count, "byte")


def times(ratio: float | None) -> str:
    """``18.13`` -> ``18.1 ×``; None is no limit: ``none``."""
    if ratio is None:
        return "none"
    return f"{ratio:,.0f} ×" if ratio >= 999.5 else f"{ratio:.3g} ×"
