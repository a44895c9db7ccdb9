"""What the pipeline makes of random streams, family by family, compared with the truth about each.

Development seeds are for building the detector, report seeds for the numbers that are told: nobody builds on them.

    python -m benchmarks.family_scores --streams 5 --seconds 60

prints a table over development seeds and names the streams that went wrong.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.harness import print_table
from benchmarks.random_faults import FAMILIES, RandomFault
from benchmarks.random_streams import RandomStream, random_stream
from configs.schema import Config
from realtime.epoching.epochs import Closed, Refused, Retracted
from realtime.epoching.pipeline import Pipeline
from realtime.sources.base import Chunk, Marker, Notice, StreamSpec
from realtime.timeline.axis_settings import DEFAULT, AxisSettings
from realtime.timeline.sample_grid import Fault, Hole
from realtime.timeline.timeline import Timeline

DEVELOPMENT = range(1_000_000)
REPORT = range(2_005_000, 3_000_000)
"""What lies between them has been looked at."""
SEEDS = {"development": DEVELOPMENT, "report": REPORT}
WINDOW_S = 0.8
TOLERANCE_S = 4e-3
"""An epoch is wrong when a sample lies further than this, and than one sample, from where it was taken."""
FAR_S = 2.0
"""An epoch further than this from any fault has no reason to be refused,"""
WARM_UP_S = 5.0
"""but for those so soon after the first sample,"""
LAST_S = 3.0
"""so shortly before the last one,"""
LAGS = 9
"""Constant delays that are tried between none and the sender's `lag_s`; the best of them is taken for the truth."""
KNOWN_PPM = 100.0
"""A nominal rate that is off by more than this may be reported."""
PLACEABLE = 0.7
"""and those that miss the tolerance by more than this share because samples come at another rate than they say."""
REPORTED_S = 5.0
"""A report counts for a fault that was over no longer than this ago."""
CONFIG = Config.model_validate({"filters": {"highpass_hz": None, "lowpass_hz": None}, "window": {"stop_s": WINDOW_S}})
"""No filters, so that the counter in the first channel comes out as it went in."""
FULL = dict.fromkeys(FAMILIES, 188) | dict.fromkeys(("clean", "clean-radio"), 60)
"""Streams of each family in a full run: 2,000, ten hours of them clean."""

Make = Callable[[StreamSpec], Pipeline]


@dataclass
class Score:
    """What became of one stream, or the sum over several.

    Attributes
    ----------
    streams, hours
        How many, and how long together.
    accepted, wrong
        Epochs that stand in the end, and those of them with a sample more than 4 ms and one sample from its true time,
        or with one missing, repeated or without a value.
    far, refused_far
        Epochs further than 2 s from any fault, and those of them that were refused or taken back.
    false_alarms
        Faults reported where there is none.
    with_losses, lost_exact
        Streams that lost samples, and those of them whose lost samples were counted exactly.
    crashed
        Streams at which the pipeline failed.
    """

    streams: int = 0
    hours: float = 0.0
    accepted: int = 0
    wrong: int = 0
    far: int = 0
    refused_far: int = 0
    false_alarms: int = 0
    with_losses: int = 0
    lost_exact: int = 0
    crashed: int = 0

    def __add__(self, other: Score) -> Score:
        return Score(*(getattr(self, part.name) + getattr(other, part.name) for part in fields(Score)))


class Job(NamedTuple):
    """A stream by family and seed, and the margin of the time axis that it is scored with."""

    family: str
    seed: int
    margin: float = DEFAULT.margin


@dataclass(frozen=True)
class Scored:
    """One stream's score; `error` is what it failed with, if it did."""

    job: Job
    score: Score = field(default_factory=Score)
    error: str = ""


def default_pipeline(spec: StreamSpec) -> Pipeline:
    """Return the pipeline as it is shipped, without filters."""
    return Pipeline(CONFIG, spec)


def with_margin(spec: StreamSpec, margin: float) -> Pipeline:
    """Return the pipeline with another margin of its time axis."""
    pipeline = default_pipeline(spec)
    pipeline.timeline = Timeline(spec.rate_hz, AxisSettings(margin=margin))
    return pipeline


