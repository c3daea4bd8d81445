"""The page against the mapping and the results it was made from: what they say is what it shows, and nothing more."""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import eqprop
import mapping
import reports
from eqprop.errors import InputError

LOADS = {"src", "srcset", "data", "poster", "action", "formaction", "background", "manifest", "ping"}
HOSTILE = '</code><script>alert("x")</script><img src=x onerror=alert(1)>&amp;'


def test_page_loads_nothing_from_anywhere(
    compiled: Any, result: dict[str, Any], studies: dict[str, Any], written: Callable[..., Any]
) -> None:
    page = written(compiled, result, **studies)
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "iframe", "object", "embed", "base", "form", "video", "audio", "image"}
    for tag, attributes in page.tags:
        for key, value in attributes.items():
            assert key not in LOADS or (value or "").startswith("data:"), (tag, key, value)
            assert not key.endswith("href") or (value or "").startswith("#"), (tag, key, value)
            assert not key.startswith("on"), (tag, key)
    assert "@import" not in page.html
    assert all(target.startswith("#") for target in re.findall(r"url\(\s*['\"]?([^)]*)\)", page.html))


def test_links_and_references_within_the_page_lead_somewhere(
    compiled: Any, result: dict[str, Any], studies: dict[str, Any], written: Callable[..., Any]
) -> None:
    twice = {kind: records | {"b.json": records["a.json"]} for kind, records in studies.items()}
    page = written(compiled, result, {**result, "samples": 100}, **twice)
    every = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    ids = set(every)
    assert len(every) == len(ids)
    used = {value[1:] for _, a in page.tags for key, value in a.items() if key.endswith("href") and value}
    used |= set(re.findall(r"url\(#([^)]*)\)", page.html))
    assert used - ids == set()


def test_every_layer_and_matrix_has_its_rows(compiled: Any, plain: Any) -> None:
    for name, layer in compiled.network.layers.items():
        row = plain.row(name, 9)
        assert row[2] == " × ".join(map(str, layer.shape))
        assert row[6] == f"{compiled.layers[name].full_scale:.4g}"
        assert row[8] == compiled.layers[name].source
    for name, matrix in compiled.matrices.items():
        row, lowering = plain.row(name, 9), matrix.lowering
        assert row[3] == f"{lowering.rows:,} × {lowering.columns:,}"
        conversions = [
            lowering.columns * len(lowering.row_spans) * lowering.positions,
            lowering.rows * len(matrix.column_spans) * lowering.positions,
        ]
        assert row[7:9] == [f"{count:,}" for count in conversions]
        assert plain.row(name, 6)[1:3] == ["1", str(len(matrix.tiles))]
        scales = plain.row(name, 7)
        assert scales[6].startswith(matrix.forward_source)
        assert float(scales[1]) == pytest.approx(matrix.weight_per_siemens * 1e-6, rel=1e-3)
        assert float(scales[2]) == pytest.approx(matrix.forward_full_scale, rel=1e-3)
        assert float(scales[3]) == pytest.approx(matrix.transposed_full_scale, rel=1e-3)
        amperes = [value * 1e6 for value in compiled.adc_full_scales_ampere(name)]
        assert [float(cell) for cell in scales[4:6]] == pytest.approx(amperes, rel=1e-3)
    assert "calibration on 4 images" in plain.text


def test_layers_are_told_from_input_to_output_whatever_order_they_are_stored_in(
    compiled: Any, written: Callable[..., Any]
) -> None:
    shuffled = copy.copy(compiled.network)
    shuffled.layers = dict(sorted(compiled.network.layers.items()))
    page = written(dataclasses.replace(compiled, network=shuffled))
    told = [row[0] for row in page.rows if len(row) == 9 and row[0] in shuffled.layers]
    assert told == ["input", "h1", "h2", "h3", "h4", "output"]


def test_summary_is_the_mappings_own(compiled: Any, plain: Any) -> None:
    assert f"Crossbars {compiled.crossbars:,} " in plain.text
    assert f"Tiles {compiled.tiles:,} " in plain.text
    assert f"Weights {compiled.weights:,} " in plain.text
    assert f"Utilization {compiled.utilization:.2%} " in plain.text
    assert "hwmap report out" in plain.text


