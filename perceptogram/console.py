"""How commands talk to people: what is printed is taken as it is, whatever brackets a name or a message holds."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.status import Status
from rich.table import Table
from rich.text import Text

from configs.files import write_whole

console = Console(highlight=False, markup=False, emoji=False)
errors = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)


_STEPS_S = 3600.0
"""Seconds of steps by which the time left is estimated: a single step may take minutes."""


class Notices(TextIOWrapper):
    """What goes to the standard error, left out where it cannot be written.

    A full disk, with the file to which a session's notices are redirected, must not end the session.
    """

    def write(self, text: str, /) -> int:
        """Write `text` if that is possible; return its length."""
        with contextlib.suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """Write what waits if that is possible."""
        with contextlib.suppress(OSError):
            super().flush()


def progress_bar() -> Progress:
    """Return a progress bar, with an estimate of the time left, that disappears when it is done."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}", markup=False),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        speed_estimate_period=_STEPS_S,
    )


def teller(progress: Progress) -> Callable[[str, float, int], None]:
    """Return what tells `progress` which part of a long work is being done, and how far."""
    task, current = progress.add_task("beginning", total=1), ""

    def tell(stage: str, done: float, total: int) -> None:
        nonlocal current
        if stage != current:  # what one part took says nothing of what the next will take
            progress.reset(task, description=stage, total=total, completed=0)
        current = stage
        progress.update(task, completed=done, total=total)

    return tell


def styled(*parts: str | tuple[str, str]) -> Text:
    """Return parts, of which pairs are text and its style, as one line to print."""
    return Text.assemble(*parts)


def waiting(text: str) -> Status:
    """Return a context that shows `text` beside something that turns while it is open."""
    return console.status(Text(text))


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


def as_json(content: Any) -> str:
    """Return `content` as a file of JSON holds it."""
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def write_json(path: Path, content: Any) -> None:
    """Write `content` to `path`, whole or not at all."""
    write_whole(path, as_json(content))
