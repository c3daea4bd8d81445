"""What wires do to full crossbars: current lost, asymmetry of other ends, error of the closed form, as Markdown rows.

Usage: python benchmarks/wire_loss.py
"""

import torch

from sim.wire_models import closed_form
from sim.wires import asymmetry, effective_conductance

CASES = [
    (64, 25e-6, 1.0),
    (128, 25e-6, 0.35),
    (128, 25e-6, 1.0),
    (128, 25e-6, 5.0),
    (128, 100e-6, 1.0),
    (128, 100e-6, 5.0),
]


def main() -> None:
    for size, g_max, ohm in CASES:
        share = torch.rand(size, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        devices = g_max * (0.01 + 0.99 * share)
        wires = {"row_resistance_ohm": ohm, "column_resistance_ohm": ohm}
        exact = effective_conductance(devices, **wires)
        far = effective_conductance(devices, **wires, direction="transposed", driven_end="far", sensed_end="far")
        estimate = closed_form(devices, **wires)
        lost = float((devices - exact).norm() / devices.norm())
        print(
            f"| {size}x{size}, {g_max * 1e6:g} uS, {ohm:g} | {lost:.1%} | {asymmetry(exact, far):.1%} "
            f"| {asymmetry(exact, estimate):.1%} |"
        )


if __name__ == "__main__":
    main()
