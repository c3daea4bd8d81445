"""Readable numbers against numbers written by hand."""

from __future__ import annotations

import pytest

from reports import quantities


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (4e-05, "S", "40 µS"),
        (2.5e-07, "S", "250 nS"),
        (0.2, "V", "200 mV"),
        (20.0, "s", "20 s"),
        (172800.0, "s", "172,800 s"),
        (0.0, "S", "0 S"),
        (1e-18, "S", "0.001 fS"),
        (-1.5e-6, "S", "-1.5 µS"),
        (1e8, "Hz", "100 MHz"),
        (2.5e9, "Hz", "2.5 GHz"),
    ],
)
def test_si(value: float, unit: str, text: str) -> None:
    assert quantities.si(value, unit) == text


def test_a_list_shares_one_prefix() -> None:
    assert quantities.si_list([2.6348e-7, 1.965e-6, -1.1731e-6], "S") == "0.26348, 1.965, -1.1731 µS"
    assert quantities.si_list([1.0, 86400.0, 172800.0], "s") == "1, 86,400, 172,800 s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "fresh"), (0.5, "0.5 s"), (90.0, "1.5 min"), (3600.0, "1 h"), (86400.0, "1 d"), (3.15576e7, "365.2 d")],
)
def test_age(seconds: float, text: str) -> None:
    assert quantities.age(seconds) == text


@pytest.mark.parametrize(("value", "text"), [(1, "1"), (100, "100"), (1e4, "10k"), (1e6, "1M"), (1e9, "1G")])
def test_large(value: float, text: str) -> None:
    assert quantities.large(value) == text


def test_points_plural_shape_percent() -> None:
    assert quantities.points(-0.0325) == "−3.25"
    assert quantities.points(0.01) == "+1.00"
    assert quantities.plural(1, "tile") == "1 tile"
    assert quantities.plural(1206, "tile") == "1,206 tiles"
    assert quantities.shape((3, 32, 32)) == "3 × 32 × 32"
    assert quantities.percent(0.98588) == "98.59%"


@pytest.mark.parametrize(
    ("count", "text"),
    [(1, "1 byte"), (999, "999 bytes"), (43708, "43.7 kB"), (999_600, "1 MB"), (1_250_000, "1.25 MB"), (3e9, "3 GB")],
)
def test_bytes(count: int, text: str) -> None:
    assert quantities.bytes_words(count) == text


@pytest.mark.parametrize(("value_s", "text"), [(8.842e-5, "88.4 µs"), (0.0851, "85.1 ms"), (90.0, "1.5 min")])
def test_seconds(value_s: float, text: str) -> None:
    assert quantities.seconds(value_s) == text
