"""The target: the hardware a network is compiled for. YAML in, checked; SI units in the key names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import Field, ValidationError, model_validator

from eqprop.errors import InputError
from mapping.costs import DEFAULT_COSTS, Costs
from mapping.device import Device, Strict, UpdatePreset
from mapping.hardware import Adc, Cell, ChipSize, Controller, Crossbar, Dac, Direction, Pulses, Reading, Wires
from mapping.yaml_lines import LocatedYaml, one_line, read_located

PRESETS = resources.files("mapping") / "presets"

Kind = Literal["targets", "devices", "updates", "costs"]

Model = TypeVar("Model", bound=Strict)


class Target(Strict):
    """Everything the compiler and the simulator know about the hardware.

    ``transposed_dac`` and ``transposed_adc`` are the converters of transposed reads (null: like the others). ``costs``
    prices what happens: a preset's name or a table.
    """

    name: str
    source: str = ""
    crossbar: Crossbar
    device: Device
    cell: Cell = Cell()
    wires: Wires = Wires()
    dac: Dac = Dac()
    adc: Adc = Adc()
    transposed_dac: Dac | None = None
    transposed_adc: Adc | None = None
    read: Reading = Reading()
    pulses: Pulses = Pulses()
    controller: Controller = Controller()
    chip: ChipSize = ChipSize()
    costs: Costs = Field(default_factory=lambda: Costs.model_validate(costs_table(DEFAULT_COSTS)))

    @model_validator(mode="after")
    def one_kind_of_nonlinearity(self) -> Target:
        if not self.wires.ideal and self.device.current.model != "ohmic":
            raise ValueError(
                f"wires with resistance and device {self.device.name} with a {self.device.current.model} current: "
                f"expected an ohmic device or ideal wires (the two together are not modelled)"
            )
        return self

    def dac_of(self, direction: Direction) -> Dac:
        """The converters that drive rows (forward) or columns (transposed)."""
        return self.transposed_dac or self.dac if direction == "transposed" else self.dac

    def adc_of(self, direction: Direction) -> Adc:
        """The converters that sense columns (forward) or rows (transposed)."""
        return self.transposed_adc or self.adc if direction == "transposed" else self.adc

    @classmethod
    def load(cls, source: str | Path, crossbar: tuple[int, int] | None = None, overrides: Sequence[str] = ()) -> Target:
        """A target from a preset's name or a YAML file.

        Args:
            source: name of a preset (``hwmap target list``) or path of a YAML file.
            crossbar: rows and columns that replace the target's.
            overrides: ``key.key=value`` settings, applied in order.

        Raises:
            InputError: one line naming the file, the line and the key, or the setting.
        """
        located = read_located(find(source, "targets"))
        content = dict(located.content)
        if isinstance(content.get("device"), str):
            content["device"] = device_table(content["device"], f"{located.path}:{located.line(('device',))}: ")
        content.setdefault("costs", DEFAULT_COSTS)  # written out, so that settings can change single numbers
        if isinstance(content["costs"], str):
            content["costs"] = costs_table(content["costs"], f"{located.path}:{located.line(('costs',))}: ")
        if crossbar is not None:
            content["crossbar"] = {"rows": crossbar[0], "columns": crossbar[1]}
        settings = {}
        for setting in overrides:
            settings[override(content, setting)] = setting
        if isinstance(content.get("device"), Mapping):
            where = f"{located.path}:{located.line(('device', 'update'))}: "
            content["device"] = with_update(content["device"], where)
        return check(cls, LocatedYaml(located.path, content, located.lines), settings)

    @classmethod
    def from_mapping(cls, content: Mapping[str, Any], path: Path) -> Target:
        """A target that a mapping file carries."""
        return check(cls, LocatedYaml(path, dict(content), {}), {})


def device_table(source: str, where: str = "") -> dict[str, Any]:
    """The checked table of a device preset or file, a named update law written out; ``where`` it was named."""
    located = read_located(find(source, "devices", where))
    content = with_update(located.content, f"{located.path}:{located.line(('update',))}: ")
    check(Device, LocatedYaml(located.path, content, located.lines))
    return content


def costs_table(source: str, where: str = "") -> dict[str, Any]:
    """The checked table of a costs preset or file; ``where`` it was named."""
    located = read_located(find(source, "costs", where))
    check(Costs, located)
    return dict(located.content)


def with_update(device: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A device's table with its update law written out, if the table names one."""
    name = device.get("update")
    if not isinstance(name, str):
        return dict(device)
    located = read_located(find(name, "updates", where))
    check(UpdatePreset, located)
    return {**device, "update": located.content["update"]}


def preset_names(kind: Kind = "targets") -> list[str]:
    """Names of the built-in targets, devices, update laws or costs."""
    return sorted(entry.name.removesuffix(".yaml") for entry in (PRESETS / kind).iterdir())


def find(source: str | Path, kind: Kind, where: str = "") -> Path:
    """The file of a preset or of a path; ``where`` it was named starts the message of an error.

    Raises:
        InputError: if there is neither.
    """
    preset = Path(str(PRESETS / kind / f"{source}.yaml"))
    if str(source) in preset_names(kind):
        return preset
    path = Path(source)
    try:
        exists = path.is_file()
    except OSError:  # a name no file can have
        exists = False
    if not exists:
        raise InputError(
            f"{where}{kind.removesuffix('s')} {str(source)!r}: no such preset or file: expected one of "
            f"{', '.join(preset_names(kind))} or a YAML file"
        )
    return path


def override(content: dict[str, Any], setting: str) -> tuple[str, ...]:
    """Apply ``key.key=value`` to ``content`` and return the keys."""
    name, equals, text = setting.partition("=")
    keys = tuple(name.strip().split("."))
    if not equals or not all(keys):
        raise InputError(f"--set {setting}: expected key.key=value")
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date that is none
        raise InputError(f"--set {setting}: {text!r} is not a YAML value") from error
    table = content
    for key in keys[:-1]:
        table[key] = dict(table[key]) if isinstance(table.get(key), Mapping) else {}
        table = table[key]
    if keys == ("device",) and isinstance(value, str):
        value = device_table(value, f"--set {setting}: ")
    if keys == ("costs",) and isinstance(value, str):
        value = costs_table(value, f"--set {setting}: ")
    table[keys[-1]] = value
    return keys


def check(model: type[Model], located: LocatedYaml, settings: Mapping[tuple[str, ...], str] | None = None) -> Model:
    """Validate, turning the first finding into one line that names file, line, key, value and what was expected."""
    try:
        return model.model_validate(located.content)
    except ValidationError as error:
        findings = error.errors(include_url=False)
        # A misspelt key is also a missing one: name what is there before what is not.
        finding = next((found for found in findings if found["type"] == "extra_forbidden"), findings[0])
        keys = tuple(str(key) for key in finding["loc"])
        missing = keys[-1:] if finding["type"] == "missing" else ()
        name = one_line(".".join((*located.written(keys), *missing) if located.lines else keys))
        message = one_line(finding["msg"])
        for path, setting in (settings or {}).items():
            if keys and (keys[: len(path)] == path or path[: len(keys)] == keys):
                raise InputError(f"--set {setting}: {message}") from error
        value = finding["input"]
        shown = "" if isinstance(value, Mapping) else f" (found {value!r})"
        where = f"{located.path}:{located.line(keys)}" if located.lines else str(located.path)
        if finding["type"] == "extra_forbidden":
            raise InputError(f"{where}: unknown key {name}{shown}") from error
        raise InputError(f"{where}: {name or 'target'}: {message}{shown}") from error
