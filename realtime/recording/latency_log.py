"""When each stage of each trial happened, on the LSL clock; and the percept log that carries it.

Every time is in seconds on the LSL clock of this machine, so any two of one trial can be subtracted.
"""

from __future__ import annotations

import json
import logging
import os
from array import array
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

logger = logging.getLogger(__name__)

KEPT = 10_000
"""Lines that wait while nothing can be written; the oldest is dropped for one more."""
COPIED = 1 << 20

STAGES = {
    "onset": "stimulus marker's timestamp",
    "marker": "this machine had the marker",
    "preview_requested": "a preview was asked for, of an answer before the window's end",
    "preview": "its first picture was painted",
    "preview_shown": "its first picture was on the screen",
    "last_sample": "timestamp of the window's last sample",
    "arrived": "this machine had the last sample",
    "embedding": "the embedding was complete",
    "requested": "a picture was asked for",
    "first_picture": "the first preview was painted",
    "final_picture": "the final picture was painted",
    "shown": "the final picture was on the screen",
}
"""Stages in the order in which they happen; ``picture_1``, ``picture_2``, ... are the pictures of each step."""

INTERVALS = {
    "onset_to_marker_ms": ("onset", "marker"),
    "onset_to_preview_shown_ms": ("onset", "preview_shown"),
    "preview_shown_to_last_sample_ms": ("preview_shown", "last_sample"),
    "last_sample_to_arrival_us": ("last_sample", "arrived"),
    "last_sample_to_embedding_us": ("arrived", "embedding"),
    "embedding_to_request_us": ("embedding", "requested"),
    "embedding_to_first_picture_ms": ("embedding", "first_picture"),
    "embedding_to_final_picture_ms": ("embedding", "final_picture"),
    "final_picture_to_shown_ms": ("final_picture", "shown"),
    "last_sample_to_shown_ms": ("last_sample", "shown"),
    "onset_to_final_picture_ms": ("onset", "final_picture"),
}
"""Delays that a summary gives; ``last_sample_to_embedding_us`` starts when the last sample was in hand."""

_PER_SECOND = {"us": 1e6, "ms": 1e3}


def summary(records: Iterable[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Return for each of `INTERVALS` that occurs its percentiles over `records`, in the unit that its name ends with.

    Returns
    -------
    ``{"last_sample_to_embedding_us": {"p50": ..., "p95": ..., "p99": ..., "n": ...}, ...}``
    """
    delays = Delays()
    for record in records:
        delays.add(record, record)
    return delays.summary()


class Delays:
    """The delays of all trials so far, eight bytes each: what is left of a ledger that nobody reads any more."""

    def __init__(self) -> None:
        self._found: dict[str, array[float]] = {name: array("d") for name in INTERVALS}

    def add(self, record: Mapping[str, float], stages: Collection[str]) -> None:
        """Take in the delays of `record` that end with one of `stages`, those that were reached since the last time."""
        for name, (start, stop) in INTERVALS.items():
            if stop in stages and start in record and stop in record:
                self._found[name].append(record[stop] - record[start])

    def summary(self) -> dict[str, dict[str, float]]:
        """Return what `realtime.recording.latency_log.summary` does."""
        found: dict[str, dict[str, float]] = {}
        for name, delays in self._found.items():
            if delays:
                p50, p95, p99 = np.percentile(np.array(delays) * _PER_SECOND[name[-2:]], [50, 95, 99])
                found[name] = {"p50": float(p50), "p95": float(p95), "p99": float(p99), "n": len(delays)}
        return found


class PerceptLog:
    """Appends one JSON object a line; every line is written whole or not at all, and at once.

    Lines that cannot be written, as on a full disk, wait for the next one, `KEPT` at most. A file that is deleted is
    put back with what it held.

    Parameters
    ----------
    path
        File to append to; made where it is missing. A line that a crash cut short is ended first: it spoils no other.
    tell
        Called with a line when nothing can be written any more, and when that is mended.
    """

    def __init__(self, path: str | Path, tell: Callable[[str], None] = logger.warning) -> None:
        self._path = Path(path)
        self._tell = tell
        self._waiting: deque[bytes] = deque(maxlen=KEPT)
        self._failing = False
        self._file = self._open()
        length = os.lseek(self._file, 0, os.SEEK_END)
        if length and os.pread(self._file, 1, length - 1) != b"\n":
            self._append(b"\n")

    def write(self, record: Mapping[str, Any]) -> None:
        """Append `record`; NumPy numbers and arrays are written as numbers and lists.

        Raises
        ------
        ValueError
            If it holds NaN or infinity, which JSON has not; nothing is written then.
        """
        line = json.dumps(record, allow_nan=False, default=_plain, separators=(",", ":")) + "\n"
        self._waiting.append(line.encode())
        self._flush()

    def close(self) -> None:
        """Close the file; safe to call twice. What could not be written is told."""
        if self._file >= 0:
            self._flush()
            if self._waiting:
                self._tell(f"the last {len(self._waiting)} lines are not in {self._path}")
            os.close(self._file)
            self._file = -1

    def _flush(self) -> None:
        """Write what waits, where that is possible."""
        try:
            if os.fstat(self._file).st_nlink == 0:
                self._put_back()
            while self._waiting:
                self._append(self._waiting[0])
                self._waiting.popleft()
        except OSError as error:
            if not self._failing:
                self._tell(f"percepts are not written any more: cannot write {self._path} ({error.strerror or error})")
            self._failing = True
            return
        if self._failing:
            self._failing = False
            self._tell(f"percepts are written to {self._path} again")

    def _open(self) -> int:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)

    def _append(self, line: bytes) -> None:
        length = os.lseek(self._file, 0, os.SEEK_END)
        try:
            while line:
                line = line[os.write(self._file, line) :]
        except OSError:
            os.ftruncate(self._file, length)  # a full disk must not leave half a line
            raise

    def _put_back(self) -> None:
        deleted = self._file
        self._file = self._open()
        try:
            os.lseek(deleted, 0, os.SEEK_SET)
            while part := os.read(deleted, COPIED):
                self._append(part)
        except OSError:
            self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = deleted
            raise
        os.close(deleted)
        self._tell(f"{self._path} was deleted while it was written; it is put back, whole")

    def __enter__(self) -> PerceptLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_percepts(path: str | Path) -> list[dict[str, Any]]:
    """Return the records of a percept log; lines that a crash cut short are left out with a warning."""
    records = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if isinstance(record, dict):
            records.append(record)
        else:
            logger.warning("%s line %d is not a whole record and is left out", path, number)
    return records


def trial_times(records: Iterable[Mapping[str, Any]]) -> list[dict[str, float]]:
    """Return each trial's times, earliest first; a percept log's `records` may tell some of them later than others."""
    by_trial: dict[Any, dict[str, float]] = {}
    for record in records:
        if isinstance(record.get("ledger"), dict):
            by_trial.setdefault(record.get("trial"), {}).update(record["ledger"])
    return [dict(sorted(times.items(), key=lambda stage: stage[1])) for times in by_trial.values()]


def _plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    msg = f"a percept cannot hold a {type(value).__name__}"
    raise TypeError(msg)