@pytest.mark.parametrize(("which", "shown"), [("compiled", "plain"), ("copied", "copied_page")])
def test_utilizations_of_matrices_make_up_the_whole(which: str, shown: str, request: pytest.FixtureRequest) -> None:
    made, page = request.getfixturevalue(which), request.getfixturevalue(shown)
    rows = [next(row for row in page.rows if row[0] == name and row[-1].endswith("%")) for name in made.matrices]
    used = sum(int(row[3]) * float(row[5].rstrip("%")) / 100 for row in rows)
    assert used / made.crossbars == pytest.approx(made.utilization, abs=1e-3)


def test_copies_are_counted_listed_and_share_the_conversions(copied: Any, copied_page: Any) -> None:
    page = copied_page
    several = {name: matrix for name, matrix in copied.matrices.items() if len(matrix.replicas) > 1}
    assert several
    listed = [row for row in page.rows if len(row) == 6 and re.fullmatch(r"rows .+, columns .+", row[1])]
    assert len(listed) == sum(len(matrix.tiles) for matrix in several.values())
    for name, matrix in several.items():
        row = next(row for row in page.rows if row[0] == name and row[-1].endswith("%"))
        crossbars = {tile.crossbar for replica in matrix.replicas for tile in replica.tiles}
        assert row[1:4] == [str(len(matrix.replicas)), str(len(matrix.tiles)), str(len(crossbars))]
        forward = matrix.lowering.columns * len(matrix.lowering.row_spans) * matrix.lowering.positions
        assert page.row(name, 9)[7] == f"{forward:,}"
        assert f"{name}: {len(matrix.tiles)} tiles in {len(matrix.replicas)} copies" in page.text


def test_factors_of_a_low_rank_coupling_are_named_as_such(
    low_rank: Any, low_rank_page: Any, written: Callable[..., Any]
) -> None:
    page = low_rank_page
    for letter, joins in (("V", "c → bus"), ("U", "bus → h")):
        assert page.row(f"c_h.{letter}", 9)[1:3] == [joins, f"factor {letter}, low-rank, rank 2 kept as two reads"]
    merged = mapping.compile(low_rank.network, low_rank.target, low_rank="merge")
    assert written(merged).row("c_h", 9)[1:3] == ["c → h", "low-rank, rank 2 multiplied out"]


def test_every_round_is_listed_with_its_reads(copied: Any, copied_page: Any, low_rank: Any, low_rank_page: Any) -> None:
    for made, page in ((copied, copied_page), (low_rank, low_rank_page)):
        plan, timing = made.schedule, made.timing
        rounds = [*plan.prologue]
        for step in plan.steps:
            rounds += [*step.rounds, *step.nudged_rounds, None]
        rows = [row for row in page.rows if len(row) == 9 and row[8] in ("arrays", "lanes")]
        assert len(rows) == len([*rounds, *plan.answer])
        for row, reads in zip(rows, [*rounds, *plan.answer], strict=True):
            if reads is None:
                assert row[2] == "update"
                continue
            assert row[6] == f"{timing.round_clocks(reads):,}"
            for cell, way in ((row[3], "forward"), (row[4], "transposed")):
                names = [read.matrix for read in reads if read.direction == way]
                assert [word for word in cell.split() if word in made.matrices] == list(dict.fromkeys(names))
                for name in names:
                    assert (f"{name} ×{names.count(name)}" in cell) == (names.count(name) > 1)


def test_phases_are_shown_in_clocks_and_seconds(copied: Any, copied_page: Any) -> None:
    page, timing = copied_page, copied.timing
    for what, clocks in (
        ("Sweep", timing.sweep_clocks("free")),
        ("Nudged phase", timing.phase_clocks("nudged")),
        ("EP step", timing.ep_step_clocks),
    ):
        row = page.row(what, 4)
        assert row[2] == f"{clocks:,}"
        value, unit = row[3].split()
        assert float(value) * {"µs": 1e-6, "ms": 1e-3, "s": 1.0}[unit] == pytest.approx(clocks / 100e6, rel=5e-3)
    assert page.row("Lanes", 3)[1] == "1 code or states a clock"
    assert "is lane-bound" in page.text


