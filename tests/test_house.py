"""The house rules, checked on the source itself: imports go one way, files stay small, nothing names a machine."""

import ast
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A room imports itself and the rooms before it, nothing else of the house.
ROOMS = ["eqprop", "mapping", "sim", "hw", "tb", "reports", "hwmap"]
# On top of the order: both read a Mapping, and what they share is in mapping.
STRANGERS = [{"sim", "hw"}]

LONGEST_MODULE_LINES = 400
NAMES_THAT_SAY_NOTHING = {"utils.py", "helpers.py"}

# A path counts where it starts: /work/x and file:///work/x do, docs/work/x does not.
MACHINE_WORDS = re.compile(r"(?<![\w.~-])(/work/|/root/)|pypi\.org|--index-url|--extra-index-url")


def modules(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def rooms_that_exist() -> list[str]:
    return [room for room in ROOMS if modules(room)]


def allowed_rooms(room: str) -> set[str]:
    before_and_itself = set(ROOMS[: ROOMS.index(room) + 1])
    strangers = set().union(*(pair - {room} for pair in STRANGERS if room in pair))
    return before_and_itself - strangers


def forbidden_imports(room: str, source: str) -> list[str]:
    """``line N: imports X`` for each import, at any depth of ``source``, that a module of ``room`` may not make."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:  # a relative one stays in its room
            found.append((node.lineno, node.module))
    out_of_reach = set(ROOMS) - allowed_rooms(room)
    return [f"line {line}: imports {name}" for line, name in sorted(found) if name.split(".")[0] in out_of_reach]


@pytest.mark.parametrize("room", rooms_that_exist())
def test_room_imports_only_the_rooms_before_it(room: str) -> None:
    violations = [
        f"{path.relative_to(ROOT)} {violation}"
        for path in modules(room)
        for violation in forbidden_imports(room, path.read_text(encoding="utf-8"))
    ]
    assert violations == []


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("eqprop", "import mapping"),
        ("eqprop", "from sim.wires import effective_conductance"),
        ("eqprop", "import torch, hw.nudge as nudge"),
        ("mapping", "def late():\n    from sim import Chip\n"),
        ("sim", "from hw import Controller"),
        ("hw", "import sim.chip"),
        ("reports", "import hwmap"),
    ],
)
def test_import_checker_catches_a_violation(room: str, source: str) -> None:
    assert len(forbidden_imports(room, source)) == 1


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("eqprop", "import torch\nfrom eqprop.errors import InputError"),
        ("mapping", "from . import tiles\nfrom .sim import anything"),
        ("sim", "import mapping.arithmetic"),
        ("hw", "from mapping import Mapping\nimport simulators"),
        ("tb", "import hw, sim"),
        ("hwmap", "import eqprop, mapping, sim, hw, tb, reports"),
    ],
)
def test_import_checker_lets_allowed_imports_pass(room: str, source: str) -> None:
    assert forbidden_imports(room, source) == []


@pytest.mark.parametrize("room", rooms_that_exist())
def test_modules_are_named_after_an_idea(room: str) -> None:
    assert [str(path.relative_to(ROOT)) for path in modules(room) if path.name in NAMES_THAT_SAY_NOTHING] == []


@pytest.mark.parametrize("room", rooms_that_exist())
def test_modules_are_small_enough_to_hold_in_the_head(room: str) -> None:
    lines = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in modules(room)}
    assert {name: count for name, count in lines.items() if count > LONGEST_MODULE_LINES} == {}


@pytest.mark.parametrize("room", rooms_that_exist())
def test_room_ships_its_types(room: str) -> None:
    assert (ROOT / room / "py.typed").is_file()


def tracked_files() -> list[Path]:
    if shutil.which("git") is None:
        pytest.skip("git is not installed: cannot tell which files are tracked")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode != 0:
        pytest.skip(f"git ls-files failed: {listing.stderr.strip()}")
    if not listing.stdout:
        pytest.skip("git tracks no file here")
    return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_no_tracked_file_names_a_machine_or_a_registry() -> None:
    found = []
    for path in tracked_files():
        content = path.read_bytes()
        if path == Path(__file__).resolve() or b"\0" in content:  # this file spells them out; binary files are not text
            continue
        for number, line in enumerate(content.decode("utf-8", errors="replace").splitlines(), start=1):
            found += [f"{path.relative_to(ROOT)}:{number}: {hit[0]}" for hit in MACHINE_WORDS.finditer(line)]
    assert found == []


@pytest.mark.parametrize(
    ("line", "caught"),
    [
        ("data = '/work/main/data'", True),
        ("cd /root/", True),
        ("file:///work/x", True),
        ("pip install --extra-index-url URL", True),
        ("docs/work/plan.md", False),
        ("$HOME/work/", False),
        ("pip install hwmap", False),
    ],
)
def test_machine_words(line: str, caught: bool) -> None:
    assert bool(MACHINE_WORDS.search(line)) is caught
