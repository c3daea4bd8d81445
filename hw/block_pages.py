"""A page for every block: what its docstring says, its ports, and a timing diagram of a run.

    python -m hw.block_pages docs/blocks

writes them anew; it wants ``pip install yowasp-wavedrom`` for the pictures.
"""

from __future__ import annotations

import gc
import inspect
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from amaranth import Shape, signed
from amaranth.hdl import UnusedElaboratable
from amaranth.lib.wiring import Component, In

from hw.array_timer import ArrayTimer
from hw.axi_lite import AxiLite
from hw.beat_walk import BeatWalk
from hw.block_traces import TRACES
from hw.clocked_core import ClockedCore
from hw.collector import Collector
from hw.config import ControllerConfig
from hw.contrast import Contrast
from hw.contrast_sum import ContrastSum
from hw.controller import Controller
from hw.core import Core
from hw.dac_feeder import DacFeeder
from hw.feeder import Feeder
from hw.fixed import RulePort
from hw.host_memory import HostMemory
from hw.line_driver import LineDriver
from hw.neuron import Neuron
from hw.nudger import LinearNudger, SquaredErrorNudger
from hw.pulse_contrast import PulseContrast
from hw.pulse_feeder import PulseFeeder
from hw.pulse_slots import PulseSlots
from hw.pulser import Pulser
from hw.reader import Reader
from hw.register_docs import markdown
from hw.register_map import controller_registers
from hw.registers import RegisterFile
from hw.scaler import Scaler
from hw.sequencer import Sequencer
from hw.tables import Tables
from hw.updater import Updater
from hw.walk import Walk
from hw.write_verify import WriteVerify
from mapping.dither import Lfsr

CONFIG = ControllerConfig.preset("digits")
TABLES = Tables(CONFIG)
STATE, DRIVE, BIAS = signed(CONFIG.state_bits + 1), signed(24), signed(CONFIG.constant_bits)
PUSH = signed(CONFIG.push_bits)

# By the name of the file.
BLOCKS: dict[str, Callable[[], list[Any]]] = {
    "controller": lambda: [Controller(CONFIG)],
    "core": lambda: [Core(TABLES)],
    "clocked_core": lambda: [ClockedCore(TABLES)],
    "sequencer": lambda: [Sequencer(TABLES)],
    "reader": lambda: [Reader(TABLES)],
    "feeder": lambda: [Feeder(TABLES)],
    "dac_feeder": lambda: [DacFeeder(STATE, RulePort(signed(CONFIG.code_bits)), CONFIG.lanes, Lfsr())],
    "line_driver": lambda: [LineDriver(TABLES)],
    "beat_walk": lambda: [BeatWalk(TABLES, "sense")],
    "walk": lambda: [Walk(TABLES.walk(12), 4)],
    "array_timer": lambda: [ArrayTimer()],
    "collector": lambda: [Collector(TABLES)],
    "updater": lambda: [Updater(TABLES)],
    "scaler": lambda: [Scaler(DRIVE, RulePort(STATE))],
    "neuron": lambda: [Neuron(DRIVE, BIAS, RulePort(STATE))],
    "nudger": lambda: [SquaredErrorNudger(DRIVE, BIAS, PUSH, RulePort(STATE)), LinearNudger(DRIVE, STATE)],
    "contrast": lambda: [Contrast(TABLES)],
    "contrast_sum": lambda: [ContrastSum(TABLES)],
    "pulse_contrast": lambda: [PulseContrast(TABLES)],
    "pulse_feeder": lambda: [PulseFeeder(TABLES)],
    "pulser": lambda: [Pulser(STATE, CONFIG.lanes)],
    "pulse_slots": lambda: [PulseSlots(STATE, CONFIG.lanes, 32, Lfsr(), Lfsr())],
    "write_verify": lambda: [WriteVerify(signed(CONFIG.adc_bits), CONFIG.line_bits)],
    "axi_lite": lambda: [AxiLite(16)],
    "registers": lambda: [RegisterFile(controller_registers(CONFIG))],
    "host_memory": lambda: [HostMemory(CONFIG.state_bits * CONFIG.lanes, CONFIG.state_words)],
}

INTRODUCTION = """Made by `python -m hw.block_pages docs/blocks`. Widths of ports are those of the preset `digits`;
timing diagrams are of runs of the circuits (hw/block_traces.py). See [the controller](../controller.md)."""


def pages() -> dict[str, str]:
    """Markdown and WaveJSON by the name of the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnusedElaboratable)  # blocks are looked at, and not built
        found = {"README.md": index()}
        for name, make in BLOCKS.items():
            found[f"{name}.md"] = "\n".join(page(name, make()))
            if name in TRACES:
                found[f"{name}.json"] = json.dumps(TRACES[name](), indent=1) + "\n"
        gc.collect()
    return found


def index() -> str:
    """One line a block."""
    lines = ["# Blocks of the controller", "", INTRODUCTION, "", "| block | |", "|---|---|"]
    for name, make in BLOCKS.items():
        lines += [f"| [{type(block).__name__}]({name}.md) | {summary(block)} |" for block in make()]
    return "\n".join(lines) + "\n"


def summary(block: Any) -> str:
    """The first paragraph of its docstring, in one line."""
    return " ".join(inspect.cleandoc(type(block).__doc__ or "").split("\n\n")[0].split()).replace("|", "\\|")


def page(name: str, blocks: list[Any]) -> list[str]:
    """Lines of a page."""
    lines = []
    for block in blocks:
        lines += [f"# {type(block).__name__}", "", f"[hw/{name}.py](../../hw/{name}.py)", "", "```text"]
        lines += [inspect.cleandoc(type(block).__doc__ or ""), "```", ""]
        if name in TRACES and block is blocks[0]:
            lines += [f"![timing]({name}.svg)", ""]
        lines += ["| port | direction | bits |", "|---|---|---|"]
        lines += [f"| `{port}` | {way} | {bits} |" for port, way, bits in ports_of(block)]
        lines.append("")
    if name == "controller":
        lines += ["The words of its program: [microprogram.md](../microprogram.md).", "", "## Registers", ""]
        lines.append(markdown(controller_registers(CONFIG)))
    return lines


def ports_of(block: Component) -> list[tuple[str, str, int]]:
    """Name in Verilog, direction, width of every port."""
    found = []
    for path, member, value in block.signature.flatten(block):
        width = Shape.cast(value.shape()).width
        found.append(("__".join(map(str, path)), "in" if member.flow == In else "out", width))
    return found


def main() -> None:
    from yowasp_wavedrom import render

    (folder,) = map(Path, sys.argv[1:])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")
        if name.endswith(".json"):
            (folder / name).with_suffix(".svg").write_text(render(json.loads(text)), encoding="utf-8")


if __name__ == "__main__":
    main()
