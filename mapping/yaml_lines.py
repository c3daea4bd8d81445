"""YAML with the line of every key, so that errors can point at it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from eqprop.errors import InputError

Keys = tuple[str, ...]


@dataclass(frozen=True)
class LocatedYaml:
    """A file's content (a table) and the line of each key path."""

    path: Path
    content: dict[str, Any]
    lines: dict[Keys, int]

    def written(self, keys: Keys) -> Keys:
        """The part of ``keys`` that the file has; names of variants that a checker put in between are left out."""
        found: Keys = ()
        for key in keys:
            if (*found, key) in self.lines:
                found = (*found, key)
        return found

    def line(self, keys: Keys) -> int:
        """The line of the deepest part of ``keys`` that the file has."""
        return self.lines.get(self.written(keys), 1)


def one_line(text: str) -> str:
    """``text`` with whatever would break its line written as an escape."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def read_located(path: Path) -> LocatedYaml:
    """Read a YAML table.

    Raises:
        InputError: if the file cannot be read, is not YAML, is no table, or names a key twice.
    """
    lines: dict[Keys, int] = {(): 1}
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text") from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is not None:
            locate(path, node, (), lines)
        content = yaml.safe_load(text)
    except InputError:
        raise
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{path}:{line}: not YAML: {one_line(str(error.problem))}") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date or number that is none, such as 2001-13-45
        raise InputError(f"{path}: not YAML: {one_line(str(error))}") from error
    except RecursionError as error:
        raise InputError(f"{path}: nested without end: expected tables of keys and values") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a table of keys and values")
    return LocatedYaml(path, content, lines)


def locate(path: Path, node: yaml.Node, keys: Keys, lines: dict[Keys, int]) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*keys, str(key.value))
            line = key.start_mark.line + 1
            if inner in lines:
                raise InputError(
                    f"{path}:{line}: key {one_line('.'.join(inner))} appears twice (first on line {lines[inner]})"
                )
            lines[inner] = line
            locate(path, value, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            lines[*keys, str(number)] = value.start_mark.line + 1
            locate(path, value, (*keys, str(number)), lines)
