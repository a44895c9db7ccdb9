"""Random streams over real LSL on loopback: a process of its own that misbehaves on the schedule of a seed.

The same streams and the same score as offline. What is held up is pushed late, with the timestamps that it was given.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import Connection

from benchmarks.amplifier import LEAD_S, LINGER_S, Amplifier
from benchmarks.family_scores import Make, Score, Scored, default_pipeline, judge
from benchmarks.random_faults import FAMILIES
from benchmarks.random_streams import random_stream
from configs.schema import MarkerSettings, StreamSettings
from realtime.sources.base import Chunk, Marker, Notice
from realtime.sources.lsl import LslSource
from realtime.sources.metadata import SourceError
from realtime.sources.publish import stream_info

SECONDS = 30.0
AT_ONCE = 4
CLOCKS_S = 1e-3
"""What LSL's own clock offsets may be off by."""
AFTER_S = 5.0
"""A stream is read for so much longer: what was held up comes late."""


def live_jobs(seeds: range, count: int) -> list[tuple[str, int]]:
    """Return so many families and seeds, the families in turn."""
    names = list(FAMILIES)
    return [(names[number % len(names)], seed) for number, seed in enumerate(seeds[:count])]


def score_live(
    jobs: Sequence[tuple[str, int]], seconds: float = SECONDS, make: Make = default_pipeline, at_once: int = AT_ONCE
) -> list[Scored]:
    """Send and read the streams of these families and seeds, some at a time.

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
        return list(threads.map(partial(_score, seconds=seconds, make=make, lead_s=LEAD_S + 2.0 * at_once), jobs))


def _score(job: tuple[str, int], seconds: float, make: Make, lead_s: float, tries: int = 2) -> Scored:
    """Send and read one stream; a busy machine that does not open it in time is given four times as long."""
    family, seed = job
    tag = f"random-{uuid.uuid4().hex[:8]}"
    amplifier = Amplifier(_send, tag, family, seed, seconds, lead_s)
    source = None
    try:
        source = LslSource(StreamSettings(name=tag, timeout_s=lead_s), MarkerSettings(name=f"{tag} markers"))
        if _now() > amplifier.start:
            msg = f"the stream was opened {_now() - amplifier.start:.1f} s after its start"
            raise SourceError(msg)
        amplifier.begin()
        stream = random_stream(family, seed, seconds, amplifier.start)
        came = _until(source, float(stream.arrived[-1]))
        return Scored(family, seed, judge(stream, came, make(source.spec), CLOCKS_S))
    except Exception as error:  # what a run fails with is what is measured
        if isinstance(error, SourceError) and tries > 1:
            return _score(job, seconds, make, 4 * lead_s, tries - 1)
        return Scored(family, seed, Score(streams=1, crashed=1), f"{type(error).__name__}: {error}")
    finally:
        if source is not None:
            source.close()
        amplifier.kill()


def _until(source: LslSource, end: float) -> Iterator[Chunk | Marker | Notice]:
    """Yield what `source` does until its last chunk, sent at `end`, is here, or has been waited for."""
    for event in source.events():
        yield event
        if _now() > end + AFTER_S or (_now() > end and not isinstance(event, Chunk)):
            return


def _now() -> float:
    import pylsl

    return float(pylsl.local_clock())


def _send(pipe: Connection, tag: str, family: str, seed: int, seconds: float, lead_s: float) -> None:
    """Be the sender of a random stream and of its markers."""
    import pylsl

    start = pylsl.local_clock() + lead_s
    stream = random_stream(family, seed, seconds, start)
    outlet = pylsl.StreamOutlet(stream_info(stream.spec, tag, tag))
    markers = pylsl.StreamOutlet(pylsl.StreamInfo(f"{tag} markers", "Markers", 1, 0, "string", f"{tag}-markers"))
    pipe.send(start)
    pipe.recv()
    for item in stream.events():
        due = item.arrived if isinstance(item, Chunk) else float(stream.marker_arrived[item.extra["trial"]])
        time.sleep(max(0.0, due - pylsl.local_clock()))
        if isinstance(item, Chunk):
            outlet.push_chunk(item.samples, item.stamps.tolist())
        else:
            markers.push_sample([item.text()], item.stamp)
    pipe.poll(LINGER_S)
