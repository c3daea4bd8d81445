"""Values that a device's source states: they hold the device file to it."""

from __future__ import annotations

from typing import Literal

from mapping.device.strict import NotNegative, Positive, Strict

Quantity = Literal[
    "programming-sigma", "drift-shift", "drift-sigma", "exponent-mean", "exponent-std", "read-sigma", "current"
]


class PublishedValue(Strict):
    """One value worked out from the publication, not from this package.

    Attributes:
        quantity: ``programming-sigma`` (spread of one write), ``drift-shift`` and ``drift-sigma`` (shift of the mean
            and spread around the programmed value at an age), ``read-sigma``: siemens. ``exponent-mean`` and
            ``exponent-std`` (of the drift exponent): no unit. ``current``: amperes.
        conductance_siemens: of the device.
        age_s: since the reference time.
        volt: across the device, for currents.
        expected, relative_tolerance: the value, and how close the device's formulas must come to it.
        source: figure, table or formula, and the arithmetic.
    """

    quantity: Quantity
    conductance_siemens: NotNegative
    age_s: NotNegative = 0.0
    volt: float = 0.0
    expected: float
    relative_tolerance: Positive
    source: str
