"""A session that is over, as its folder tells it: what was said when, and the pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.errors import InputError
from realtime.recording.latency_log import read_percepts


class RecordedError(InputError):
    """A folder that holds no session that can be shown."""

    about = "recorded-sessions"


@dataclass(frozen=True)
class RecordedSession:
    """What a session left behind.

    Attributes
    ----------
    name
        The folder's.
    details
        What a page should know of it: `simulated`, `candidates`, `name`.
    entries
        What was said, in order: `at` in seconds from the first, `topic` and `message` as over the control channel;
        pictures have the topic ``frame``.
    pictures
        The file of each trial's final picture, where there is one; beside it what was shown, where that is known.
    """

    name: str
    details: dict[str, Any]
    entries: list[dict[str, Any]]
    pictures: Mapping[int, Path]

    def json_bytes(self) -> bytes:
        """Return what the page reads."""
        return json.dumps({"details": self.details, "entries": self.entries}).encode()


def read_session(folder: Path) -> RecordedSession:
    """Return the session in `folder`.

    Raises
    ------
    RecordedError
        If there is none.
    """
    log = folder / "percepts.jsonl"
    if not log.is_file():
        msg = f"no session in {folder}: percepts.jsonl is missing; 'perceptogram run' leaves one in its --out folder"
        raise RecordedError(msg)
    records = read_percepts(log)
    summary = _summary(folder / "summary.json")
    pictures = {record["trial"]: file for record in records if (file := _picture(folder, record)) is not None}
    name = folder.resolve().name
    details: dict[str, Any] = {"name": name, "simulated": bool(summary.get("simulated"))}
    if summary.get("candidates"):
        details["candidates"] = summary["candidates"]
    entries = list(_entries(records, pictures))
    begun = entries[0]["at"] if entries else 0.0
    for entry in entries:
        entry["at"] -= begun
        entry["message"]["since"] = entry["at"]
    return RecordedSession(name, details, entries, pictures)


def _summary(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # a session that broke off has none
    return content if isinstance(content, dict) else {}


def _picture(folder: Path, record: Mapping[str, Any]) -> Path | None:
    """Return the file of a trial's picture: its name in the session's own folder of pictures, wherever it points."""
    if not isinstance(record.get("file"), str) or not isinstance(record.get("trial"), int):
        return None
    path = folder / "pictures" / Path(record["file"]).name
    return path if path.is_file() else None


def _entries(records: list[dict[str, Any]], pictures: Mapping[int, Path]) -> Iterator[dict[str, Any]]:
    """Yield what was said in the order in which it was; what bears no time was said when the line before was."""
    timed: list[dict[str, Any]] = []
    now = 0.0
    for record in records:
        for at, topic, message in _words(record, pictures):
            now = at if at is not None else now
            timed.append({"at": now, "topic": topic, "message": message})
    known = [entry["at"] for entry in timed if entry["at"] > 0]
    for entry in timed:
        entry["at"] = entry["at"] or min(known, default=0.0)
    yield from sorted(timed, key=lambda entry: float(entry["at"]))


def _words(record: dict[str, Any], pictures: Mapping[int, Path]) -> Iterator[tuple[float | None, str, dict[str, Any]]]:
    """Yield time, topic and message of what a line of the log says."""
    ledger = record.get("ledger")
    if "neighbours" in record and isinstance(ledger, dict):
        at = ledger.get("embedding", ledger.get("arrived"))
        yield at, "event", {"kind": "percept", **record}
        trial = record["trial"]
        if trial in pictures and record.get("file"):
            label = {"trial": trial, "step": 1, "of": 1, "ledger": {}, "url": f"/pictures/{trial}"}
            yield ledger.get("final_picture", at), "frame", label
    elif isinstance(ledger, dict):
        yield None, "event", {"kind": "ledger", "data": {"trial": record.get("trial"), "stages": ledger}}
    elif "refused" in record or "retracted" in record:
        kind = "refused" if "refused" in record else "retracted"
        yield None, "event", {"kind": kind, "data": {"trial": record.get("trial"), "reason": record[kind]}}
    elif "notice" in record:
        data = {"notice": record["notice"], "text": record.get("text")}
        yield record.get("stamp"), "event", {"kind": "notice", "data": data}