def test_the_mesh_is_shown_or_said_to_be_missing(copied: Any, plain: Any, copied_page: Any) -> None:
    page = copied_page
    assert f"{copied.placement.byte_hops:,.0f} byte hops" in page.text
    assert f"{copied.placement.worst_hops} hops , where a border between chips counts 5" in page.text
    assert "on 2 chips of 3 × 4 sites" in page.text
    assert "The target names no mesh" not in page.text
    assert "The target names no mesh" in plain.text


def test_buffers_are_listed_by_address(copied: Any, copied_page: Any) -> None:
    page, memory = copied_page, copied.memory
    shown = [row for row in page.rows if len(row) == 3 and row[2] in memory.buffers]
    assert {row[2]: (row[0], row[1]) for row in shown} == {
        name: (f"{slot.address:,}", f"{slot.bytes:,}") for name, slot in memory.buffers.items()
    }
    addresses = [int(row[0].replace(",", "")) for row in shown]
    assert addresses == sorted(addresses)
    assert "the target has 30 kB" in page.text


def test_results_are_shown_as_recorded(compiled: Any, result: dict[str, Any], written: Callable[..., Any]) -> None:
    aged = {**result, "accuracy": 0.85, "accuracy_per_chip": [0.84, 0.86], "age_s": 86400.0, "seed": 8}
    page = written(compiled, aged, result)
    fresh_row = [
        "fresh",
        "0",
        "2",
        "7",
        "90.50%",
        "0.71",
        "90.00%",
        "91.00%",
        "93.75%",
        "−3.25",
        "42",
        "0.012",
        "3.5 s",
    ]
    assert page.row("fresh", 13) == fresh_row
    assert page.row("1 d", 13)[1:7] == ["86400", "2", "8", "85.00%", "1.41", "84.00%"]
    assert "Accuracy 90.50% −3.25 points from ideal" in page.text  # the young chips speak for the mapping
    assert "drawn with seeds 7, 8" in page.text
    assert page.text.count("digits, 400 test images") == 1


def test_results_on_other_images_stand_apart(
    low_rank: Any, result: dict[str, Any], written: Callable[..., Any]
) -> None:
    page = written(low_rank, result, {**result, "samples": 100}, {**result, "data": "mnist"})
    for heading in ("digits, 100 test images", "digits, 400 test images", "mnist, 400 test images"):
        assert heading in page.text


def test_without_results_the_page_says_how_to_get_some(compiled: Any, plain: Any) -> None:
    assert "hwmap simulate DIR --data SET" in plain.text
    assert "Accuracy not yet" in plain.text
    for command in ("simulate DIR --data SET --phase nudged", "simulate DIR --data SET --learn STEPS", "cost DIR"):
        assert f"hwmap {command} " in plain.text


def test_what_is_not_modelled_is_said(compiled: Any, plain: Any) -> None:
    for word in (
        "Wires",
        "I-V nonlinearity",
        "Time within a read",
        "Time between crossbars",
        "Some costs",
        "Time while a chip learns",
        "The digital controller",
        "Drift compensation",
    ):
        assert word in plain.text
    assert "Not counted here" not in plain.text


def test_long_couplings_are_summarised_and_short_ones_listed(written: Callable[..., Any]) -> None:
    network = eqprop.models.build("mlp")
    compiled = mapping.compile(network, mapping.Target.load("ideal", crossbar=(64, 64)))
    page = written(compiled)
    tiles = {name: len(matrix.tiles) for name, matrix in compiled.matrices.items()}
    assert sorted(count > 60 for count in tiles.values()) == [False, True]
    listed = [row for row in page.rows if len(row) == 4 and re.fullmatch(r"\d+, \d+", row[3])]
    assert len(listed) == min(tiles.values())
    assert "ADCs are ideal" in page.text


@pytest.mark.parametrize("model", ["mlp", "vgg5"])
def test_a_softmax_readout_is_a_coupling_too(model: str, written: Callable[..., Any]) -> None:
    network = eqprop.models.build(model, width=0.05, cost="cross-entropy")
    compiled = mapping.compile(network, mapping.Target.load("pcm-gst", overrides=["cell.encoding=offset"]))
    page = written(compiled)
    assert page.row("readout", 9)[1].endswith("→ softmax")
    assert "one device" in page.text


