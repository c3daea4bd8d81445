"""Ways to read one convolution crossbar by crossbar, and to draw normal numbers: why sim reads as it does.

A 3x3 convolution, 64 -> 64 channels at 32x32, batch 16, on crossbars of 128 rows: five of them, by channels (14 whole
channels each) or by taps (two each). One thread, best of many.

Usage: python benchmarks/read_layouts.py
"""

import os
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from sim.gaussian import NoiseStream

CUTS = [(0, 14), (14, 28), (28, 42), (42, 56), (56, 64)]
TAP_BOXES = [((0, 1), (0, 2)), ((1, 2), (0, 2)), ((2, 3), (0, 2)), ((0, 2), (2, 3)), ((2, 3), (2, 3))]
NUMBERS = 1 << 18


def best_ms(work: Callable[[], object], repeats: int = 40) -> float:
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def main() -> None:
    torch.set_num_threads(1)
    layout = torch.channels_last
    x = torch.randn(16, 64, 32, 32).to(memory_format=layout)
    w = torch.randn(64, 64, 3, 3).to(memory_format=layout)
    by_channels = [w[:, a:b].contiguous(memory_format=layout) for a, b in CUTS]
    grouped_x = torch.randn(16, 70, 32, 32).to(memory_format=layout)
    grouped_w = torch.randn(320, 14, 3, 3).to(memory_format=layout)
    padded = F.pad(x, (1, 1, 1, 1))
    boxes = [w[:, :, slice(*down), slice(*across)].contiguous(memory_format=layout) for down, across in TAP_BOXES]
    flat = w.permute(2, 3, 1, 0).reshape(576, 64)

    def unfolded() -> list[torch.Tensor]:
        nhwc = padded.permute(0, 2, 3, 1)
        s = nhwc.stride()
        rows = nhwc.as_strided((16, 32, 32, 3, 3, 64), (s[0], s[1], s[2], s[1], s[2], s[3])).reshape(-1, 576)
        return [rows[:, i : i + 128] @ flat[i : i + 128] for i in range(0, 576, 128)]

    ways: dict[str, Callable[[], object]] = {
        "undivided": lambda: F.conv2d(x, w, padding=1),
        "split by channels": lambda: [
            F.conv2d(x[:, a:b], part, padding=1) for (a, b), part in zip(CUTS, by_channels, strict=True)
        ],
        "one grouped convolution": lambda: F.conv2d(grouped_x, grouped_w, padding=1, groups=5),
        "boxes of taps": lambda: [F.conv2d(padded, part) for part in boxes],
        "unfolded and multiplied": unfolded,
    }
    print(f"{os.cpu_count()} cores, torch {torch.__version__}, one thread")
    for name, work in ways.items():
        print(f"{name:28s} {best_ms(work):6.2f} ms")
    stream = NoiseStream(np.random.SeedSequence(0))
    generator, memory = torch.Generator().manual_seed(0), torch.empty(NUMBERS)
    numbers = np.random.Generator(np.random.SFC64(0))
    for name, work in {
        "sim.gaussian": lambda: stream.draw(NUMBERS),
        "torch normal_": lambda: memory.normal_(generator=generator),
        "numpy standard_normal": lambda: numbers.standard_normal(NUMBERS, dtype=np.float32),
    }.items():
        print(f"{name:28s} {1e6 * best_ms(work) / NUMBERS:6.2f} ns a normal number")


if __name__ == "__main__":
    main()
