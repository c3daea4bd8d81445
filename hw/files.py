"""The files of a controller: what a team takes into its own flow. Equal mappings give equal bytes."""

from __future__ import annotations

import json

from hw.config import ControllerConfig
from hw.controller import Controller
from hw.emit import ports, rtlil, verilog
from hw.image import to_bytes
from hw.link import link
from hw.memory_modules import memory_modules
from hw.tables import Tables
from mapping import Mapping

NAME = "controller"
VERILOG_FILE, RTLIL_FILE, MEMORIES_FILE, IMAGE_FILE = f"{NAME}.v", f"{NAME}.il", "memories.v", "image.bin"


def rtl_files(mapping: Mapping, outside: bool = False) -> dict[str, bytes]:
    """By name: Verilog, RTLIL, ports, registers as Markdown, C header and JSON, configuration, memory image.

    Args:
        outside: whether memories are modules of their own, whose Verilog is a file more.

    Raises:
        ValueError: if the controller cannot run the mapping; InputError without yosys.
    """
    config = ControllerConfig.from_mapping(mapping)
    controller = Controller(config, outside)
    text, modules = rtlil(controller, NAME), memory_modules(controller.modules)
    made = {
        VERILOG_FILE: verilog(text, NAME, modules),
        RTLIL_FILE: text,
        "ports.json": json.dumps(ports(controller), indent=2) + "\n",
        "registers.md": controller.map.markdown(),
        "registers.h": controller.map.c_header(),
        "registers.json": controller.map.as_json(),
        "config.json": config.to_json() + "\n",
    }
    if outside:
        made[MEMORIES_FILE] = modules
    return {name: text.encode() for name, text in made.items()} | {IMAGE_FILE: to_bytes(link(mapping), Tables(config))}
