"""hwmap target: list, show and check hardware targets."""

from __future__ import annotations

import warnings

from hwmap.console import print_result, say, stdout, table
from mapping.device import Device
from mapping.target import Target, preset_names

MOST_LOSS = 0.1  # of the current of a full crossbar: beyond it a target is warned about
EXACT_UP_TO = 1 << 16  # devices of a crossbar whose wires are solved exactly for a check; larger ones are estimated


def list_presets(as_json: bool) -> None:
    loaded = [Target.load(name) for name in preset_names()]
    rows = [
        (
            target.name,
            f"{target.crossbar.rows}x{target.crossbar.columns}",
            f"{target.device.g_min_siemens * 1e6:g} .. {target.device.g_max_siemens * 1e6:g}",
            "ideal" if target.dac.bits is None else str(target.dac.bits),
            "ideal" if target.adc.bits is None else str(target.adc.bits),
            "ideal" if target.wires.ideal else f"{target.wires.row_resistance_ohm:g}",
        )
        for target in loaded
    ]
    columns = ["name", "crossbar", "window / uS", "DAC bits", "ADC bits", "wire / ohm a cell"]
    result = {
        "targets": [target.name for target in loaded],
        "devices": preset_names("devices"),
        "updates": preset_names("updates"),
    }
    print_result(result, table("targets", columns, rows), as_json)
    if not as_json:
        say(f"devices: {', '.join(result['devices'])}")
        say(f"update laws of devices: {', '.join(result['updates'])}")


def schema() -> None:
    """Print the schema; references to presets by name (device, update) are resolved before it applies."""
    stdout.print_json(data=Target.model_json_schema())


def show(name: str, as_json: bool) -> None:
    from reports.parameters import parameters

    target = Target.load(name)
    if as_json:
        print_result(target.model_dump(mode="json"), None, as_json=True)
        return
    stdout.print(f"target {target.name}: {target.source or 'its file names no source'}", markup=False, soft_wrap=True)
    device = target.device
    stdout.print(f"device {device.name}: {device.source or 'its file names no source'}", markup=False, soft_wrap=True)
    rows = parameters(target)
    keys, values = (max(len(getattr(row, column)) for row in rows) for column in ("key", "value"))
    for row in rows:
        line = f"{row.key:<{keys}}  {row.value:<{min(values, 40)}}  # {row.source}"
        stdout.print(line, markup=False, soft_wrap=True)
    for point in device.test_points:
        stdout.print(
            f"test point: {point.quantity} at {point.conductance_siemens * 1e6:g} uS, age {point.age_s:g} s"
            f"{f', {point.volt:g} V' if point.quantity == 'current' else ''}: {point.expected:g} ({point.source})",
            markup=False,
            soft_wrap=True,
        )


def check(name: str, as_json: bool) -> None:
    """Validate, hold the device to its source's values, and warn of wires that take much of the current."""
    target = Target.load(name)
    device, wires, size = target.device, target.wires, target.crossbar
    check_test_points(device)
    loss = 0.0 if wires.ideal else wire_loss(target)
    high = device.g_max_siemens * 1e6
    if not wires.ideal:
        array = f"a {size.rows}x{size.columns} crossbar of devices between {0.01 * high:g} and {high:g} uS"
        say(f"wires: {loss:.1%} of the current is lost on {array}")
    if loss > MOST_LOSS:
        ohm = f"{wires.row_resistance_ohm:g} and {wires.column_resistance_ohm:g} ohm a cell"
        warnings.warn(
            f"target {target.name}: {high:g} uS with {ohm} lose {loss:.0%} on {size.rows}x{size.columns}: expected at "
            f"most {MOST_LOSS:.0%}; a smaller crossbar, better wires or lower conductances would help",
            stacklevel=1,
        )
    say(f"{name}: ok, {len(device.test_points)} test points of device {device.name}")
    points = len(device.test_points)
    print_result({"target": target.name, "ok": True, "test_points": points, "wire_loss": loss}, None, as_json)


def check_test_points(device: Device) -> None:
    """Warn where a device's formulas miss the values that its source states."""
    from sim.devices.test_points import measured

    for point in device.test_points:
        found = measured(device, point)
        if abs(found - point.expected) > point.relative_tolerance * abs(point.expected):
            where = f"{point.quantity} at {point.conductance_siemens * 1e6:g} uS"
            warnings.warn(
                f"device {device.name}: {where} is {found:g}, its source has {point.expected:g} ({point.source})",
                stacklevel=1,
            )


def wire_loss(target: Target) -> float:
    """|G - G_eff| / |G| (Frobenius norms) of a full crossbar of devices uniform between 0.01 and 1 g_max."""
    import torch

    from sim.wire_models import closed_form
    from sim.wire_solver import resistances
    from sim.wires import effective_conductance

    wires, size = target.wires, target.crossbar
    share = torch.rand(size.rows, size.columns, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    devices = target.device.g_max_siemens * (0.01 + 0.99 * share)
    if devices.numel() > EXACT_UP_TO:
        row, column = wires.row_resistance_ohm, wires.column_resistance_ohm
        seen = closed_form(devices, row_resistance_ohm=row, column_resistance_ohm=column)
    else:
        seen = effective_conductance(devices, **resistances(wires, "forward"))
    return float((devices - seen).norm() / devices.norm())
