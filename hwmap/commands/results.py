"""Simulation results kept beside a compiled network, for the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eqprop.atomic import replacing
from eqprop.errors import InputError
from mapping.store import mapping_hash

FOLDER = "results"


def record(directory: Path, result: dict[str, Any]) -> None:
    """Keep ``result`` in the compiled directory, together with the hash of the mapping it belongs to."""
    name = f"{result['data']}-{result['samples']}-chips{result['chips']}-age{result['age_s']:g}s-seed{result['seed']}"
    with replacing(directory / FOLDER / f"{name}.json") as aside:
        aside.write_text(json.dumps(result | {"mapping": mapping_hash(directory)}, indent=1, sort_keys=True))


def recorded(directory: Path) -> list[dict[str, Any]]:
    """Results of the mapping that is there now, by age; those of an earlier compilation are left out."""
    current = mapping_hash(directory)
    found = []
    for path in sorted((directory / FOLDER).glob("*.json")):
        try:
            result = json.loads(path.read_text())
        except ValueError as error:
            raise InputError(f"{path}: not JSON: expected a result of hwmap simulate") from error
        if not isinstance(result, dict) or "age_s" not in result:
            raise InputError(f"{path}: no age_s: expected a result of hwmap simulate")
        if result.get("mapping") == current:
            found.append(result)
    return sorted(found, key=lambda result: (str(result["data"]), float(result["age_s"]), int(result["seed"])))
