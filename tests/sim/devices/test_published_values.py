"""Truth: values worked out from each publication by hand, written in the device files with their arithmetic; and the
programming errors of all devices in numpy, in microsiemens as their sources have them."""

import numpy as np
import pytest
import torch

from mapping.device import PublishedValue
from sim.devices import programming
from sim.devices.test_points import measured
from tests.sim.devices.built_in import device, names

# Le Gallo et al. 2023, as in aihwkit: microsiemens, highest power of g / g_max first.
ONE_DEVICE = [0.68841818, -2.16310839, 2.32443916, 0.15781817]
TWO_DEVICES = [4.68961419, -8.48101252, 4.71806468, 0.16603222]

POINTS = [(name, number) for name in names("devices") for number in range(len(device(name).test_points))]


@pytest.mark.parametrize(("name", "number"), POINTS)
def test_a_device_gives_the_published_value(name: str, number: int) -> None:
    point = device(name).test_points[number]
    assert measured(device(name), point) == pytest.approx(point.expected, rel=point.relative_tolerance, abs=0.0)


@pytest.mark.parametrize("name", names("devices"))
def test_every_device_has_a_value_and_a_source(name: str) -> None:
    assert device(name).name == name
    assert device(name).source
    assert device(name).test_points


def test_the_devices_and_update_laws_are_what_we_ship() -> None:
    assert names("devices") == [
        "ecram", "ideal", "pcm-gst", "pcm-hermes", "pcm-hermes-pair", "rram-cmo", "rram-hfo2", "rram-milo", "sonos",
    ]  # fmt: skip
    assert names("updates") == [
        "capacitor", "ecram-li", "ecram-mo", "pcm-onesided", "reram-array-hfo2", "reram-array-om", "reram-es",
        "reram-sb", "rpu-ideal",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "low_us", "high_us", "sigma_us"),
    [
        ("pcm-hermes", 0.0, 10.35, lambda g: np.polyval(ONE_DEVICE, g / 10.35)),
        ("pcm-hermes-pair", 0.0, 20.7, lambda g: np.polyval(TWO_DEVICES, g / 20.7)),
        ("rram-milo", 50.0, 225.0, lambda g: 4.782321 - 0.009107 * g),
        ("rram-cmo", 8.0, 90.0, lambda g: 0.00106879 * g + 0.00081107),
    ],
)
def test_programming_errors_are_as_published(name: str, low_us: float, high_us: float, sigma_us: object) -> None:
    g = np.linspace(low_us, high_us, 50)
    found = programming.sigma(device(name), torch.tensor(g * 1e-6)).numpy() * 1e6
    np.testing.assert_allclose(found, sigma_us(g), rtol=1e-9)  # type: ignore[operator]
    assert device(name).g_min_siemens == pytest.approx(low_us * 1e-6)
    assert device(name).g_max_siemens == pytest.approx(high_us * 1e-6)


@pytest.mark.parametrize(
    ("quantity", "name"),
    [
        ("drift-sigma", "pcm-gst"),
        ("drift-sigma", "ideal"),
        ("exponent-mean", "rram-hfo2"),
        ("exponent-std", "ideal"),
        ("read-sigma", "ecram"),
    ],
)
def test_a_quantity_the_device_has_no_law_for_is_refused(quantity: str, name: str) -> None:
    content = {
        "quantity": quantity,
        "conductance_siemens": 1e-6,
        "expected": 1.0,
        "relative_tolerance": 0.1,
        "source": "none",
    }
    with pytest.raises(ValueError, match=f"device {name}: no law with a {quantity}"):
        measured(device(name), PublishedValue.model_validate(content))


def test_the_shift_of_a_power_law_is_that_of_the_mean_exponent() -> None:
    content = {
        "quantity": "drift-shift",
        "conductance_siemens": 25e-6,
        "age_s": 3600.0,
        "expected": 1.0,
        "relative_tolerance": 0.1,
        "source": "none",
    }
    found = measured(device("pcm-gst"), PublishedValue.model_validate(content))
    assert found == pytest.approx(25e-6 * ((3620.0 / 20.0) ** -0.049 - 1.0), rel=1e-9)
