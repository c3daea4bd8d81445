"""What the command prints: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

stderr = Console(stderr=True, highlight=False)
stdout = Console(highlight=False)


def print_result(result: Mapping[str, Any], table: Table | None, as_json: bool) -> None:
    """One JSON object, or a table."""
    if as_json:
        sys.stdout.write(json.dumps(result, allow_nan=False) + "\n")
    elif table is not None:
        stdout.print(table)


def say(line: str) -> None:
    """A line about what is going on."""
    stderr.print(escape(line), soft_wrap=True)


def print_error(line: str) -> None:
    stderr.print(f"[bold red]error:[/] {escape(line)}", soft_wrap=True)


def show_warnings() -> None:
    """Print warnings as one line on stderr, without file and source."""

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        stderr.print(f"[yellow]warning:[/] {escape(str(message))}", soft_wrap=True)

    warnings.simplefilter("always")
    warnings.showwarning = show


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int = 1) -> Table:
    """A small table; the first ``text_columns`` are text, the others are figures."""
    result = Table(title=title, title_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        result.add_column(column, justify="left" if number < text_columns else "right")
    for row in rows:
        result.add_row(*(escape(cell) for cell in row))
    return result


@contextmanager
def progress(*columns: str) -> Iterator[Progress]:
    """A progress bar on stderr; ``columns`` are extra fields shown at its end."""
    extra = [TextColumn(f"{{task.fields[{name}]}}") for name in columns]
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        *extra,
        console=stderr,
        disable=not stderr.is_terminal,
    ) as bar:
        yield bar
