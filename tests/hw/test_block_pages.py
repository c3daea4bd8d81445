# amaranth: UnusedElaboratable=no
"""Truth: the circuits as they are now, and the Verilog of one of them."""

import re
from pathlib import Path

import pytest

from hw.axi_lite import AxiLite
from hw.block_pages import BLOCKS, pages, ports_of
from hw.emit import rtlil, verilog

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "blocks"


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return pages()


def test_pages_and_traces_are_those_of_the_circuits(made: dict[str, str]) -> None:
    different = [name for name, text in made.items() if (FOLDER / name).read_text(encoding="utf-8") != text]
    assert not different, f"{different}: run python -m hw.block_pages docs/blocks"


def test_nothing_else_is_there_but_a_picture_of_each_trace(made: dict[str, str]) -> None:
    pictures = {name.replace(".json", ".svg") for name in made if name.endswith(".json")}
    assert {path.name for path in FOLDER.iterdir()} == made.keys() | pictures


def test_every_component_has_a_page() -> None:
    components = {path.stem for path in (ROOT / "hw").glob("*.py") if "(Component)" in path.read_text(encoding="utf-8")}
    assert components == BLOCKS.keys()


def test_ports_are_those_of_the_verilog() -> None:
    text = verilog(rtlil(AxiLite(16), "bus"), "bus")
    declared = re.findall(r"^  (in|out)put (?:\[(\d+):0\] )?(\w+);$", text, re.MULTILINE)
    found = {(name, way, int(high or 0) + 1) for way, high, name in declared if name not in ("clk", "rst")}
    assert set(ports_of(AxiLite(16))) == found
