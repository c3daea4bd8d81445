"""Truth: sums of parts, the formulas of the two caps, clocks of the timing, and simulated chips beside closed forms."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml

import eqprop
import mapping
from hwmap.commands.results import COSTS, recorded
from mapping import Mapping, Target
from mapping.target import costs_table
from tests.hwmap.test_bad_input import refused

NAMES = ["digital-45nm", "ecram-analog", "isaac-32nm"]
WORKS = ["inference", "ep-step"]


def compiled(directory: Path, model: str, *settings: str, **shape: Any) -> Path:
    network = eqprop.models.build(model, channels=1, size=8, seed=1, **shape)
    mapping.compile(network, Target.load("rram-hfo2", (32, 32), settings), low_rank="keep").save(directory)
    return directory


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("dense") / "out", "mlp", width=0.05)


@pytest.fixture(scope="module")
def convolutional(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = ("controller.free_sweeps=6", "controller.nudged_sweeps=3")
    return compiled(tmp_path_factory.mktemp("conv") / "out", "hopfield-resnet", *settings, width=0.1)


@pytest.fixture(scope="module")
def low_rank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("low_rank") / "out", "bilinear", units=40, rank=4, modules=3)


@pytest.fixture
def cost(hwmap: Any) -> Any:
    def run(directory: Path, *arguments: str) -> dict[str, Any]:
        done = hwmap("cost", directory, *arguments, "--json")
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        assert isinstance(result, dict)
        return result

    return run


@pytest.mark.parametrize("network", ["dense", "convolutional", "low_rank"])
def test_totals_are_the_sums_of_their_parts(cost: Any, network: str, request: pytest.FixtureRequest) -> None:
    directory = request.getfixturevalue(network)
    result, mapped = cost(directory), Mapping.load(directory)
    assert list(result["scenarios"]) == NAMES
    for works in result["scenarios"].values():
        assert list(works) == WORKS
        for one in works.values():
            for parts, total in (("_j", "energy_j"), ("_m2", "area_m2")):
                for by in ("by_component", "by_coupling"):
                    assert math.fsum(one[by + parts].values()) == pytest.approx(one[total], rel=1e-12)
            assert set(one["by_coupling_j"]) == {*mapped.chains, "(digital)"}
            most = max(one["by_component_j"].values())
            assert one["by_component_j"][one["dominating"]] == most
            assert one["dominating_share"] == pytest.approx(most / one["energy_j"])
        timing = mapped.timing
        clocks = {"inference": timing.inference_clocks, "ep-step": timing.ep_step_clocks}
        assert {work: one["latency_s"] for work, one in works.items()} == pytest.approx(
            {work: timing.seconds(count) for work, count in clocks.items()}
        )


def test_each_scenario_learns_in_its_own_way(cost: Any, dense: Path) -> None:
    """Pulses and outer products are the scenario's own, not those of the target's prices: counted by hand."""
    mapped, result = Mapping.load(dense), cost(dense, "--batch", "16")
    weights = sum(matrix.lowering.rows * matrix.lowering.columns for matrix in mapped.matrices.values())
    for name in NAMES:
        prices, one = costs_table(name), result["scenarios"][name]["ep-step"]
        learning = prices["learning"]
        pulses = 2 * weights * learning["pulses_per_device"] / 16
        assert one["by_component_j"]["pulses"] == pytest.approx(pulses * prices["pulse_j"])
        verified = 2 * weights * learning["verify_reads_per_device"] / 16
        assert one["by_component_j"]["verification"] == pytest.approx(verified * prices["verify_j"])
        macs = 2 * weights if learning["product"] == "digital" else 0
        assert one["outer_product_j"] == pytest.approx(macs * prices["mac_j"])
        assert result["scenarios"][name]["inference"]["by_component_j"]["pulses"] == 0.0


@pytest.mark.parametrize("batch", [1, 128])
def test_caps_of_dense_weights_are_the_formulas(cost: Any, dense: Path, batch: int) -> None:
    """6 B e / (2 n_p E_p) and 3 e / e_MAC, for two devices a weight and weights that a sample uses once."""
    result = cost(dense, "--work", "ep-step", "--batch", str(batch))
    for name, works in result["scenarios"].items():
        prices, one = costs_table(name), works["ep-step"]
        processor = prices["processor"]
        e = processor["watt"] / (processor["flop_per_s"] * processor["utilisation"])
        writing = 6 * batch * e / (2 * prices["learning"]["pulses_per_device"] * prices["pulse_j"])
        assert one["caps"]["programming"] == pytest.approx(writing)
        if prices["learning"]["product"] == "digital":
            assert one["caps"]["digital_outer_product"] == pytest.approx(3 * e / prices["mac_j"])
        else:
            assert one["caps"]["digital_outer_product"] is None
        assert one["caps_by_formula"] == pytest.approx(one["caps"])


@pytest.mark.parametrize("network", ["dense", "convolutional", "low_rank"])
def test_every_ratio_has_caps_and_stays_below_them(cost: Any, network: str, request: pytest.FixtureRequest) -> None:
    for works in cost(request.getfixturevalue(network))["scenarios"].values():
        for work, one in works.items():
            against = one["processor"]["against"]
            assert set(against) == {"same_work", "dense", "backpropagation"}
            for seen in against.values():
                assert seen["joules"] == pytest.approx(seen["flop"] * one["processor"]["j_per_flop"])
                assert seen["ratio"] == pytest.approx(seen["joules"] / one["energy_j"])
                caps = [cap for cap in seen["caps"].values() if cap is not None]
                assert len(caps) == (0 if work == "inference" else 1 + (one["outer_product_j"] > 0))
                assert all(seen["ratio"] < cap for cap in caps)
            assert any("not shown to be equally accurate" in said for said in one["assumptions"])


def test_a_convolution_may_pass_the_formula_of_writing_but_not_its_cap(cost: Any, convolutional: Path) -> None:
    """Its weights are used at every position and written once: the cap is the formula times uses over weights."""
    mapped = Mapping.load(convolutional)
    one = cost(convolutional, "--costs", "isaac-32nm")["scenarios"]["isaac-32nm"]["ep-step"]
    lowered = [matrix.lowering for matrix in mapped.matrices.values()]
    weights = sum(low.rows * low.columns for low in lowered)
    uses = sum(low.rows * low.columns * low.positions for low in lowered)
    assert one["caps"]["programming"] == pytest.approx(one["caps_by_formula"]["programming"] * uses / weights)
    assert uses > 2 * weights


def test_what_lines_are_driven_with_moves_only_what_drives_cost(cost: Any, dense: Path) -> None:
    one, other = (cost(dense, "--active", share)["scenarios"]["isaac-32nm"]["inference"] for share in ("0.25", "0.5"))
    for part, joule in one["by_component_j"].items():
        times = 2.0 if part in ("devices", "lines", "dac") else 1.0
        assert other["by_component_j"][part] == pytest.approx(times * joule), part
    third = cost(dense, "--mean-square", "0.1")["scenarios"]["isaac-32nm"]["inference"]
    for part, joule in other["by_component_j"].items():
        times = 0.3 if part in ("devices", "lines") else 1.0
        assert third["by_component_j"][part] == pytest.approx(times * joule), part


def test_a_target_with_prices_of_its_own_is_shown_beside_the_presets(cost: Any, tmp_path: Path) -> None:
    directory = compiled(tmp_path / "out", "mlp", "costs.mac_j=7.0e-12", width=0.05)
    result = cost(directory, "--work", "inference")
    assert list(result["scenarios"]) == [*NAMES, "isaac-32nm (target)"]
    arithmetic = [result["scenarios"][name]["inference"]["by_component_j"]["arithmetic"] for name in NAMES[2:]]
    assert result["scenarios"]["isaac-32nm (target)"]["inference"]["by_component_j"]["arithmetic"] > arithmetic[0]


def test_what_was_priced_is_recorded_for_this_mapping_alone(cost: Any, hwmap: Any, tmp_path: Path) -> None:
    directory = compiled(tmp_path / "out", "mlp", width=0.05)
    whole = cost(directory)
    one = cost(directory, "--work", "inference", "--costs", "ecram-analog")
    found = recorded(directory, COSTS)
    plain = [{key: value for key, value in each.items() if key != "mapping"} for each in found.values()]
    assert plain in ([whole, one], [one, whole])
    compiled(directory, "mlp", width=0.1)
    assert len(recorded(directory, COSTS)) == 0


def test_tables_show_totals_parts_and_caps(hwmap: Any, low_rank: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    done = hwmap("cost", low_rank)
    assert done.returncode == 0, done.stderr
    for words in (*NAMES, "inference", "ep-step", "verification", "input_h1", "cap: writes", "61.5 x", "A100 at 40%"):
        assert words in done.stdout, words


def test_a_simulated_chip_costs_what_the_closed_form_says(cost: Any, hwmap: Any, convolutional: Path) -> None:
    """To rounding where states do not matter; where they do, no more than all lines at full scale would cost."""
    run = ("simulate", convolutional, "--data", "digits", "--samples", "12", "--json")
    first = json.loads(hwmap(*run, "--chips", "2").stdout)
    driven = cost(convolutional, "--work", "inference", "--costs", "isaac-32nm", "--active", "1")
    closed = driven["scenarios"]["isaac-32nm"]["inference"]
    assert first["costs"] == "isaac-32nm"
    assert first["latency_s"] == pytest.approx(closed["latency_s"])
    assert first["energy_j"] == pytest.approx(math.fsum(first["energy_by_component_j"].values()))
    assert set(first["energy_by_component_j"]) == set(closed["by_component_j"])
    for part, joule in first["energy_by_component_j"].items():
        if part == "dac":
            assert 0.0 < joule <= closed["by_component_j"][part]
        elif part in ("devices", "lines"):  # a mean square of 1 instead of 1/3; programming errors of devices
            assert 0.0 < joule <= 1.1 * closed["by_component_j"][part] / driven["mean_square"]
        else:
            assert joule == pytest.approx(closed["by_component_j"][part], rel=1e-9), part
    more = json.loads(hwmap(*run, "--sweeps", "12").stdout)
    assert more["latency_s"] > 1.8 * first["latency_s"]
    # The controller is paid by the clock, whatever the sweeps.
    per_second = [one["energy_by_component_j"]["controller"] / one["latency_s"] for one in (first, more)]
    assert per_second[0] == pytest.approx(per_second[1])
    assert "an inference takes" in hwmap(*run[:-1]).stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--work", "training"), ("--work training", "ep-step")),
        (("--costs", "gold"), ("--costs gold", "isaac-32nm")),
        (("--batch", "0"), ("--batch 0", "at least 1")),
        (("--active", "1.5"), ("--active 1.5", "share")),
        (("--active", "nan"), ("--active nan", "share")),
        (("--mean-square", "-0.1"), ("--mean-square -0.1", "share")),
    ],
)
def test_values_that_make_no_sense_are_refused(
    hwmap: Any, tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    directory = compiled(tmp_path / "out", "mlp", width=0.05)
    refused(hwmap("cost", directory, *arguments), *words)
    assert not (directory / "costs").exists()


def test_no_directory_and_files_that_disagree_are_refused(hwmap: Any, dense: Path, tmp_path: Path) -> None:
    refused(hwmap("cost", "nowhere", cwd=tmp_path), "nowhere", "mapping.yaml")
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(costs_table("isaac-32nm") | {"mac_j": 1e-12}))
    twice = ("--costs", "isaac-32nm", "--costs", "mine.yaml")
    refused(hwmap("cost", dense, *twice, cwd=tmp_path), "--costs mine.yaml", "called isaac-32nm")
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(costs_table("isaac-32nm") | {"mac_j": -1.0}))
    refused(hwmap("cost", dense, "--costs", "mine.yaml", cwd=tmp_path), "mine.yaml:", "mac_j")
