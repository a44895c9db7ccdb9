"""Is the EEG stream well? Loss, rate, jitter and age over some seconds, and how its clock runs against this one."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from configs.schema import StreamSettings
from realtime.doctor.check import Check, guarded, isolated
from realtime.sources.base import WOKEN, Chunk, Notice
from realtime.sources.discovery import Finder
from realtime.sources.metadata import SourceError
from realtime.sources.selection import Wanted

if TYPE_CHECKING:
    from realtime.sources.lsl import LslSource

NAME = "EEG stream"
CLOCK = "clock of the EEG stream"
LATE_MS = 100.0
FAST_PPM = 200.0
"""Drift, in parts per million, beyond which two computers' clocks are not merely two quartzes."""
FIND_S = 20.0
LEAST_DRIFT_S = 5.0
"""Seconds of looking from which a drift is given: the offset itself is known to a fraction of a millisecond."""


def check_stream(settings: StreamSettings, seconds: float = 10.0) -> list[Check]:
    """Whether the EEG stream that `settings` ask for comes whole, on time and at its rate; takes `seconds`.

    A second line tells its clock's offset and drift. Where `settings` name no stream, the only one there is watched.
    """
    from realtime.sources.boards.bridge import on_air
    from realtime.sources.lsl import LslSource

    board = None
    try:
        settings, board = on_air(settings)
        source = LslSource(settings)
    except SourceError as error:
        if board is not None:
            board.stop()
        return [Check(NAME, "broken", str(error), "list what is there: perceptogram streams")]
    with ThreadPoolExecutor(1) as thread, ExitStack() as opened:
        if board is not None:
            opened.callback(board.stop)
        look = _ClockLook(source.spec.name, source.spec.source_id, seconds)
        clock = thread.submit(guarded, CLOCK, isolated(look), "perceptogram streams shows what is there", "warning")
        return [_watch(source, seconds), clock.result()]


def check_any_stream(seconds: float = 10.0) -> list[Check]:
    """Watch the EEG stream of this network if there is just one; say so if there is none, or a choice."""
    from realtime.sources.lsl import find_streams

    eeg = Wanted(type="EEG")
    found = [stream for stream in find_streams(wanted=eeg) if eeg.agrees(stream)]
    if len(found) == 1:
        return check_stream(StreamSettings(name=found[0].name, source_id=found[0].source_id or None), seconds)
    if not found:
        return [Check(NAME, "ok", "n/a, none is sending now; start the amplifier and look again before a session")]
    listed = ", ".join(repr(stream.name) for stream in found)
    return [Check(NAME, "warning", f"{len(found)} are sending: {listed}", "say which one is meant: --config lab.yaml")]


def _watch(source: LslSource, seconds: float) -> Check:
    """Read `source` for `seconds` and tell what came."""
    from realtime.timeline.sample_grid import Fault
    from realtime.timeline.timeline import Timeline

    timeline = Timeline(source.spec.rate_hz)
    faults: list[str] = []
    ages_ms: list[float] = []
    samples = 0
    source.watch = lambda: [WOKEN]  # so that the time is looked at though nothing comes
    give_up = time.monotonic() + seconds
    for event in source.events():
        if isinstance(event, Chunk):
            samples += len(event.timestamps)
            if event.arrived is not None:
                ages_ms.append((event.arrived - float(event.timestamps[-1])) * 1e3)
            faults += [item.kind for item in timeline.push(event) if isinstance(item, Fault)]
        elif isinstance(event, Notice) and event is not WOKEN:
            faults.append(event.kind)
        if time.monotonic() >= give_up:
            break
    source.close()
    spec = source.spec
    told = f"{spec.name!r}, {len(spec.channels)} channels at {spec.rate_hz:g} Hz in {spec.unit}"
    if not samples:
        return Check(NAME, "broken", f"{told}, sends nothing", "start the amplifier's acquisition")
    age_ms = sorted(ages_ms)[len(ages_ms) // 2]
    told += f", measured {timeline.rate_hz_measured:.3f} Hz, jitter {1e3 * timeline.jitter_s:.1f} ms"
    told += (
        f", {timeline.lost} of {samples + timeline.lost} samples lost in {seconds:g} s, {age_ms:.1f} ms old on arrival"
    )
    if timeline.lost or faults:
        listed = ", ".join(sorted(set(faults)))
        advice = "move the receiver closer, use a cable, or close other programs"
        return Check(NAME, "warning", f"{told}{'; ' if listed else ''}{listed}", advice)
    if age_ms > LATE_MS:
        return Check(NAME, "warning", told, "send smaller chunks: samples wait that long before they are sent")
    return Check(NAME, "ok", told)


@dataclass(frozen=True)
class _ClockLook:
    """Asks LSL for a stream's clock offset, twice a second for `seconds`; picklable, to run in a process of its own."""

    name: str
    source_id: str
    seconds: float

    def __call__(self) -> Check:
        import numpy as np
        import pylsl

        # not by one of liblsl's queries: they are XPath, in which a name with an apostrophe ends early
        wanted = Wanted(self.name, source_id=self.source_id or None)
        info = Finder().first(FIND_S, "EEG", "stream", wanted, lambda: None)
        inlet = pylsl.StreamInlet(info, recover=False)
        begun, measured = time.monotonic(), []
        while (age_s := time.monotonic() - begun) < self.seconds:
            measured.append((age_s, inlet.time_correction(timeout=5.0)))
            time.sleep(0.5)
        at_s, offset_s = np.array(measured).T
        told = f"offset {1e3 * float(np.median(offset_s)):+.2f} ms"
        if at_s[-1] < LEAST_DRIFT_S:
            return Check(CLOCK, "ok", f"{told}, drift n/a in {self.seconds:g} s")
        drift_ppm = 1e6 * float(np.polyfit(at_s, offset_s, 1)[0])
        told += f", drift {drift_ppm:+.0f} ppm over {at_s[-1]:.0f} s"
        if abs(drift_ppm) > FAST_PPM:
            advice = "let both computers' clocks settle (NTP slews them), then start the session"
            return Check(CLOCK, "warning", told, advice)
        return Check(CLOCK, "ok", told)
