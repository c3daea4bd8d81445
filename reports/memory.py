"""What the report says about the controller's state memory."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.figure import Figure

from mapping.memory import Memory, Slot, words
from reports.figures import BLUE, GREEN, MUTED, ORANGE, render
from reports.quantities import bytes_words

MAX_BUFFERS_LISTED = 40


@dataclass(frozen=True)
class Buffers:
    """The largest buffers by address, and how many others there are of how many bytes together."""

    listed: tuple[tuple[str, Slot], ...]
    others: int
    other_bytes: int


def buffers(memory: Memory) -> Buffers:
    largest = sorted(memory.buffers.items(), key=lambda entry: -entry[1].bytes)
    listed, rest = largest[:MAX_BUFFERS_LISTED], largest[MAX_BUFFERS_LISTED:]
    in_order = sorted(listed, key=lambda entry: (entry[1].address, entry[0]))
    return Buffers(tuple(in_order), len(rest), sum(slot.bytes for _, slot in rest))


def unshared_bytes(memory: Memory) -> int:
    """What the buffers would take if no two of them shared addresses."""
    return sum(words(slot.bytes) for slot in memory.buffers.values())


def memory_figure(memory: Memory, limit: int | None) -> Markup:
    """Bars of what is needed, what is alive at most, what sharing saves, and what there is."""
    bars = [
        ("needed", memory.bytes, BLUE),
        ("alive at most", memory.peak, GREEN),
        ("if none shared", unshared_bytes(memory), MUTED),
    ]
    if limit is not None:
        bars.append(("there is", limit, ORANGE))

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        largest = max(size for _, size, _ in bars) or 1
        for row, (_, size, colour) in enumerate(bars):
            axes.barh(row, size / largest, color=colour, height=0.62)
            axes.annotate(
                bytes_words(size), (size / largest, row), (4, 0), textcoords="offset points", va="center", fontsize=8
            )
        axes.set_yticks(range(len(bars)), [label for label, _, _ in bars])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(bars) - 0.4, -0.6)
        axes.set_xlim(0, 1.16)
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)

    return render("memory-bars", 7.0, 0.2 + 0.27 * len(bars), paint)
