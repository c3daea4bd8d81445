"""Built-in devices and update laws, read straight from their files."""

from typing import Any

import yaml

from mapping.device import Device, PulsedUpdate, UpdatePreset
from mapping.target import PRESETS


def names(kind: str) -> list[str]:
    return sorted(entry.name.removesuffix(".yaml") for entry in (PRESETS / kind).iterdir())


def content(kind: str, name: str) -> dict[str, Any]:
    table = yaml.safe_load((PRESETS / kind / f"{name}.yaml").read_text(encoding="utf-8"))
    if kind == "devices" and isinstance(table.get("update"), str):
        table["update"] = content("updates", table["update"])["update"]
    return table


def device(name: str, **changes: Any) -> Device:
    return Device.model_validate({**content("devices", name), **changes})


def update(name: str, **changes: Any) -> PulsedUpdate:
    file = content("updates", name)
    file["update"].update(changes)
    law = UpdatePreset.model_validate(file).update
    assert isinstance(law, PulsedUpdate)
    return law
