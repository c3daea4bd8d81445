"""Time and memory of compiling the full-size Hopfield-ResNet13 (9,742,858 parameters) by the command, as a user would.

Usage: python benchmarks/compile_resnet13.py
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import eqprop
from eqprop.checkpoint import Checkpoint, save


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.pt"
        network = eqprop.models.build("hopfield-resnet13")
        save(model, Checkpoint(network))
        parameters = sum(parameter.numel() for parameter in network.parameters())
        command = ["compile", str(model), "--crossbar", "128x128", "-o", f"{folder}/out", "--json"]
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "hwmap.cli", *command], capture_output=True, check=True)
        seconds = time.perf_counter() - start
    peak_gb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    result = json.loads(done.stdout)
    print(f"{parameters:,} parameters on {result['crossbars']} crossbars, {result['utilization']:.1%} of devices used")
    print(f"{seconds:.1f} s, {peak_gb:.2f} GB at most, {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
