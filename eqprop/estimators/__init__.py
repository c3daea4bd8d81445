"""Gradient estimators: how phases become ``.grad``."""

from __future__ import annotations

from eqprop.dynamics import FixedPoint
from eqprop.estimators.base import Estimate, Estimator
from eqprop.estimators.one_sided import OneSided
from eqprop.estimators.symmetric import Symmetric

KINDS: dict[str, type[Estimator]] = {"symmetric": Symmetric, "one-sided": OneSided}


def get(name: str, beta: float = 0.1, nudged_dynamics: FixedPoint | None = None) -> Estimator:
    """The estimator called ``name`` ("symmetric" or "one-sided").

    Raises:
        ValueError: for another name, or a beta that is not positive.
    """
    if name not in KINDS:
        raise ValueError(f"estimator {name!r}: expected one of {', '.join(KINDS)}")
    return KINDS[name](beta, nudged_dynamics)


__all__ = ["KINDS", "Estimate", "Estimator", "OneSided", "Symmetric", "get"]