def judge(
    stream: RandomStream, events: Iterable[Chunk | Marker | Notice], pipeline: Pipeline, clocks_s: float = 1e-6
) -> Score:
    """Return what `pipeline` makes of `events`.

    Parameters
    ----------
    stream
        The truth about them.
    events
        As they came: the stream's own, or what was read of it over LSL.
    pipeline
        A fresh one.
    clocks_s
        Error of the clocks between sender and reader.
    """
    now = float(stream.true_time[0])
    reports: list[tuple[float, Hole | Fault]] = []
    closed: dict[int, tuple[float, Any]] = {}
    gone: dict[int, float] = {}

    def note(event: object) -> None:
        if isinstance(event, Hole | Fault):
            reports.append((now, event))
        elif isinstance(event, Closed):
            closed[event.trial] = (event.epoch.onset, event.epoch.samples)
        elif isinstance(event, Refused | Retracted):
            closed.pop(event.trial, None)
            gone[event.trial] = event.marker.timestamp

    for item in events:
        now = max(now, item.arrived or now) if isinstance(item, Chunk) else now
        for event in pipeline.push(item):
            note(event)
    for event in pipeline.finish():
        note(event)
    far_kept = _far(stream, pipeline, np.array([onset for onset, _ in closed.values()]))
    far_gone = _far(stream, pipeline, np.array(list(gone.values())))
    return Score(
        streams=1,
        hours=float(np.ptp(stream.true_time)) / 3600,
        accepted=len(closed),
        wrong=count_wrong(stream, pipeline, list(closed.values()), clocks_s),
        far=int(far_kept.sum() + far_gone.sum()),
        refused_far=int(far_gone.sum()),
        false_alarms=sum(not _explained(stream, at, report) for at, report in reports),
        with_losses=int(stream.lost > 0),
        lost_exact=int(stream.lost > 0 and pipeline.timeline.lost == stream.lost),
    )


def count_wrong(
    stream: RandomStream, pipeline: Pipeline, epochs: Sequence[tuple[float, Any]], clocks_s: float = 1e-6
) -> int:
    """Return how many `epochs`, onset and samples of each, hold others than those that were taken in their windows."""
    if not epochs:
        return 0
    samples = np.stack([values for _, values in epochs])
    numbers = np.rint(samples[..., 0]).astype(np.int64)
    off = stream.true_time[numbers] - np.array([onset for onset, _ in epochs])[:, None] - pipeline.times_s
    whole = np.isfinite(samples).all(axis=(1, 2)) & (np.diff(numbers) == 1).all(axis=1)
    bound = max(TOLERANCE_S, 1 / stream.rate_hz) + clocks_s
    # What is delayed by a constant is epoched too early by it.
    lags = np.linspace(0, stream.sender.lag_s, LAGS if stream.sender.lag_s else 1)
    right = [whole & (np.abs(off + lag).max(axis=1) <= bound) for lag in lags.tolist()]
    return len(epochs) - max(int(each.sum()) for each in right)


def _far(stream: RandomStream, pipeline: Pipeline, onsets: np.ndarray[Any, np.dtype[np.float64]]) -> Any:
    """Return which epochs at `onsets` there is no reason to refuse."""
    if not len(onsets):
        return np.zeros(0, bool)
    true, span = stream.true_time, (float(pipeline.times_s[0]), float(pipeline.times_s[-1]))
    far = (onsets + span[0] > true[0] + WARM_UP_S) & (onsets + span[1] < true[-1] - LAST_S)
    for fault in troubling(stream):
        begin, end = true[0] + fault.at_s - FAR_S, true[0] + fault.at_s + fault.for_s + FAR_S
        far &= (onsets + span[0] > end) | (onsets + span[1] < begin)
    # Laid on the nearest sample and counted from there, as every window is, it must fit the true times at both ends.
    first = np.searchsorted(true, onsets).clip(1, len(true) - 1)
    first -= true[first] + true[first - 1] > 2 * onsets
    for place, time_s in enumerate(pipeline.times_s.tolist()):
        if place in (0, len(pipeline.times_s) - 1):
            steps = round(time_s * stream.rate_hz)
            off = np.abs(true[(first + steps).clip(0, len(true) - 1)] - onsets - time_s)
            far &= off < PLACEABLE * max(TOLERANCE_S, 1 / stream.rate_hz)
    return far


def troubling(stream: RandomStream) -> list[RandomFault]:
    """Return the faults near which epochs may be refused: not Wi-Fi's silences where timestamps are right all along."""
    return [fault for fault in stream.faults if fault.kind != "burst" or stream.sender.stamps_late]


def _explained(stream: RandomStream, at: float, report: Hole | Fault) -> bool:
    """Return whether something had happened, shortly before it was reported or where it is reported.

    Wi-Fi's silences may be reported, but not as lost samples; so may a rate that is not the nominal one.
    """
    if isinstance(report, Fault) and report.kind == "rate":
        sender = stream.sender
        if abs(sender.rate_ppm) + sender.drift_ppm > KNOWN_PPM:
            return True
    faults = troubling(stream) if isinstance(report, Hole) else stream.faults
    for fault in faults:
        begin = float(stream.true_time[0]) + fault.at_s
        end = begin + fault.for_s
        if begin <= at <= end + REPORTED_S or begin - FAR_S <= report.timestamp <= end + FAR_S:
            return True
    return False


def score_stream(job: Job, make: Make = default_pipeline, at_most_s: float = math.inf) -> Scored:
    """Make one stream, push it through what `make` makes, and judge; a failure is a result, too."""
    if job.margin != DEFAULT.margin:
        make = partial(with_margin, margin=job.margin)
    stream = random_stream(job.family, job.seed, min(at_most_s, FAMILIES[job.family].seconds))
    try:
        return Scored(job, judge(stream, stream.events(), make(stream.spec)))
    except Exception as error:  # what the pipeline fails with is what is measured
        return failed(job, error)


