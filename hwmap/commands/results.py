"""Simulation results kept beside a compiled network, for the report."""

from __future__ import annotations

import json
import re
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


def record_costs(directory: Path, result: dict[str, Any]) -> None:
    """Keep joules, seconds and areas."""
    how = f"{result['work']}-batch{result['batch']}-active{result['active']:g}-square{result['mean_square']:.3g}"
    names = re.sub(r"[^\w.+-]+", "-", "+".join(result["scenarios"]), flags=re.ASCII)
    keep(directory, COSTS, f"{how}-{names}"[:200], result)


def name_of(result: dict[str, Any]) -> str:
    return f"{result['data']}-{result['samples']}-chips{result['chips']}-age{result['age_s']:g}s-seed{result['seed']}"


def keep(directory: Path, folder: str, name: str, result: dict[str, Any]) -> None:
    with replacing(directory / folder / f"{name}.json") as aside:
        aside.write_text(json.dumps(result | {"mapping": mapping_hash(directory)}, indent=1, sort_keys=True))


def recorded(directory: Path, folder: str = FOLDER) -> dict[str, dict[str, Any]]:
    """Records of the mapping that is there now by file, so that errors can name it; older ones are left out.

    Raises:
        InputError: for a file that holds no JSON object.
    """
    current = mapping_hash(directory)
    found = {}
    for path in sorted((directory / folder).glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: not JSON: expected what a command recorded") from error
        if not isinstance(record, dict):
            raise InputError(f"{path}: no JSON object: expected what a command recorded")
        if record.get("mapping") == current:
            found[str(path)] = record
    return found
