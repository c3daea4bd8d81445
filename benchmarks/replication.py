"""How the slowest matrix of Hopfield-ResNet13 shortens as the budget of crossbars doubles, against its bounds.

With a budget of N crossbars of which matrix i takes c_i a copy and t_i clocks a sweep with one copy, copies cannot make
the slowest faster than sum_i c_i t_i / N (every crossbar busy all the time, over the matrices that sweeps read and what
the others leave of the budget), nor faster than one position of any matrix.

Usage: python benchmarks/replication.py [LANES]
"""

import os
import sys

import eqprop
import mapping
from mapping.timing import Timing
from reports.schedule import bottleneck


def main() -> None:
    lanes = int(sys.argv[1]) if len(sys.argv) > 1 else 8192
    network = eqprop.models.build("hopfield-resnet13")
    target = mapping.Target.load("rram-hfo2", (128, 128), [f"controller.lanes={lanes}"])
    single, alone = mapping.compile(network, target), mapping.compile(network, target, packed=False)
    print(f"hopfield-resnet13, {target.name} 128x128, {lanes} lanes, {os.cpu_count()} cores")
    print("budget   used  slowest      clocks    bound    sweep  (of 8 lanes)  copies of")
    for doubling in range(6):
        budget = single.crossbars * 2**doubling
        found = mapping.compile(network, target, budget=budget)
        name, clocks = bottleneck(found) or ("", 0)
        copies = ", ".join(f"{n} x{len(m.replicas)}" for n, m in found.matrices.items() if len(m.replicas) > 1)
        few = found.target.model_copy(update={"controller": target.controller.model_copy(update={"lanes": 8})})
        narrow = Timing(found.network, few, found.matrices, found.schedule).sweep_clocks("free")
        sweep = found.timing.sweep_clocks("free")
        print(
            f"{budget:6,} {found.crossbars:6,}  {name:9}  {clocks:8,} {bound(alone, budget):8,.0f} {sweep:8,}  "
            f"({narrow:,})  {copies or 'none'}"
        )


def bound(single: mapping.Mapping, budget: int) -> float:
    """No choice of copies is faster than this; ``single`` has no two blocks in one crossbar."""
    read = {r.matrix for step in single.schedule.steps for reads in step.rounds for r in reads}
    size = single.target.crossbar
    work, idle, position = 0.0, 0.0, 0.0
    for name, matrix in single.matrices.items():
        devices = matrix.lowering.rows * matrix.lowering.columns * 2
        crossbars = devices / (size.rows * size.columns)
        if name not in read:
            idle += crossbars
            continue
        clocks = sum(single.timing.read_clocks(mapping.schedule.Read(name, way)) for way in ("forward", "transposed"))
        work += crossbars * clocks
        position = max(position, clocks / matrix.lowering.positions)
    return max(work / (budget - idle), position)


if __name__ == "__main__":
    main()