def failed(job: Job, error: Exception) -> Scored:
    """Return the score of a stream at which `error` was raised."""
    return Scored(job, Score(streams=1, crashed=1), f"{type(error).__name__}: {error}")


def score_all(
    jobs: Iterable[Job], make: Make = default_pipeline, at_most_s: float = math.inf, processes: int = 2
) -> Iterator[Scored]:
    """Yield the scores of streams in order, several made at a time where the machine has the cores.

    Parameters
    ----------
    jobs
        Which streams; asked for as there is a process for the next.
    make
        Makes the pipeline for a stream: pass another to try other settings; it must be picklable.
    at_most_s
        Where a stream would last longer, it ends here.
    processes
        At most so many at once.
    """
    processes = min(processes, os.cpu_count() or 1)
    if processes < 2:
        yield from (score_stream(job, make, at_most_s) for job in jobs)
        return
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        yield from in_order(pool, partial(score_stream, make=make, at_most_s=at_most_s), jobs, 4 * processes)


def in_order(pool: Executor, score: Callable[[Job], Scored], jobs: Iterable[Job], ahead: int) -> Iterator[Scored]:
    """Yield what `score` makes of each of `jobs` in a pool.

    Parameters
    ----------
    pool
        Where it is done.
    score
        What is done.
    jobs
        In the order in which scores are yielded.
    ahead
        Jobs that are taken before the first is done.
    """
    waiting: deque[Future[Scored]] = deque()
    for job in jobs:
        waiting.append(pool.submit(score, job))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def score_families(
    seeds: range = REPORT,
    streams: int | Mapping[str, int] = FULL,
    make: Make = default_pipeline,
    names: Iterable[str] = FAMILIES,
    at_most_s: float = math.inf,
) -> tuple[list[dict[str, Any]], list[Scored]]:
    """Return one row a family and the scores behind them.

    Parameters
    ----------
    seeds
        The first of these are taken.
    streams
        How many of each family.
    names
        Which families.
    make, at_most_s
        As for `score_all`.
    """
    counts = {name: streams if isinstance(streams, int) else streams[name] for name in names}
    jobs = [Job(name, seed) for name, count in counts.items() for seed in seeds[:count]]
    scored = list(score_all(jobs, make, at_most_s, min(2, len(jobs) // 2)))
    return rows_of(scored, counts), scored


def rows_of(scored: Sequence[Scored], names: Iterable[str]) -> list[dict[str, Any]]:
    """Return one row a family."""
    rows = []
    for name in names:
        total = sum((one.score for one in scored if one.job.family == name), Score())
        rows.append({"name": name, "about": FAMILIES[name].about} | row_of(total))
    return rows


def row_of(total: Score) -> dict[str, Any]:
    """Return a family's row of the table."""
    per_hour = round(total.false_alarms / total.hours, 2) if total.hours else None
    return asdict(total) | {"hours": round(total.hours, 3), "false_alarms_an_hour": per_hour}


COLUMNS = (
    "name", "streams", "accepted", "wrong", "far", "refused_far",
    "false_alarms", "with_losses", "lost_exact", "crashed",
)  # fmt: skip


def print_families(rows: Sequence[Mapping[str, Any]], title: str) -> None:
    """Print the rows and their sum."""
    total = {key: sum(row[key] for row in rows) for key in COLUMNS[1:]} | {"name": "all"}
    print_table(
        title, [key.replace("_", " ") for key in COLUMNS], [[row[key] for key in COLUMNS] for row in [*rows, total]]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Score streams of development seeds and name those that went wrong."""
    parser = argparse.ArgumentParser(description="Random streams through the pipeline, family by family.")
    parser.add_argument("--streams", type=int, default=5, help="streams a family (5)")
    parser.add_argument("--seconds", type=float, default=math.inf, help="longest stream (300 where clean, else 60)")
    parser.add_argument("--first", type=int, default=0, help="number of the first seed (0)")
    parser.add_argument("--seeds", choices=tuple(SEEDS), default="development", help="which range (development)")
    parser.add_argument("--family", choices=tuple(FAMILIES), action="append", help="only these (all)")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    given = parser.parse_args(arguments)
    seeds, names = SEEDS[given.seeds][given.first :], given.family or FAMILIES
    rows, scored = score_families(seeds, given.streams, names=names, at_most_s=given.seconds)
    print_families(rows, f"Random streams, {given.seeds} seeds")
    for one in scored:
        missed = one.score.with_losses > one.score.lost_exact
        if one.error or one.score.wrong or one.score.refused_far or one.score.false_alarms or missed:
            counted = {
                key: value for key, value in asdict(one.score).items() if value and key not in ("streams", "hours")
            }
            print(one.job.family, one.job.seed, one.error or counted)
    if given.json is not None:
        given.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
