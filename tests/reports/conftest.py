"""Small compiled networks, recorded results, and a reader of HTML that browsers' rules apply to."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch

import eqprop
import mapping
import reports
from eqprop import Conv2d, CrossEntropy, Dense, Edge, EnergyNetwork, Layer, LowRank, MaxPool2d


class Page(HTMLParser):
    """Tags with their attributes, visible text, and the cells of every table row."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        self.rows: list[list[str]] = []
        self._hidden = 0
        self._cell: list[str] | None = None
        self.feed(html)
        self.text = " ".join(" ".join(self.pieces).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._hidden += tag in ("style", "title", "svg")
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self._cell = []

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("style", "title", "svg")
        if tag in ("td", "th") and self._cell is not None:
            self.rows[-1].append(" ".join("".join(self._cell).split()))
            self._cell = None

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.pieces.append(data)
        if self._cell is not None:
            self._cell.append(data)

    def row(self, first: str, columns: int) -> list[str]:
        """The one table row of ``columns`` cells that starts with ``first``."""
        (found,) = [row for row in self.rows if row and row[0] == first and len(row) == columns]
        return found


@pytest.fixture(scope="session")
def compiled() -> mapping.Mapping:
    network = eqprop.models.build("hopfield-resnet", width=0.25)
    target = mapping.Target.load("rram-hfo2", crossbar=(64, 64))
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return mapping.compile(network, target, images)


@pytest.fixture(scope="session")
def copied() -> mapping.Mapping:
    """With copies, a placement on two chips, little state memory to spare and one lane: rounds wait for it."""
    network = eqprop.models.build("hopfield-resnet", width=0.25)
    settings = ["chip.mesh=[3,4]", "chip.link_hops=5", "controller.memory_bytes=30000", "controller.lanes=1"]
    return mapping.compile(network, mapping.Target.load("rram-hfo2", (64, 64), settings), budget=22)


@pytest.fixture(scope="session")
def low_rank() -> mapping.Mapping:
    """A low-rank coupling in two factors, a pooled convolution and a cross-entropy readout."""
    layers = {"x": Layer((1, 6, 6)), "c": Layer((3, 3, 3)), "h": Layer((8,))}
    couplings = {
        "x_c": Conv2d((1, 6, 6), 3, (3, 3), (1, 1), (1, 1)),
        "c_h": LowRank((3, 3, 3), (8,), 2),
        "readout": Dense((8,), (4,)),
    }
    for coupling in couplings.values():
        coupling.initialise(0.4, torch.Generator().manual_seed(0))
    edges = [Edge("x_c", "x", "c", MaxPool2d(2, 2)), Edge("c_h", "c", "h")]
    network = EnergyNetwork(layers, ["x"], edges, couplings, CrossEntropy("h", "readout", 4))
    return mapping.compile(network, mapping.Target.load("rram-hfo2", (16, 16)), low_rank="keep")


@pytest.fixture
def result() -> dict[str, Any]:
    return {
        "accuracy": 0.905,
        "accuracy_per_chip": [0.90, 0.91],
        "accuracy_ideal": 0.9375,
        "samples": 400,
        "chips": 2,
        "age_s": 0.0,
        "seed": 7,
        "residual": 0.0123,
        "sweeps": 42,
        "data": "digits",
        "target": "rram-hfo2",
        "seconds": 3.5,
    }


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Page]:
    def write(compiled: mapping.Mapping, *results: dict[str, Any], command: str = "hwmap report out") -> Page:
        path = tmp_path / "report.html"
        reports.write(compiled, results, path, command)
        return Page(path.read_text(encoding="utf-8"))

    return write


@pytest.fixture(scope="session")
def plain(compiled: mapping.Mapping, tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page of ``compiled`` without results."""
    return page_of(compiled, tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="session")
def copied_page(copied: mapping.Mapping, tmp_path_factory: pytest.TempPathFactory) -> Page:
    return page_of(copied, tmp_path_factory.mktemp("copied"))


@pytest.fixture(scope="session")
def low_rank_page(low_rank: mapping.Mapping, tmp_path_factory: pytest.TempPathFactory) -> Page:
    return page_of(low_rank, tmp_path_factory.mktemp("low_rank"))


def page_of(made: mapping.Mapping, folder: Path) -> Page:
    reports.write(made, [], folder / "report.html", "hwmap report out")
    return Page((folder / "report.html").read_text(encoding="utf-8"))
