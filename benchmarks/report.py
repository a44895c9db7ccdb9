"""The committed results: what the benchmarks printed, as ``results/<date>-<machine>.md`` with the numbers beside it.

A benchmark that is run again takes the place of its section; the others of that day and machine stay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from configs.files import write_whole

RESULTS = Path(__file__).parent / "results"
DATED = "[0-9]" * 4 + "-[0-9][0-9]-[0-9][0-9]-*.json"


@dataclass(frozen=True)
class Printed:
    """A table as it was printed."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


PRINTED: list[Printed] = []
"""The tables that this process has printed."""


def stem(date: str, machine: Mapping[str, Any]) -> str:
    """Return the name of the results of one day and machine, such as ``2026-11-25-amd-epyc-2-cores``."""
    words = re.sub(r"[^a-z0-9]+", "-", str(machine["cpu"]).lower()).strip("-") or "cpu"
    return f"{date}-{words}-{machine['cores']}-cores"


def save(
    name: str,
    result: Mapping[str, Any],
    tables: Sequence[Printed],
    machine: Mapping[str, Any],
    date: str,
    folder: Path = RESULTS,
) -> Path:
    """Put a benchmark's tables and numbers into the results of the day and return the Markdown file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{stem(date, machine)}.json"
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    content[name] = {"machine": dict(machine), "tables": [asdict(table) for table in tables], "result": dict(result)}
    for other in set(folder.glob(f"{date}-*.json")) - {file}:  # of one day, the last counts, whichever machine's it is
        before = json.loads(other.read_text(encoding="utf-8"))
        if before.pop(name, None) is not None:
            _write(other, before, date)
    return _write(file, dict(sorted(content.items())), date)


def _write(file: Path, content: Mapping[str, Any], date: str) -> Path:
    """Write the results of one day and machine, and return their page."""
    write_whole(file, json.dumps(content, indent=1) + "\n")
    page = file.with_suffix(".md")
    write_whole(page, markdown(content, date))
    return page


def markdown(content: Mapping[str, Any], date: str) -> str:
    """Return the page of one day's results."""
    lines = [
        f"# Measured on {date}",
        "",
        "Made by `perceptogram bench`, one section a benchmark; the numbers in full are in the JSON beside this page.",
        "Times that rows compare were taken in turns in the same run.",
    ]
    for name, section in content.items():
        told = {key: value for key, value in section["machine"].items() if value is not None}
        about = ", ".join(f"{key} {value}" for key, value in told.items())
        lines += ["", f"## {name}", "", f"`perceptogram bench {name}`; {about}"]
        for table in section["tables"]:
            lines += ["", f"**{_cell(table['title'])}**", "", *markdown_rows(table["header"], table["rows"])]
    return "\n".join(lines) + "\n"


def source(section: Mapping[str, Any]) -> str:
    """Return the machine and day of a section of `newest`."""
    return f"{section['machine']['cpu']}, {section['machine']['cores']} cores, {section['date']}"


def markdown_rows(header: Sequence[str], rows: Sequence[Sequence[object]], *, numbers: bool = True) -> list[str]:
    """Return the lines of a Markdown table; columns of `numbers`, all but the first, stand at the right."""
    under = ["---", *["---:" if numbers else "---"] * (len(header) - 1)]
    body = [[_cell(cell) for cell in row] for row in rows]
    return [f"| {' | '.join(cells)} |" for cells in ([_cell(name) for name in header], under, *body)]


def newest(folder: Path = RESULTS) -> dict[str, Any]:
    """Return each benchmark's newest section among the committed results, with the day and file it comes from."""
    found: dict[str, Any] = {}
    for file in sorted(folder.glob(DATED)):
        for name, section in json.loads(file.read_text(encoding="utf-8")).items():
            found[name] = section | {"date": file.name[:10], "page": file.with_suffix(".md").name}
    return found


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
