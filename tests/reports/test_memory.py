"""Buffers of the report against an allocation written by hand."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from mapping.memory import Buffer, allocate
from reports.memory import MAX_BUFFERS_LISTED, buffers, memory_figure, unshared_bytes

ALWAYS, FIRST, SECOND = frozenset({("free", 1), ("free", 2)}), frozenset({("free", 1)}), frozenset({("free", 2)})


def test_buffers_come_by_address_and_sharing_is_what_it_saves() -> None:
    memory = allocate([Buffer("a", 10, FIRST), Buffer("b", 8, SECOND), Buffer("c", 20, ALWAYS)])
    shown = buffers(memory)
    assert [(name, slot.address) for name, slot in shown.listed] == [("c", 0), ("a", 20), ("b", 20)]
    assert (shown.others, shown.other_bytes) == (0, 0)
    assert (memory.bytes, unshared_bytes(memory)) == (32, 40)  # 10 bytes take 12: whole words


def test_of_many_buffers_the_largest_are_listed_and_the_rest_summed() -> None:
    sizes = range(1, MAX_BUFFERS_LISTED + 4)
    memory = allocate([Buffer(f"b{size}", size, ALWAYS) for size in sizes])
    shown = buffers(memory)
    assert len(shown.listed) == MAX_BUFFERS_LISTED
    assert (shown.others, shown.other_bytes) == (3, 1 + 2 + 3)
    assert sum(slot.bytes for _, slot in shown.listed) + shown.other_bytes == sum(sizes)


def test_the_limit_has_a_bar_only_if_there_is_one() -> None:
    memory = allocate([Buffer("a", 10, FIRST)])
    without, limited = memory_figure(memory, None), memory_figure(memory, 4096)
    for drawing in (without, limited):
        assert ElementTree.fromstring(drawing).tag.endswith("svg")
    assert "var(--orange)" not in without
    assert "var(--orange)" in limited
    assert "<svg" in memory_figure(allocate([]), None)
