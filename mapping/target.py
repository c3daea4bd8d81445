"""The target: the hardware a network is compiled for. YAML in, checked; SI units in the key names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import Field, ValidationError

from eqprop.errors import InputError
from mapping.device import Device, Positive, Strict
from mapping.yaml_lines import LocatedYaml, one_line, read_located

PRESETS = resources.files("mapping") / "presets"

Model = TypeVar("Model", bound=Strict)

Count = Annotated[int, Field(ge=1)]
ConverterBits = Annotated[int, Field(ge=2, le=16)]


class Crossbar(Strict):
    """Size of one physical array."""

    rows: Count
    columns: Count


class Cell(Strict):
    """How a weight becomes conductances.

    Attributes:
        encoding: ``differential`` (two devices, G+ - G-) or ``offset`` (one device, the middle of the window
            subtracted digitally).
        levels: evenly spaced conductances a device is programmed to, or ``continuous``.
    """

    encoding: Literal["differential", "offset"] = "differential"
    levels: Annotated[int, Field(ge=2)] | Literal["continuous"] = "continuous"


class Dac(Strict):
    """Input converters: ``bits`` (null: ideal) and the voltage that the largest code means."""

    bits: ConverterBits | None = None
    full_scale_volt: Positive = 0.2


class Adc(Strict):
    """Output converters: ``bits`` (null: ideal). Full scales come from calibration data or a stated bound."""

    bits: ConverterBits | None = None


class Controller(Strict):
    """``state_bits``: width of the fixed-point states (null: float)."""

    state_bits: Annotated[int, Field(ge=4, le=24)] | None = None


class ChipSize(Strict):
    """``crossbars``: how many there are (null: as many as the network needs)."""

    crossbars: Count | None = None


class Target(Strict):
    """Everything the compiler and the simulator know about the hardware."""

    name: str
    source: str = ""
    crossbar: Crossbar
    device: Device
    cell: Cell = Cell()
    dac: Dac = Dac()
    adc: Adc = Adc()
    controller: Controller = Controller()
    chip: ChipSize = ChipSize()

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
            device = read_located(find(content["device"], "devices"))
            check(Device, device)
            content["device"] = device.content
        if crossbar is not None:
            content["crossbar"] = {"rows": crossbar[0], "columns": crossbar[1]}
        settings = {}
        for setting in overrides:
            settings[override(content, setting)] = setting
        return check(cls, LocatedYaml(located.path, content, located.lines), settings)

    @classmethod
    def from_mapping(cls, content: Mapping[str, Any], path: Path) -> Target:
        """A target that a mapping file carries."""
        return check(cls, LocatedYaml(path, dict(content), {}), {})


def preset_names(kind: Literal["targets", "devices"] = "targets") -> list[str]:
    """Names of the built-in targets or devices."""
    return sorted(entry.name.removesuffix(".yaml") for entry in (PRESETS / kind).iterdir())


def find(source: str | Path, kind: Literal["targets", "devices"]) -> Path:
    """The file of a preset or of a path.

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
            f"{kind.removesuffix('s')} {str(source)!r}: no such preset or file: expected one of "
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
        value = read_located(find(value, "devices")).content
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
