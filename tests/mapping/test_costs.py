"""Truth: the preset files themselves, read line by line, and settings written here."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

import mapping
from eqprop import InputError, models
from mapping import Target
from mapping.costs import DEFAULT_COSTS
from mapping.target import PRESETS, preset_names

NAMES = preset_names("costs")


def test_three_scenarios_are_shipped_and_one_is_the_default() -> None:
    assert NAMES == ["digital-45nm", "ecram-analog", "isaac-32nm"]
    assert Target.load("ideal").costs.name == DEFAULT_COSTS == "isaac-32nm"


@pytest.mark.parametrize("name", NAMES)
def test_every_number_of_a_preset_has_its_source_beside_it(name: str) -> None:
    lines = Path(str(PRESETS / "costs" / f"{name}.yaml")).read_text().splitlines()
    numbers = [
        (above, line)
        for above, line in pairwise(lines)
        if re.match(r"^ *\w+: [\d{]", line) and not line.startswith("source")
    ]
    assert len(numbers) >= 19
    for above, line in numbers:
        assert "#" in line or above.startswith("#"), line
    assert Target.load("ideal", overrides=[f"costs={name}"]).costs.source


def test_energy_of_a_flop_is_power_over_what_is_reached_of_the_peak() -> None:
    processors = {name: Target.load("ideal", overrides=[f"costs={name}"]).costs.processor for name in NAMES}
    assert processors["isaac-32nm"].j_per_flop == pytest.approx(3.2e-12, rel=0.01)  # A100 of the energy accounting
    assert processors["ecram-analog"].j_per_flop == pytest.approx(2.4e-12, rel=0.03)  # H100


def test_single_numbers_can_be_set(tmp_path: Path) -> None:
    target = Target.load("ideal", overrides=["costs=ecram-analog", "costs.mac_j=2.0e-12"])
    assert (target.costs.name, target.costs.mac_j) == ("ecram-analog", 2e-12)
    assert Target.load("ideal", overrides=["costs.pulse_j=0.5"]).costs.pulse_j == 0.5


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("costs=gold", "cost 'gold': no such preset or file"),
        ("costs.mac_j=-1", "greater than or equal to 0"),
        ("costs.adc_pj=3", "costs.adc_pj"),
        ("costs.processor.utilisation=1.5", "less than or equal to 1"),
    ],
)
def test_what_no_scenario_can_be_is_refused(setting: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        Target.load("ideal", overrides=[setting])


def test_a_file_names_its_costs_and_its_mistakes_have_lines(tmp_path: Path) -> None:
    path = tmp_path / "target.yaml"
    head = "name: mine\ncrossbar: {rows: 8, columns: 8}\ndevice: ideal\n"
    path.write_text(head + "costs: digital-45nm\n")
    assert Target.load(path).costs.name == "digital-45nm"
    path.write_text(head + "costs: nothing\n")
    with pytest.raises(InputError, match=r"target\.yaml:4: cost 'nothing'"):
        Target.load(path)


def test_a_compiled_directory_keeps_its_costs(tmp_path: Path) -> None:
    network = models.build("hopfield-resnet", classes=3, size=8, width=0.1)
    target = Target.load("ideal", (32, 32), ["costs=ecram-analog", "costs.mac_j=2.0e-12"])
    mapping.compile(network, target).save(tmp_path)
    assert mapping.Mapping.load(tmp_path).target.costs == target.costs
