"""Current laws: the current through one device of small-signal conductance G at voltage V."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mapping.device.curve import Curve
from mapping.device.strict import Positive, Strict


class Ohmic(Strict):
    """I = G V."""

    model: Literal["ohmic"] = "ohmic"


class Sinh(Strict):
    """I = G V0 sinh(V / V0) with V0 = ``scale_volt``."""

    model: Literal["sinh"]
    scale_volt: Positive


class PolynomialCurrent(Strict):
    """I = G V + second(x) V^2 + third(x) V^3 for |V| <= ``largest_volt``."""

    model: Literal["polynomial"]
    second_ampere_per_volt2: Curve
    third_ampere_per_volt3: Curve
    largest_volt: Positive


Current = Annotated[Ohmic | Sinh | PolynomialCurrent, Field(discriminator="model")]
