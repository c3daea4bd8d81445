"""hwmap map: compare compiled directories."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hwmap.console import print_result, table
from mapping import Mapping
from mapping.file import FILE
from mapping.plan import MappedMatrix
from reports.parameters import leaves


def diff(one: Path, other: Path, as_json: bool) -> None:
    """What two compiled directories have that the other has not: target, layers, couplings, places, conductances."""
    left, right = Mapping.load(one), Mapping.load(other)
    rows = list(differences(left, right))
    result = {
        "same": not rows,
        "differences": [{"what": what, "one": before, "other": after} for what, before, after in rows],
    }
    title = f"{one} and {other}: " + (f"{len(rows)} differences" if rows else "no difference")
    print_result(result, table(title, ["what", str(one), str(other)], rows), as_json)


def differences(left: Mapping, right: Mapping) -> Iterator[tuple[str, str, str]]:
    """(what, in the first, in the second), in the order of a mapping file."""
    yield from changed("target", dict(leaves(left.target.model_dump())), dict(leaves(right.target.model_dump())))
    for name in sorted({*left.layers, *right.layers}):
        yield from changed(f"layer {name}", vars_of(left.layers.get(name)), vars_of(right.layers.get(name)))
    for name in sorted({*left.matrices, *right.matrices}):
        yield from changed(f"coupling {name}", summary(left, name), summary(right, name))
    if left.conductances.shape != right.conductances.shape:
        yield "conductances", shape_of(left), shape_of(right)
    elif bool((left.conductances != right.conductances).any()):
        moved = int((left.conductances != right.conductances).sum())
        largest = float((left.conductances - right.conductances).abs().max())
        yield "conductances", f"{moved:,} differ", f"by at most {largest * 1e6:.4g} uS"


def changed(what: str, before: dict[Any, Any], after: dict[Any, Any]) -> Iterator[tuple[str, str, str]]:
    for key in [*before, *(key for key in after if key not in before)]:
        if before.get(key, ABSENT) != after.get(key, ABSENT):
            name = ".".join(key) if isinstance(key, tuple) else key
            yield f"{what}: {name}", shown(before.get(key, ABSENT)), shown(after.get(key, ABSENT))


def schema() -> None:
    """Print the JSON schema of ``mapping.yaml``."""
    sys.stdout.write(json.dumps(FILE.json_schema(), indent=1) + "\n")


ABSENT = "-"
LONGEST = 80


def shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def vars_of(record: Any) -> dict[str, Any]:
    return {} if record is None else vars(record)


def summary(mapping: Mapping, name: str) -> dict[str, Any]:
    """What a coupling's mapping comes down to."""
    matrix: MappedMatrix | None = mapping.matrices.get(name)
    if matrix is None:
        return {}
    low = matrix.lowering
    return {
        "matrix": f"{low.rows} x {low.columns}, {low.order}",
        "row blocks": len(low.row_spans),
        "column blocks": len(matrix.column_spans),
        "copies": len(matrix.replicas),
        "places": tuple((tile.crossbar, *tile.at) for tile in matrix.tiles),
        "weight per siemens": matrix.weight_per_siemens,
        "ADC full scale forward": matrix.forward_full_scale,
        "ADC full scale transposed": matrix.transposed_full_scale,
    }


def shape_of(mapping: Mapping) -> str:
    return " x ".join(map(str, mapping.conductances.shape))
