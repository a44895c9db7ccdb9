"""Random streams of report seeds, family by family, offline and live, and what the time axis's margin trades.

They take an hour and more: what is scored is kept in a file, one line a stream, from which a later run goes on.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.family_scores import (
    FULL,
    REPORT,
    Make,
    Score,
    Scored,
    default_pipeline,
    print_families,
    row_of,
    rows_of,
    score_all,
)
from benchmarks.harness import machine, print_table
from benchmarks.live_families import SECONDS as LIVE_S
from benchmarks.live_families import live_jobs, score_live
from benchmarks.random_faults import FAMILIES
from realtime.epoching.pipeline import Pipeline
from realtime.sources.base import StreamSpec
from realtime.timeline.axis_settings import DEFAULT, AxisSettings
from realtime.timeline.timeline import Timeline

HOUSE = Path(__file__).resolve().parents[1]
LIVE_RUNS = 40
"""Random streams over LSL, of half a minute each."""
MARGINS = (1.0, 4.0, 16.0, 36.0)
"""Margins of the operating curve beside the one that ships."""
CURVE_STREAMS = 8
"""Streams a family of which the operating curve is made."""
PIECE = 8
"""Streams that are scored before they are written down."""

Jobs = Sequence[tuple[str, int]]


class Kept:
    """Scores in a file, so that a run that is broken off goes on; those that other code made are left out.

    Parameters
    ----------
    file
        The file; nothing is kept where there is none.
    minutes
        Time after which nothing is begun; endless where it is None.
    """

    def __init__(self, file: Path | None, minutes: float | None = None) -> None:
        self._file = file
        self._stop = math.inf if minutes is None else time.monotonic() + 60 * minutes
        self._known: dict[tuple[str, str, int], Scored] = {}
        self.whole = True
        self._code = _digest()
        if file is not None and file.exists():
            for line in file.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                if row["code"] == self._code:
                    score = Scored(row["family"], row["seed"], Score(**row["score"]), row["error"])
                    self._known[row["of"], score.family, score.seed] = score

    def scored(self, of: str, jobs: Jobs, score: Callable[[Jobs], list[Scored]], piece: int = PIECE) -> list[Scored]:
        """Return the scores of `jobs`, of those that are known or for which there was time.

        Parameters
        ----------
        of
            What is scored: scores of different kinds stand in one file.
        jobs
            Family and seed of each.
        score
            Scores those that are not known yet.
        piece
            How many it is given at a time.
        """
        missing = [job for job in jobs if (of, *job) not in self._known]
        for start in range(0, len(missing), piece):
            if time.monotonic() > self._stop:
                self.whole = False
                break
            for one in score(missing[start : start + piece]):
                self._known[of, one.family, one.seed] = one
                self._write(of, one)
        return [self._known[of, *job] for job in jobs if (of, *job) in self._known]

    def _write(self, of: str, one: Scored) -> None:
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            row = {"of": of, "family": one.family, "seed": one.seed, "score": asdict(one.score), "error": one.error}
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row | {"code": self._code}) + "\n")


def _digest() -> str:
    """Return what tells the code that scores depend on from any other."""
    files = [HOUSE / "realtime" / "sources" / "base.py", *(HOUSE / "benchmarks").glob("random_*.py")]
    files += [HOUSE / "benchmarks" / name for name in ("family_scores.py", "live_families.py")]
    files += [file for part in ("timeline", "epoching") for file in (HOUSE / "realtime" / part).glob("*.py")]
    texts = [f"{file.name}\n{file.read_text(encoding='utf-8')}" for file in sorted(files)]
    return hashlib.sha256("".join(texts).encode()).hexdigest()[:12]


def with_margin(spec: StreamSpec, margin: float) -> Pipeline:
    """Return the pipeline with another margin of its time axis."""
    pipeline = default_pipeline(spec)
    pipeline.timeline = Timeline(spec.rate_hz, AxisSettings(margin=margin))
    return pipeline


def run(
    quick: bool = False,
    out: Path | None = None,
    minutes: float | None = None,
    make: Make = default_pipeline,
    processes: int = 2,
) -> dict[str, Any]:
    """Score streams offline and live, and the operating curve (quick: few, short ones).

    Parameters
    ----------
    quick
        Whether to take one short stream a family.
    out
        Folder for the scores, from which a later run of the same code goes on.
    minutes
        Time after which no stream is begun.
    make
        Makes the pipeline of a stream, for other settings than those that ship.
    processes
        Streams scored at once, at most.
    """
    kept = Kept(None if out is None else out / "family-scores.jsonl", minutes)
    at_most_s = 15.0 if quick else math.inf
    counts = dict.fromkeys(FAMILIES, 1) if quick else FULL

    def score(jobs: Jobs, make: Make = make) -> list[Scored]:
        return score_all(jobs, make, at_most_s, processes)

    jobs = _in_turn(counts)
    rows = rows_of(kept.scored("offline", jobs, score), counts)
    curve = list(_curve(kept, _in_turn(dict.fromkeys(FAMILIES, 1 if quick else CURVE_STREAMS)), score))
    live_s = 12.0 if quick else LIVE_S
    at_once = 2 if quick else 4
    runs = kept.scored(
        "live", live_jobs(REPORT, 2 if quick else LIVE_RUNS), partial(score_live, seconds=live_s, make=make), at_once
    )
    live = {"name": "live, all families"} | row_of(sum((one.score for one in runs), Score()))
    failed = [f"{one.family} {one.seed}: {one.error}" for one in runs if one.error]
    print_families(rows, "Random streams by family")
    print_families([live], "Random streams live over LSL")
    header = ["margin", "streams", "epochs", "wrong in 10,000", "refused far from any fault, %", "lost exact"]
    print_table("Operating curve", header, [list(row.values()) for row in curve])
    return {
        "families": rows,
        "operating_curve": curve,
        "live": live,
        "live_failed": failed,
        "seeds": "report",
        "whole": kept.whole,
        "machine": machine(),
    }


def _in_turn(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return so many families and seeds, the families in turn: what is broken off holds some of each."""
    turns = range(max(counts.values()))
    return [(name, REPORT[turn]) for turn in turns for name, count in counts.items() if turn < count]


def _curve(kept: Kept, jobs: Jobs, score: Callable[[Jobs, Make], list[Scored]]) -> Iterator[dict[str, Any]]:
    """Yield what each margin comes to on the same streams: those that all margins had the time for."""
    found = {}
    for margin in sorted((*MARGINS, DEFAULT.margin)):
        of = "offline" if margin == DEFAULT.margin else f"margin {margin:g}"
        scored = kept.scored(of, jobs, partial(score, make=partial(with_margin, margin=margin)))
        found[margin] = {(one.family, one.seed): one.score for one in scored}
    common = set.intersection(*(set(scores) for scores in found.values()))
    for margin, scores in found.items():
        total = sum((scores[job] for job in common), Score())
        yield {
            "margin": margin,
            "streams": total.streams,
            "accepted": total.accepted,
            "wrong_in_10000": round(1e4 * total.wrong / total.accepted, 2) if total.accepted else None,
            "refused_far_percent": round(100 * total.refused_far / total.far, 2) if total.far else None,
            "lost_exact": f"{total.lost_exact} of {total.with_losses}",
        }
