"""Random streams over real LSL on loopback: a process of its own that misbehaves on the schedule of a seed.

The same streams and the same score as offline. What is held up is pushed late, with the timestamps that it was given.
What is scored is kept in a file, from which a later run goes on.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.amplifier import LINGER_S, Amplifier, ready_to_begin
from benchmarks.family_scores import (
    REPORT,
    Job,
    Make,
    Score,
    Scored,
    default_pipeline,
    failed,
    in_order,
    judge,
    print_families,
    row_of,
)
from benchmarks.harness import machine
from benchmarks.kept_scores import Kept
from benchmarks.random_faults import FAMILIES
from benchmarks.random_streams import RandomStream, random_stream
from configs.schema import MarkerSettings, StreamSettings
from realtime.sources.base import Chunk, Marker, Notice
from realtime.sources.lsl import LslSource
from realtime.sources.metadata import SourceError
from realtime.sources.publish import stream_info

RUNS = 40
SECONDS = 30.0
AT_ONCE = 4
OPEN_S = 120.0
"""How long a stream is waited for at most."""
TRIES = 3
CLOCKS_S = 1e-3
"""What LSL's own clock offsets may be off by."""
AFTER_S = 5.0
"""A stream is read for so much longer: what was held up comes late."""


def run(quick: bool = False, out: Path | None = None, minutes: float | None = None) -> dict[str, Any]:
    """Send and read random streams (quick: two short ones).

    Parameters
    ----------
    quick
        Whether to take two short streams.
    out
        Folder for the scores, from which a later run of the same code goes on.
    minutes
        Time after which no stream is begun.
    """
    kept = Kept(None if out is None else out / "live-scores.jsonl", minutes)
    scored = kept.scored(
        live_jobs(REPORT, 2 if quick else RUNS), partial(score_live, seconds=12.0 if quick else SECONDS)
    )
    live = {"name": "live, all families"} | row_of(sum((one.score for one in scored), Score()))
    print_families([live], "Random streams live over LSL")
    told = [f"{one.job.family} {one.job.seed}: {one.error}" for one in scored if one.error]
    return {"live": live, "live_failed": told, "seeds": "report", "whole": kept.whole, "machine": machine()}


def live_jobs(seeds: range, count: int) -> list[Job]:
    """Return so many families and seeds, the families in turn."""
    names = list(FAMILIES)
    return [Job(names[number % len(names)], seed) for number, seed in enumerate(seeds[:count])]


def score_live(
    jobs: Iterable[Job], seconds: float = SECONDS, make: Make = default_pipeline, at_once: int = AT_ONCE
) -> Iterator[Scored]:
    """Send and read the streams of these families and seeds, some at a time, and yield their scores in order.

    Parameters
    ----------
    jobs
        Family and seed of each.
    seconds
        How long each lasts.
    make
        Makes the pipeline for a stream.
    at_once
        How many are sent and read together.
    """
    with ThreadPoolExecutor(at_once) as threads:
        yield from in_order(threads, partial(_score, seconds=seconds, make=make), jobs, at_once)


def _score(job: Job, seconds: float, make: Make, tries: int = TRIES) -> Scored:
    """Send and read one stream; where it could not be opened, or its first samples were not heard, again."""
    tag = f"random-{uuid.uuid4().hex[:8]}"
    amplifier, source = None, None
    try:
        amplifier = Amplifier(_send, tag, job.family, job.seed, seconds)
        source = LslSource(StreamSettings(name=tag, timeout_s=OPEN_S), MarkerSettings(name=f"{tag} markers"))
        came = amplifier.begin_for(source)
        stream = random_stream(job.family, job.seed, seconds, amplifier.start)
        return Scored(
            job, judge(stream, _whole(stream, _until(came, float(stream.arrived[-1]))), make(source.spec), CLOCKS_S)
        )
    except (SourceError, EOFError) as error:  # a machine too busy to start a process, or to hear it in time
        return _score(job, seconds, make, tries - 1) if tries > 1 else failed(job, error)
    except Exception as error:  # what a run fails with is what is measured
        return failed(job, error)
    finally:
        if source is not None:
            source.close()
        if amplifier is not None:
            amplifier.kill()


def _whole(stream: RandomStream, events: Iterable[Chunk | Marker | Notice]) -> Iterator[Chunk | Marker | Notice]:
    """Yield `events`, which begin with the stream's first sample.

    Raises
    ------
    SourceError
        If they do not: its reader was not there in time.
    """
    first = True
    for event in events:
        if first and isinstance(event, Chunk):
            first = False
            if event.samples[0, 0] != stream.sample_number[0]:
                msg = f"sample {event.samples[0, 0]:.0f} was the first that was heard"
                raise SourceError(msg)
        yield event
    if first:
        msg = "no sample was heard"
        raise SourceError(msg)


def _until(events: Iterator[Chunk | Marker | Notice], end: float) -> Iterator[Chunk | Marker | Notice]:
    """Yield `events` until the last chunk, sent at `end`, is here, or has been waited for."""
    for event in events:
        yield event
        if _now() > end + AFTER_S or (_now() > end and not isinstance(event, Chunk)):
            return


def _now() -> float:
    import pylsl

    return float(pylsl.local_clock())


def _send(pipe: Connection, tag: str, family: str, seed: int, seconds: float) -> None:
    """Be the sender of a random stream and of its markers."""
    import pylsl

    spec = random_stream(family, seed, seconds).spec
    outlet = pylsl.StreamOutlet(stream_info(spec, tag, tag))
    markers = pylsl.StreamOutlet(pylsl.StreamInfo(f"{tag} markers", "Markers", 1, 0, "string", f"{tag}-markers"))
    stream = random_stream(family, seed, seconds, ready_to_begin(pipe))
    for item in stream.events():
        due = item.arrived if isinstance(item, Chunk) else float(stream.marker_arrived[item.extra["trial"]])
        time.sleep(max(0.0, due - pylsl.local_clock()))
        if isinstance(item, Chunk):
            outlet.push_chunk(item.samples, item.timestamps.tolist())
        else:
            markers.push_sample([item.text()], item.timestamp)
    pipe.poll(LINGER_S)
