"""How commands talk to people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from configs.files import write_whole

console = Console(highlight=False)


def progress_bar() -> Progress:
    """Return a progress bar that disappears when it is done."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )


def number(value: float | None, digits: int = 2) -> str:
    """Return `value` for people; ``n/a`` where it could not be computed."""
    return "n/a" if value is None else f"{value:.{digits}f}"


def print_rows(title: str, rows: Mapping[str, str]) -> None:
    """Print a short table of names and values."""
    table = Table(title=title, title_justify="left", show_header=False, title_style="bold")
    table.add_column(style="dim")
    table.add_column()
    for name, value in rows.items():
        table.add_row(name, value)
    console.print(table)


def print_notices(lines: Iterable[str]) -> None:
    """Print what people should know beside the result, each line once, as it is."""
    for line in dict.fromkeys(lines):
        typer.echo(line, err=True)


def write_json(path: Path, content: Any) -> None:
    """Write `content` to `path`, whole or not at all."""
    write_whole(path, json.dumps(content, indent=1, allow_nan=False) + "\n")
