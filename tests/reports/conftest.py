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
def gradient_record() -> dict[str, Any]:
    """As hwmap simulate --phase nudged records; no two figures are equal."""

    def row(shift: float) -> dict[str, float | None]:
        cosines = {"cosine": 0.5 + shift, "cosine_own_weights": 0.7 + shift}
        return {**cosines, "norm_ratio": 1.5 + shift, "norm_ratio_own_weights": 1.25 + shift}

    return {
        "fidelity": {"all": row(0.01), "h1_h2": row(0.02), "input_h1": row(0.03)},
        "against": {
            "beta": {"0.03": row(0.04), "0.1": row(0.05), "0.3": row(0.06)},
            "adc_bits": {"10": row(0.07), "4": row(0.08), "8": row(0.09)},
            "dac_bits": {"8": row(0.11)},
            "average": {"1": row(0.12), "16": row(0.13), "4": row(0.14)},
        },
        "beta": 0.1,
        "beta_reason": "beta 0.1: bias and noise balance",
        "samples": 64,
        "chips": 2,
        "age_s": 0.0,
        "seed": 3,
        "data": "digits",
        "target": "rram-hfo2",
        "nudges": "+-",
        "seconds": 12.5,
        "mapping": "hash",
    }


@pytest.fixture
def learning_record() -> dict[str, Any]:
    """As hwmap simulate --learn records."""

    def chip(before: float, after: float, curve: list[list[float]]) -> dict[str, Any]:
        return {
            "before": before,
            "after": after,
            "curve": curve,
            "pulses_per_device": 12.25,
            "most_pulses": 1234,
            "writes_per_device": 0.0,
            "most_writes": 0,
            "write_attempts": 0.0,
            "failed_writes": 0,
            "saturated_lines": 0.0625,
        }

    return {
        "per_chip": [
            chip(0.5, 0.75, [[0, 0.5], [10, 0.625], [20, 0.75]]),
            chip(0.25, 0.5, [[0, 0.25], [10, 0.5]]),
        ],
        "accuracy_ideal": 0.9375,
        "samples": 200,
        "labelled": 1437,
        "chips": 2,
        "age_s": 3600.0,
        "seed": 5,
        "steps": 20,
        "batch": 16,
        "update": "pulses",
        "trains": "stochastic",
        "rate": 0.05,
        "beta": 0.3,
        "data": "digits",
        "target": "ecram",
        "seconds": 9.5,
        "mapping": "hash",
    }


@pytest.fixture
def cost_record() -> dict[str, Any]:
    """As hwmap cost records: two scenarios, of which the second prices an inference alone."""

    def against(joules: float, energy_j: float, learns: bool) -> dict[str, Any]:
        caps = {"programming": 64.0 if learns else None, "digital_outer_product": None}
        return {"flop": 1000, "joules": joules, "ratio": joules / energy_j, "caps": caps}

    def priced(scale: float, learns: bool) -> dict[str, Any]:
        components = {"adc": 4e-9 * scale, "memory": 3e-9 * scale, "dac": 1e-9 * scale, "pulses": 0.0}
        energy_j = sum(components.values())
        return {
            "energy_j": energy_j,
            "latency_s": 2.5e-4,
            "area_m2": 3e-8,
            "by_component_j": components,
            "by_coupling_j": {"(digital)": 3e-9 * scale, "h1_h2": 2e-9 * scale, "input_h1": 3e-9 * scale},
            "dominating": "adc",
            "dominating_share": 0.5,
            "unpriced": [],
            "processor": {
                "name": "A100",
                "against": {
                    "same_work": against(3.2e-8, energy_j, learns),
                    "dense": against(3.2e-8, energy_j, learns),
                    "backpropagation": against(4e-9, energy_j, learns),
                },
            },
            "caps_by_formula": {"programming": 61.5 if learns else None, "digital_outer_product": None},
            "assumptions": ["half of the lines", f"scale {scale:g}"],
        }

    return {
        "scenarios": {
            "cheap": {"inference": priced(1.0, False), "ep-step": priced(2.0, True)},
            "dear": {"inference": priced(100.0, False)},
        },
        "batch": 128,
        "active": 0.5,
        "target_costs": "cheap",
        "seconds": 0.1,
        "mapping": "hash",
    }


@pytest.fixture
def studies(
    gradient_record: dict[str, Any], learning_record: dict[str, Any], cost_record: dict[str, Any]
) -> dict[str, dict[str, dict[str, Any]]]:
    """One record of each kind, as reports.write takes them."""
    return {
        "gradients": {"a.json": gradient_record},
        "learning": {"a.json": learning_record},
        "costs": {"a.json": cost_record},
    }


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Page]:
    def write(
        compiled: mapping.Mapping, *results: dict[str, Any], command: str = "hwmap report out", **studies: Any
    ) -> Page:
        path = tmp_path / "report.html"
        reports.write(compiled, results, path, command, **studies)
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
