"""Gradient estimators: how phases become ``.grad``."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from eqprop.dynamics import FixedPoint
from eqprop.estimators.adjoint import AdjointFixedPoint
from eqprop.estimators.base import Estimate, Estimator, Phase
from eqprop.estimators.one_sided import OneSided
from eqprop.estimators.symmetric import Symmetric

KINDS: dict[str, type[Estimator]] = {"symmetric": Symmetric, "one-sided": OneSided}


def get(name: str, beta: float = 0.1, nudged_dynamics: FixedPoint | None = None, **options: Any) -> Estimator:
    """The estimator called ``name`` ("symmetric" or "one-sided").

    Args:
        beta: nudging strength.
        nudged_dynamics: how nudged phases relax; the network's own dynamics if None.
        options: ``order`` of a symmetric estimator ("+-" or "+--+"), ``time_matched`` of a one-sided one (a bool).

    Raises:
        ValueError: for another name, a beta that is not positive, an option that this estimator does not have, or
            a value that the option does not take.
    """
    if name not in KINDS:
        raise ValueError(f"estimator {name!r}: expected one of {', '.join(KINDS)}")
    kind = KINDS[name]
    known = {field.name for field in fields(kind)} - {field.name for field in fields(Estimator)}
    unknown = sorted(set(options) - known)
    if unknown:
        raise ValueError(f"estimator {name!r}: no option {', '.join(unknown)}: expected {', '.join(sorted(known))}")
    return kind(beta=beta, nudged_dynamics=nudged_dynamics, **options)


__all__ = ["KINDS", "AdjointFixedPoint", "Estimate", "Estimator", "OneSided", "Phase", "Symmetric", "get"]
