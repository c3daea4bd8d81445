"""Every parameter of a target with where its value comes from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mapping.costs import Costs
from mapping.device import Device
from mapping.target import Kind, Target, costs_table, device_table, find, preset_names
from mapping.yaml_lines import LocatedYaml, read_located
from reports.quantities import si, si_list

Keys = tuple[str, ...]

# The first ending that fits a key.
UNITS = {
    "flop_per_s": "FLOP/s",
    "_j_per_step": "J",
    "_j_per_byte": "J",
    "_j_per_clock": "J",
    "_farad_per_cell": "F",
    "_watt_per_crossbar": "W",
    "_m2_per_byte": "m²",
    "_siemens": "S",
    "_volt": "V",
    "_ohm": "Ω",
    "_ampere": "A",
    "_s": "s",
    "_hz": "Hz",
    "_j": "J",
    "watt": "W",
    "_m2": "m²",
}
SQUARE_MICROMETRES = 1e12  # in a square metre; prefixes of squares would mislead
OF_X = {"at", "power", "scale"}  # of a curve's argument x = g / g_max, whatever the unit of its value

WITHOUT_VALUE: dict[Keys, str] = {
    ("dac", "bits"): "ideal, not quantised",
    ("adc", "bits"): "ideal, not quantised",
    ("controller", "state_bits"): "float, not quantised",
    ("controller", "memory_bytes"): "as much as the network needs",
    ("chip", "crossbars"): "as many as the network needs",
    ("chip", "mesh"): "none: crossbars are not placed",
    ("adc", "full_scale_ampere"): "from calibration or a bound",
    ("transposed_dac",): "like dac",
    ("transposed_adc",): "like adc",
    ("read", "time_s"): "as the device's noise was measured, else 100 ns",
}

# Shown in words above the table.
TITLES: set[Keys] = {("name",), ("source",), ("device", "name"), ("device", "source")}


TEST_POINTS: Keys = ("device", "test_points")  # checks of the parameters, not parameters


@dataclass(frozen=True)
class Parameter:
    """A row: dotted key, value in readable units, source, and whether it departs from the preset of that name."""

    key: str
    value: str
    source: str
    changed: bool


@dataclass(frozen=True)
class Preset:
    """A built-in file: its values by key path, and its text with the comments that cite sources."""

    values: dict[Keys, Any]
    located: LocatedYaml
    lines: tuple[str, ...]

    def comment(self, keys: Keys) -> str:
        """The remark on the key's line, else the comment lines directly above it, else nothing."""
        position = self.located.line(keys) - 1
        beside = re.search(r"\s#\s*(.*)$", self.lines[position])
        if beside:
            return beside[1].strip()
        above: list[str] = []
        while position > 0 and self.lines[position - 1].lstrip().startswith("#"):
            position -= 1
            above.insert(0, self.lines[position].lstrip(" #").rstrip())
        return " ".join(above)


def parameters(target: Target) -> list[Parameter]:
    """All parameters of ``target`` in its own order, except the names and sources of target and device."""
    target_preset = load_preset("targets", target.name)
    named = {
        "device": (load_preset("devices", target.device.name), "as cited for the device"),
        "costs": (load_preset("costs", target.costs.name), "as stated for the costs"),
    }
    rows = []
    for keys, value in leaves(target.model_dump()):
        if keys in TITLES or keys[:2] == TEST_POINTS:
            continue
        preset, stated = named.get(keys[0], (target_preset, "as stated for the target"))
        inner = keys[1:] if keys[0] in named else keys
        changed, source = origin(preset, inner, value, stated)
        rows.append(Parameter(".".join(keys), words(keys, value), source, changed))
    return rows


def origin(preset: Preset | None, keys: Keys, value: Any, stated: str) -> tuple[bool, str]:
    """Whether a value departs from its preset, and its source in words."""
    if preset is None:
        return False, stated
    if keys not in preset.values:
        return True, "set for this mapping; the preset has no such value"
    if preset.values[keys] != value:
        return True, f"set for this mapping; the preset has {words(keys, preset.values[keys])}"
    if keys not in preset.located.lines:
        return False, "default"
    return False, preset.comment(keys) or stated


def load_preset(kind: Kind, name: str) -> Preset | None:
    """The built-in target, device or costs called ``name``, if there is one."""
    if name not in preset_names(kind):
        return None
    model: Target | Device | Costs
    if kind == "targets":
        model = Target.load(name)
    elif kind == "costs":
        model = Costs.model_validate(costs_table(name))
    else:
        model = Device.model_validate(device_table(name))
    located = read_located(find(name, kind))
    lines = tuple(located.path.read_text(encoding="utf-8").splitlines())
    return Preset(dict(leaves(model.model_dump())), located, lines)


def leaves(table: Mapping[str, Any], above: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    """Key paths and values of nested tables, in order; entries of lists of tables are numbered from 0."""
    for key, value in table.items():
        inner = (*above, key)
        if isinstance(value, Mapping):
            yield from leaves(value, inner)
        elif isinstance(value, list | tuple) and any(isinstance(entry, Mapping) for entry in value):
            yield from leaves({str(number): entry for number, entry in enumerate(value)}, inner)
        else:
            yield inner, value


def words(keys: Keys, value: Any) -> str:
    """A value in readable units, taken from the ending of its key or of the nearest one above it."""
    if value is None or value == ():
        return WITHOUT_VALUE.get(keys, "none")
    units = (unit for key in reversed(keys) for ending, unit in UNITS.items() if key.endswith(ending))
    unit = "" if keys[-1] in OF_X else next(units, "")
    if isinstance(value, tuple | list):
        if value and isinstance(value[0], tuple | list):
            return "; ".join(words(keys, row) for row in value)
        return si_list(value, unit) if unit else ", ".join(f"{entry:g}" for entry in value)
    if unit == "m²":
        return f"{float(f'{value * SQUARE_MICROMETRES:.4g}'):,g} µm²"
    if isinstance(value, float):
        return si(value, unit) if unit else f"{value:g}"
    return str(value)
