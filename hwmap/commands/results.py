"""Simulation results kept beside a compiled network, for the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eqprop.atomic import replacing
from eqprop.errors import InputError
from mapping.store import mapping_hash

FOLDER = "results"
FIDELITY, LEARNING, COSTS = "fidelity", "learning", "costs"


def record(directory: Path, result: dict[str, Any]) -> None:
    """Keep an accuracy in the compiled directory, together with the hash of the mapping it belongs to."""
    keep(directory, FOLDER, name_of(result), result)


def record_fidelity(directory: Path, result: dict[str, Any]) -> None:
    """Keep a comparison of gradients."""
    keep(directory, FIDELITY, f"{name_of(result)}-beta{result['beta']:.3g}", result)


def record_learning(directory: Path, result: dict[str, Any]) -> None:
    """Keep what learning on chips came to."""
    how = f"{result['update']}-steps{result['steps']}-batch{result['batch']}-rate{result['rate']:g}"
    keep(directory, LEARNING, f"{name_of(result)}-{how}", result)


def name_of(result: dict[str, Any]) -> str:
    return f"{result['data']}-{result['samples']}-chips{result['chips']}-age{result['age_s']:g}s-seed{result['seed']}"


def keep(directory: Path, folder: str, name: str, result: dict[str, Any]) -> None:
    with replacing(directory / folder / f"{name}.json") as aside:
        aside.write_text(json.dumps(result | {"mapping": mapping_hash(directory)}, indent=1, sort_keys=True))


def recorded(directory: Path, folder: str = FOLDER) -> list[dict[str, Any]]:
    """Results of the mapping that is there now, by age; those of an earlier compilation are left out."""
    current = mapping_hash(directory)
    found = []
    for path in sorted((directory / folder).glob("*.json")):
        try:
            result = json.loads(path.read_text())
        except ValueError as error:
            raise InputError(f"{path}: not JSON: expected a result of hwmap simulate") from error
        if not isinstance(result, dict) or "age_s" not in result:
            raise InputError(f"{path}: no age_s: expected a result of hwmap simulate")
        if result.get("mapping") == current:
            found.append(result)
    return sorted(found, key=lambda result: (str(result["data"]), float(result["age_s"]), int(result["seed"])))
