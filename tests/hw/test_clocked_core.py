# amaranth: UnusedElaboratable=no
"""The core with memories outside, as other RTL would take it."""

import re

from hw.clocked_core import ClockedCore
from hw.config import ControllerConfig
from hw.emit import rtlil, verilog
from hw.tables import Tables


def test_a_core_stands_alone_with_one_clock_and_one_reset() -> None:
    text = verilog(rtlil(ClockedCore(Tables(ControllerConfig.preset("tiny"))), "core"), "core")
    assert set(re.findall(r"(?:pos|neg)edge (\w+)", text)) == {"clk"}
    inputs = re.findall(r"^  input (?:\[.*\] )?(\w+);", text, re.MULTILINE)
    assert [name for name in inputs if re.search("clk|rst", name)] == ["clk", "rst"]
