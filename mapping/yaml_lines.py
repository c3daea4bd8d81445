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

    def line(self, keys: Keys) -> int:
        """The line of the deepest part of ``keys`` that the file has."""
        while keys and keys not in self.lines:
            keys = keys[:-1]
        return self.lines.get(keys, 1)


def read_located(path: Path) -> LocatedYaml:
    """Read a YAML table.

    Raises:
        InputError: if the file cannot be read, is not YAML, is no table, or names a key twice.
    """
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        lines: dict[Keys, int] = {(): 1}
        if node is not None:
            locate(path, node, (), lines)
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{path}:{line}: not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a table of keys and values")
    return LocatedYaml(path, content, lines)


def locate(path: Path, node: yaml.Node, keys: Keys, lines: dict[Keys, int]) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*keys, str(key.value))
            line = key.start_mark.line + 1
            if inner in lines:
                raise InputError(f"{path}:{line}: key {'.'.join(inner)} appears twice (first on line {lines[inner]})")
            lines[inner] = line
            locate(path, value, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            lines[*keys, str(number)] = value.start_mark.line + 1
            locate(path, value, (*keys, str(number)), lines)
