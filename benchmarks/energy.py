"""What an EP step and an inference cost on full-size networks under every technology scenario, beside a processor.

Formulas alone (``hwmap cost``): nothing is simulated, and weights are fresh ones. Every ratio has both its caps behind
it: if nothing but writes, or nothing but the MACs of digital outer products, cost anything. Low-rank couplings of the
bilinear substrate stay two factors.

Usage: python benchmarks/energy.py [BATCH]
"""

import os
import sys
import time

import eqprop
import mapping
from hwmap.commands.cost import BATCH, joules, priced, scenarios, times
from mapping.costs import Costs
from reports.quantities import seconds
from sim.events import Work

MODELS = ("hopfield-resnet13", "bilinear")
WORKS: tuple[Work, ...] = ("ep-step", "inference")


def main() -> None:
    batch = int(sys.argv[1]) if len(sys.argv) > 1 else BATCH
    print(f"rram-hfo2 128x128, one sample of a batch of {batch}, {os.cpu_count()} cores")
    for model in MODELS:
        start = time.perf_counter()
        mapped = mapping.compile(
            eqprop.models.build(model), mapping.Target.load("rram-hfo2", (128, 128)), low_rank="keep"
        )
        took = time.perf_counter() - start
        controller = mapped.target.controller
        print(
            f"\n{model}: {mapped.weights:,} weights, {mapped.crossbars:,} crossbars, {controller.free_sweeps} free and "
            f"{controller.nudged_sweeps} nudged sweeps ({len(controller.nudges)} nudges), {controller.lanes} lanes; "
            f"compiled in {took:.1f} s"
        )
        for work in WORKS:
            print(f"\n| {work} | energy | most of it | seconds | area | ratio: same reads | dense | backpropagation |")
            print("|---|---|---|---|---|---|---|---|")
            for name, prices in scenarios((), mapped.target.costs).items():
                print(row(mapped, name, prices, work, batch))


def row(mapped: mapping.Mapping, name: str, prices: Costs, work: Work, batch: int) -> str:
    """A line of the table; behind each ratio, its caps (writes, MACs of outer products)."""
    one = priced(mapped, prices, work, batch)
    largest = sorted(one["by_component_j"].items(), key=lambda item: -item[1])[:3]
    most = ", ".join(f"{part} {joule / one['energy_j']:.0%}" for part, joule in largest)
    ratios = []
    for seen in one["processor"]["against"].values():
        ratios.append(f"{times(seen['ratio'])} ({', '.join(map(times, seen['caps'].values()))})")
    cells = (joules(one["energy_j"]), most, seconds(one["latency_s"]), f"{one['area_m2'] * 1e6:.3g} mm²", *ratios)
    return f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
