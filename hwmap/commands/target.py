"""hwmap target: list, show and check hardware targets."""

from __future__ import annotations

from hwmap.console import print_result, say, stdout, table
from mapping.target import Target, find, preset_names


def list_presets(as_json: bool) -> None:
    loaded = [Target.load(name) for name in preset_names()]
    rows = [
        (
            target.name,
            f"{target.crossbar.rows}x{target.crossbar.columns}",
            f"{target.device.g_min_siemens * 1e6:g} .. {target.device.g_max_siemens * 1e6:g}",
            "ideal" if target.dac.bits is None else str(target.dac.bits),
            "ideal" if target.adc.bits is None else str(target.adc.bits),
        )
        for target in loaded
    ]
    result = {"targets": [target.name for target in loaded]}
    print_result(result, table("targets", ["name", "crossbar", "window / uS", "DAC bits", "ADC bits"], rows), as_json)


def show(name: str, as_json: bool) -> None:
    target = Target.load(name)
    if as_json:
        print_result(target.model_dump(mode="json"), None, as_json=True)
        return
    path = find(name, "targets")
    stdout.print(path.read_text(encoding="utf-8").rstrip(), markup=False, soft_wrap=True)
    if target.device.name in preset_names("devices"):
        device = find(target.device.name, "devices").read_text(encoding="utf-8").rstrip()
        stdout.print(f"\n# device {target.device.name}\n{device}", markup=False, soft_wrap=True)


def check(name: str, as_json: bool) -> None:
    target = Target.load(name)
    say(f"{name}: ok")
    print_result({"target": target.name, "ok": True}, None, as_json)