def renamed(compiled: mapping.Mapping, old: str, new: str) -> mapping.Mapping:
    """The mapping with a layer name that no network would accept but an edited object may carry."""
    network = copy.copy(compiled.network)
    other = {old: new}
    network.layers = {other.get(name, name): layer for name, layer in network.layers.items()}
    network.free = tuple(other.get(name, name) for name in network.free)
    network.edges = tuple(
        dataclasses.replace(e, pre=other.get(e.pre, e.pre), post=other.get(e.post, e.post)) for e in network.edges
    )
    layers = {other.get(name, name): scale for name, scale in compiled.layers.items()}
    steps = tuple(
        dataclasses.replace(step, layers=tuple(other.get(name, name) for name in step.layers))
        for step in compiled.schedule.steps
    )
    schedule = dataclasses.replace(compiled.schedule, steps=steps)
    return dataclasses.replace(compiled, network=network, layers=layers, schedule=schedule)


def test_hostile_names_stay_text(
    compiled: Any, result: dict[str, Any], studies: dict[str, Any], written: Callable[..., Any]
) -> None:
    gradients, learning, costs = (studies[kind]["a.json"] for kind in ("gradients", "learning", "costs"))
    gradients |= {"data": HOSTILE, "beta_reason": HOSTILE, "nudges": HOSTILE, "target": HOSTILE}
    gradients["fidelity"][HOSTILE] = gradients["fidelity"]["all"]
    learning |= {"data": HOSTILE, "trains": HOSTILE, "target": HOSTILE}
    works = costs["scenarios"].pop("cheap")
    costs["scenarios"][HOSTILE] = works
    inference = works["inference"]
    inference |= {"dominating": HOSTILE, "assumptions": [HOSTILE], "unpriced": [HOSTILE]}
    inference["processor"]["name"] = HOSTILE
    for table in ("by_component_j", "by_coupling_j"):
        inference[table] = {HOSTILE: inference["energy_j"]}
    device = compiled.target.device.model_copy(update={"name": HOSTILE, "source": HOSTILE})
    target = compiled.target.model_copy(update={"name": HOSTILE, "source": HOSTILE, "device": device})
    hostile = dataclasses.replace(renamed(compiled, "h1", HOSTILE), target=target)
    page = written(hostile, {**result, "data": HOSTILE, "target": HOSTILE + "2"}, command=HOSTILE, **studies)
    assert "<script" not in page.html
    assert not {tag for tag, _ in page.tags} & {"script", "img"}
    assert page.text.count(HOSTILE) > 20
    assert page.row(HOSTILE, 9)[2] == "16 × 8 × 8"


def test_names_in_any_script_or_with_dollars_do_not_stop_the_page(low_rank: Any, written: Callable[..., Any]) -> None:
    for name in ("層$x_1$ $" + "n" * 500, "a\nb\0c\ud800"):
        written(renamed(low_rank, "c", name))


def test_same_input_gives_the_same_bytes(
    low_rank: Any, result: dict[str, Any], studies: dict[str, Any], tmp_path: Path
) -> None:
    for name in ("a.html", "b.html"):
        reports.write(low_rank, [result], tmp_path / name, "hwmap report out", **studies)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_order_of_results_does_not_matter(low_rank: Any, result: dict[str, Any], written: Callable[..., Any]) -> None:
    aged = {**result, "age_s": 3600.0}
    assert written(low_rank, result, aged).html == written(low_rank, aged, result).html


def test_a_bad_result_leaves_the_old_page_alone(low_rank: Any, result: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    with pytest.raises(InputError, match="result 2: field accuracy: 'high'"):
        reports.write(low_rank, [result, {**result, "accuracy": "high"}], path, "hwmap report out")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_result_in_a_file_is_named_by_it(low_rank: Any, result: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^out/results/x\.json: field accuracy: 'high'"):
        reports.write(low_rank, {"out/results/x.json": {**result, "accuracy": "high"}}, tmp_path / "a", "hwmap report")


def test_a_failed_write_leaves_nothing_behind(low_rank: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(self: Path, text: str, **options: Any) -> int:
        self.write_bytes(text[:100].encode())
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(OSError, match="No space left"):
        reports.write(low_rank, [], tmp_path / "report.html", "hwmap report out")
    assert list(tmp_path.iterdir()) == []
