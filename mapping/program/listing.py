"""A program as text: one line a word, with the names of what it works on."""

from __future__ import annotations

from collections.abc import Iterator

from mapping.program.instructions import MINUS_ONE, TRANSPOSED, Instruction, Opcode
from mapping.program.tables import NONE, Program


def listing(program: Program) -> str:
    """Word numbers, words in hexadecimal, and mnemonics with names; loops indented, parts of the EP step titled."""
    return "\n".join(lines(program)) + "\n"


def lines(program: Program) -> Iterator[str]:
    yield (
        f"; {len(program.code)} words, {len(program.matrices)} matrices on {len(program.tiles)} tiles, "
        f"{program.memory_bytes} bytes of state memory"
    )
    titles: dict[int, list[str]] = {}
    for name, section in program.sections.items():
        titles.setdefault(section.first_word, []).append(name)
    names = {table: list(getattr(program, table)) for table in ("layers", "couplings", "matrices", "buffers")}
    depth = 0
    for number, one in enumerate(program.code):
        for title in titles.get(number, []):
            yield ""
            yield f"; {title}"
        depth -= one.opcode == Opcode.END
        operands = " ".join(operands_of(program, one, names))
        yield f"{number:6d}  {one.word:016x}  {'  ' * depth}{one.opcode.name} {operands}".rstrip()
        depth += one.opcode == Opcode.LOOP


def operands_of(program: Program, one: Instruction, names: dict[str, list[str]]) -> Iterator[str]:
    operation = one.operation
    if operation.index:
        yield names[operation.index][one.index]
    if one.opcode == Opcode.READ:
        yield from read_operands(program, one, names["buffers"])
    elif one.opcode == Opcode.BETA:
        yield "-1" if one.number == MINUS_ONE else str(one.number)
    elif one.opcode == Opcode.ANSWER:
        yield names["couplings" if one.flags else "layers"][one.number]
    elif operation.number:
        yield str(one.number)
    if one.opcode != Opcode.READ:
        yield from (name for bit, name in operation.flags.items() if one.flags & bit)


def read_operands(program: Program, one: Instruction, buffers: list[str]) -> Iterator[str]:
    matrix = list(program.matrices.values())[one.index]
    transposed = bool(one.flags & TRANSPOSED)
    source, target = (
        (matrix.transposed_from, matrix.transposed_to) if transposed else (matrix.forward_from, matrix.forward_to)
    )
    yield "transposed" if transposed else "forward"
    yield f"replica {one.number}"
    yield f"; {buffers[source]} -> {'nothing' if target == NONE else buffers[target]}"
