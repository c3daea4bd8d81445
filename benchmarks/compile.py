"""Time and memory of compiling Hopfield-ResNet13 at three widths, from a model file to a written directory.

Each runs in a process of its own. "Extra" is the most memory beyond what it had once the model was loaded.

Usage: python benchmarks/compile.py [WIDTH ...]
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WIDTHS = (1.0, 2.0, 3.2)
MB = 1e6


def resident_bytes(field: str) -> int:
    """``VmRSS`` (now) or ``VmHWM`` (at most) of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {field} in /proc/self/status: this benchmark needs Linux")


def measure(folder: Path) -> None:
    """Load, compile and save; print what it took."""
    import mapping
    from eqprop import checkpoint

    start = time.perf_counter()
    network = checkpoint.load(folder / "model.pt")
    target = mapping.Target.load("rram-hfo2", (128, 128))
    Path("/proc/self/clear_refs").write_text("5")  # the most so far is what is resident now
    before = resident_bytes("VmRSS")
    compiled = mapping.compile(network, target)
    compiled.save(folder / "compiled")
    found = {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "crossbars": compiled.crossbars,
        "utilization": compiled.utilization,
        "seconds": time.perf_counter() - start,
        "extra_bytes": resident_bytes("VmHWM") - before,
    }
    print(json.dumps(found))


def main() -> None:
    widths = [float(text) for text in sys.argv[1:]] or WIDTHS
    print(f"{os.cpu_count()} cores")
    print("parameters   crossbars  devices used  seconds  us a weight  extra MB  of the checkpoint")
    for width in widths:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write = (
                "import eqprop, sys; from pathlib import Path; from eqprop.checkpoint import Checkpoint, save; "
                f"save(Path(sys.argv[1]), Checkpoint(eqprop.models.build('hopfield-resnet13', width={width})))"
            )
            subprocess.run([sys.executable, "-c", write, str(folder / "model.pt")], check=True)
            size = (folder / "model.pt").stat().st_size
            done = subprocess.run([sys.executable, __file__, "--measure", name], capture_output=True, check=True)
        found = json.loads(done.stdout)
        a_weight = found["seconds"] / found["parameters"] * 1e6
        extra = found["extra_bytes"]
        print(
            f"{found['parameters']:11,}  {found['crossbars']:9,}  {found['utilization']:12.1%}  "
            f"{found['seconds']:7.1f}  {a_weight:11.2f}  {extra / MB:8.0f}  {extra / size:.2f} x"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(Path(sys.argv[2]))
    else:
        main()
