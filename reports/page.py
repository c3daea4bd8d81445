"""The report page: what the template shows, gathered from a mapping and its results."""

from __future__ import annotations

import math
from collections.abc import Mapping as Table
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from eqprop.atomic import replacing
from mapping import Mapping
from mapping.encoding import devices_per_weight
from mapping.hardware import Cell
from reports import figures, quantities
from reports import schedule as times
from reports.conductances import distributions
from reports.costs_figure import words as component_words
from reports.matrices import matrix_rows, short_kinds
from reports.memory import buffers, memory_figure, unshared_bytes
from reports.network_figure import in_order, network_figure
from reports.parameters import parameters
from reports.placement_figure import placement_figure, placement_words
from reports.results import Result, read
from reports.schedule_figure import schedule_figure
from reports.studies import Records, Studies, read_studies, studies_content

TEMPLATE = "template.html"
NONE: Records = {}


def write(
    mapping: Mapping,
    results: Sequence[Table[str, Any]] | Records,
    path: Path,
    command: str,
    *,
    gradients: Records = NONE,
    learning: Records = NONE,
    costs: Records = NONE,
) -> None:
    """Write one self-contained HTML file about ``mapping`` to ``path``, whole or not at all.

    Same mapping, records and command: same bytes.

    Args:
        results: what ``hwmap simulate`` recorded for this mapping, by file or in any order; none is fine, as below.
        command: the command line that asked for the report, to be shown in it.
        gradients: what ``hwmap simulate --phase nudged`` recorded, by file.
        learning: what ``hwmap simulate --learn`` recorded, by file.
        costs: what ``hwmap cost`` recorded, by file.

    Raises:
        InputError: naming the file, if a record lacks a field or holds a value that no such command records.
    """
    page = render(mapping, read(results), command, read_studies(gradients, learning, costs))
    with replacing(path) as aside:
        aside.write_text(page, encoding="utf-8", errors="replace", newline="\n")  # a lone surrogate in a name


def render(mapping: Mapping, results: Sequence[Result], command: str, studies: Studies) -> str:
    """The page as text."""
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FunctionLoader(template_text),
    )
    environment.filters.update(
        percent=quantities.percent,
        points=quantities.points,
        age=quantities.age,
        shape=quantities.shape,
        plural=quantities.plural,
        si=quantities.si,
        seconds=quantities.seconds,
        bytes=quantities.bytes_words,
        times=quantities.times,
        component=component_words,
    )
    shown = content(mapping, results, command) | studies_content(mapping, studies)
    return environment.get_template(TEMPLATE).render(shown)


def template_text(name: str) -> str:
    """A template by its path in this package."""
    return resources.files("reports").joinpath(name).read_text(encoding="utf-8")


def content(mapping: Mapping, results: Sequence[Result], command: str) -> dict[str, Any]:
    """Everything the template names."""
    rows, timing = matrix_rows(mapping), mapping.timing
    placement, mesh = mapping.placement, mapping.target.chip.mesh
    spread = distributions(mapping)
    largest = figures.largest_only(spread, figures.MAX_PANELS, lambda entry: entry.devices)
    bars = figures.largest_only(rows, figures.MAX_BARS, lambda row: row.crossbars)
    return {
        "mapping": mapping,
        "target": mapping.target,
        "device": mapping.target.device,
        "command": command,
        "headline": headline(results),
        "seeds": sorted({result.seed for result in results}),
        "layers": layer_rows(mapping),
        "matrices": rows,
        "full_scale_sources": sorted({row.forward_source for row in rows} | {row.transposed_source for row in rows}),
        "network_figure": network_figure(mapping.network, short_kinds(mapping)),
        "bars": bars,
        "bars_figure": figures.matrix_bars(
            [row.name for row in bars], [row.crossbars for row in bars], [row.utilization for row in bars]
        ),
        "distributions": spread,
        "histograms": largest,
        "histograms_figure": figures.conductance_histograms(largest, mapping.target.device),
        "groups": [
            (group, figures.accuracy_over_age(group, f"accuracy{number}"))
            for number, group in enumerate(grouped(results), start=1)
        ],
        "parameters": parameters(mapping.target),
        "timing": timing,
        "schedule_rows": times.schedule_rows(mapping),
        "schedule_figure": schedule_figure(timing),
        "nudged_rounds": any(step.nudged_rounds for step in mapping.schedule.steps),
        "durations": times.durations(mapping),
        "bottleneck": times.bottleneck(mapping),
        "balance": times.balance(timing),
        "target_timings": times.target_timings(mapping),
        "placement_figure": placement_figure(mapping, placement, mesh) if placement and mesh else None,
        "placement_words": placement_words(placement, mesh) if placement and mesh else "",
        "buffers": buffers(mapping.memory),
        "unshared_bytes": unshared_bytes(mapping.memory),
        "memory_figure": memory_figure(mapping.memory, mapping.target.controller.memory_bytes),
        "weight_devices": weight_devices(mapping.target.cell),
    }


def headline(results: Sequence[Result]) -> Result | None:
    """The run that speaks for the mapping: most samples, then youngest, then most chips."""
    return min(results, key=lambda run: (-run.samples, run.age_s, -run.chips, run.data, run.seed), default=None)


def grouped(results: Sequence[Result]) -> list[list[Result]]:
    """Runs on the same images side by side: by data set, then by number of samples, each by age and seed."""
    groups: dict[tuple[str, int], list[Result]] = {}
    for result in sorted(results, key=lambda run: (run.data, run.samples, run.age_s, run.seed, run.chips)):
        groups.setdefault((result.data, result.samples), []).append(result)
    return list(groups.values())


def layer_rows(mapping: Mapping) -> list[dict[str, Any]]:
    network = mapping.network
    rows = []
    for name in in_order(network):
        layer, scale = network.layers[name], mapping.layers[name]
        rows.append(
            {
                "name": name,
                "role": "clamped input" if name in network.inputs else "output" if name == network.cost.layer else "",
                "shape": quantities.shape(layer.shape),
                "units": layer.size,
                "clip": clip_words(layer.clip),
                "stiffness": f"{layer.stiffness:g}",
                "full_scale": f"{scale.full_scale:.4g}",
                "signed": "signed" if scale.signed else "unsigned",
                "source": scale.source,
            }
        )
    return rows


def clip_words(clip: tuple[float, float]) -> str:
    low, high = clip
    if math.isinf(low) and math.isinf(high):
        return "not clipped"
    return f"{low:g} to {high:g}"


def weight_devices(cell: Cell) -> str:
    """The devices of one weight in words."""
    one = "two neighbouring devices (G+ and G−) of a row" if cell.encoding == "differential" else "one device"
    if cell.slices == 1:
        return one
    return f"{one} in each of {cell.slices} slices, {devices_per_weight(cell)} in all"
