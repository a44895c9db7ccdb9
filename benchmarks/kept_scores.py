"""Scores of random streams in a file, one line a stream, so that a run of an hour may be broken off and goes on."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from benchmarks.family_scores import Job, Score, Scored
from configs.files import write_whole

HOUSE = Path(__file__).resolve().parents[1]


class Kept:
    """Scores in a file; those that other code made are left out.

    Parameters
    ----------
    file
        The file; nothing is kept where there is none.
    minutes
        Time after which nothing is begun; endless where it is None.

    Attributes
    ----------
    whole
        Whether there was time for all that was asked for.
    """

    def __init__(self, file: Path | None, minutes: float | None = None) -> None:
        self._file = file
        self._stop = math.inf if minutes is None else time.monotonic() + 60 * minutes
        self._known: dict[Job, Scored] = {}
        self.whole = True
        self._code = _digest()
        if file is not None and file.exists():
            lines, _, cut = file.read_text(encoding="utf-8").rpartition("\n")
            if cut:  # by a kill: this stream is scored again
                write_whole(file, f"{lines}\n" if lines else "")
            for line in lines.splitlines():
                row = json.loads(line)
                if row["code"] == self._code:
                    scored = Scored(Job(*row["job"]), Score(**row["score"]), row["error"])
                    self._known[scored.job] = scored

    def scored(self, jobs: Iterable[Job], score: Callable[[Iterator[Job]], Iterable[Scored]]) -> list[Scored]:
        """Return the scores of `jobs`, of those that are known or for which there was time.

        Parameters
        ----------
        jobs
            What is scored.
        score
            Scores those that are not known yet, each as it is asked for the next.
        """
        jobs = list(jobs)
        for one in score(self._in_time(job for job in jobs if job not in self._known)):
            self._known[one.job] = one
            self._write(one)
        return [self._known[job] for job in jobs if job in self._known]

    def _in_time(self, jobs: Iterable[Job]) -> Iterator[Job]:
        for job in jobs:
            if time.monotonic() > self._stop:
                self.whole = False
                return
            yield job

    def _write(self, one: Scored) -> None:
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            row = {"job": list(one.job), "score": asdict(one.score), "error": one.error, "code": self._code}
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


def _digest() -> str:
    """Return what tells the code that scores depend on from any other."""
    files = [HOUSE / "realtime" / "sources" / "base.py", *(HOUSE / "benchmarks").glob("random_*.py")]
    files += [HOUSE / "benchmarks" / name for name in ("family_scores.py", "live_families.py")]
    files += [file for part in ("timeline", "epoching") for file in (HOUSE / "realtime" / part).glob("*.py")]
    texts = [f"{file.name}\n{file.read_text(encoding='utf-8')}" for file in sorted(files)]
    return hashlib.sha256("".join(texts).encode()).hexdigest()[:12]
