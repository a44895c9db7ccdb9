"""From what a source yields to epochs: the same wiring live, in calibration and in replay."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from configs.errors import InputError
from configs.schema import Config, WindowSettings
from realtime.epoching.electrode_watch import ElectrodeChange, ElectrodeWatch
from realtime.epoching.epochs import EpochBuilder, EpochEvent, Span
from realtime.epoching.filters import FilterChain
from realtime.epoching.unmatched import Unmatched
from realtime.sources.base import Chunk, Marker, Notice, StreamSpec
from realtime.timeline.sample_grid import Fault, Hole, Recount, TimedChunk
from realtime.timeline.timeline import WARM_UP_S, Timeline
from stimuli.markers import is_stimulus


@dataclass(frozen=True)
class Settled:
    """Time axis and filters have settled for the first time: a stimulus later than `timestamp` has its windows."""

    timestamp: float


@dataclass(frozen=True)
class PreStimulus:
    """What happens to a trial's pre-stimulus window, in which its picture cannot be."""

    event: EpochEvent


MARKER_LATE_S = 0.5
"""Delay behind its samples with which a marker may come before it is worth a report; its window is cut all the same."""
UNMATCHED_S = 10.0
"""Seconds for which markers may come of which none is a stimulus before that is reported."""
MOST_MISSING = 1000
"""Missing markers that are still waited for: they may have been overtaken."""

PipelineEvent = EpochEvent | PreStimulus | ElectrodeChange | Settled | Hole | Recount | Fault | Notice


class Pipeline:
    """Timeline, filters and epochs in a row.

    Parameters
    ----------
    config
        Settings of the session.
    spec
        The stream that is pushed.
    pre_stimulus
        Whether to cut for every trial the pre-stimulus window (`WindowSettings.pre_stimulus`) as well.
    first_trial
        Number of the first trial.
    watch
        Whether electrodes that go flat or wild are told, and windows say which were out.
    answers
        After how many samples a window is told as far as it is (`realtime.epoching.epochs.SoFar`).

    Attributes
    ----------
    channels
        Names of the channels used, in order.
    rate_hz
        Rate of the epochs' samples.
    n_times, times_s
        Samples in a window and their times after onset.
    pre_stimulus_times_s
        The times of a pre-stimulus window; empty where none is cut.
    filters
        What was done to the samples, in plain types.
    timeline
        The time axis, for its counts of lost samples and its measured rate.

    Raises
    ------
    InputError
        If a channel is missing, or the filters or window do not fit the stream's rate.

    Examples
    --------
    Two pictures, shown to a simulated participant:

    >>> from configs.schema import load_config
    >>> from realtime.epoching.epochs import Closed
    >>> from realtime.sources.simulation.offline import OfflineParticipant
    >>> from realtime.sources.simulation.participant import SimulationSettings
    >>> from stimuli.pictures import open_pictures
    >>> config = load_config("demo")
    >>> pictures = open_pictures(config.pictures)
    >>> source = OfflineParticipant(pictures, pictures.names[:2], every_s=1.5, settings=SimulationSettings())
    >>> pipeline = Pipeline(config, source.spec)
    >>> events = [event for item in source.events() for event in pipeline.push(item)]
    >>> [event.epoch.samples.shape == (pipeline.n_times, 64) for event in events if isinstance(event, Closed)]
    [True, True]
    """

    def __init__(
        self,
        config: Config,
        spec: StreamSpec,
        pre_stimulus: bool = False,
        first_trial: int = 0,
        watch: bool = False,
        answers: Sequence[int] = (),
    ) -> None:
        self._config, self._spec, self._answers = config, spec, answers
        self.channels = config.stream.channels if config.stream.channels is not None else spec.channels
        self._picks = pick_channels(self.channels, spec.channels)
        self._classes, self._ignored = config.markers.classes, frozenset(config.markers.ignore)
        self._unmatched = Unmatched(config.markers)
        self._marker_offset_s = config.markers.offset_s
        self._last_trial: int | None = None
        self._missing: set[int] = set()
        self._waiting: list[Chunk] = []
        self._newest = self._told_late = -math.inf
        self.timeline = Timeline(spec.rate_hz)
        self._filters = FilterChain(config.filters, spec.rate_hz, len(self.channels))
        self.rate_hz = self._filters.rate_hz
        self._watch: ElectrodeWatch | None = None
        if watch:
            level = config.filters.highpass_hz is not None
            self._watch = ElectrodeWatch(self.channels, spec.rate_hz, config.artefacts, level=level)

        def builder(window: WindowSettings, answers: Sequence[int] = ()) -> EpochBuilder:
            return EpochBuilder(
                window.first_s,
                window.stop_s,
                self.rate_hz,
                config.artefacts,
                self._filters.settle_s,
                self.channels,
                self._filters.factor,
                first_trial,
                self._watch,
                answers,
            )

        self._epochs = builder(config.window, answers)
        self._pre_stimulus = builder(config.window.pre_stimulus(self.rate_hz)) if pre_stimulus else None
        self.n_times = self._epochs.n_times
        self.times_s = self._epochs.times_s
        self.pre_stimulus_times_s = self.times_s[:0] if self._pre_stimulus is None else self._pre_stimulus.times_s
        self.filters = self._filters.describe()
        first_s = min(0.0, *self.times_s[:1], *self.pre_stimulus_times_s[:1])
        # a window is laid on the nearest sample, which may be one earlier than its onset
        self._settle_s = max(self._filters.settle_s, WARM_UP_S) - first_s + 2 / self.rate_hz
        self._settles_at: float | None = None
        self._settled = False

    def push(self, item: Chunk | Marker | Notice) -> Iterator[PipelineEvent]:
        """Yield what follows from the next item of a source, as soon as it is known."""
        if isinstance(item, Notice):
            yield item
        elif isinstance(item, Marker):
            if item.kind in self._ignored:
                return
            yield from self._check_marker(item)
            is_stimulus = not item.is_bad and self.is_stimulus(item)
            now = self._newest if math.isfinite(self._newest) else item.timestamp
            self._unmatched.add(item.kind, now, is_stimulus=is_stimulus)
            if item.is_bad:
                start, stop = item.timestamp, item.timestamp + item.duration_s
                yield from self._cut(Span(start, stop, f"{item.kind} marked from {start:.3f} to {stop:.3f} s"))
            elif is_stimulus:
                yield from self._take()
                yield from self._cut(replace(item, timestamp=item.timestamp + self._marker_offset_s))
        else:
            if item.after_pause:
                yield from self._take()
            self._waiting.append(item)
            if self._is_enough(sum(len(chunk.timestamps) for chunk in self._waiting)):
                yield from self._take()
            if self._unmatched.waited_s(self._newest) > UNMATCHED_S:
                yield from self._tell_unmatched()

    def work_ahead(self) -> None:
        """Do now, where there is time, what the next samples would otherwise wait for; it changes no result."""
        self.timeline.work_ahead()

    def finish(self) -> Iterator[PipelineEvent]:
        """Yield what waited, and the refusals of what is still open, when the source has ended."""
        yield from self._take()
        yield from self._epochs.finish()
        if self._pre_stimulus is not None:
            yield from map(PreStimulus, self._pre_stimulus.finish())
        if math.isfinite(self._newest):
            yield from self._tell_unmatched()

    def _tell_unmatched(self) -> Iterator[Notice]:
        text = self._unmatched.tell()
        if text is not None:
            yield Notice(self._newest, "markers", text)

    def abandon(self, reason: str) -> Iterator[EpochEvent | PreStimulus]:
        """Yield the refusals of what is still open or waiting, because this pipeline goes on no more."""
        yield from self._epochs.finish(reason)
        if self._pre_stimulus is not None:
            yield from map(PreStimulus, self._pre_stimulus.finish(reason))

    def again(self) -> Pipeline:
        """Return a new one that goes on with the next sample and the next trial's number."""
        pre_stimulus, watch = self._pre_stimulus is not None, self._watch is not None
        return Pipeline(self._config, self._spec, pre_stimulus, self._epochs.next_trial, watch, self._answers)

    def end(self, trial: int, length: int) -> None:
        """Let the window of `trial` end after `length` samples, because it is decided."""
        self._epochs.end(trial, length)

    def _is_enough(self, samples: int) -> bool:
        """Return whether a sample that a window waits for is among so many, or one that a reduced rate would keep."""
        return samples >= self._filters.factor or self.timeline.next_index + samples > self._epochs.next_needed

    def _take(self) -> Iterator[PipelineEvent]:
        """Yield what follows from the samples that wait."""
        if not self._waiting:
            return
        chunk, self._waiting = Chunk.joined(self._waiting), []
        if self._picks is not None:
            chunk = replace(chunk, samples=chunk.samples[:, self._picks])
        for timed in self.timeline.push(chunk):
            if isinstance(timed, Fault | Recount):
                yield timed
            elif isinstance(timed, Hole):
                yield timed
                self._filters.hole(timed)
                if self._watch is not None:
                    self._watch.hole(timed)
                self._settles_at = None
                yield from self._cut(timed)
            else:
                self._newest = float(timed.times[-1])
                filtered = self._filters.push(timed)
                if self._watch is not None:
                    self._watch.push(timed, filtered)
                yield from self._cut(filtered)
                if self._watch is not None:
                    yield from self._watch.changes()
                if self._settles_at is None:
                    self._settles_at = float(timed.times[0]) + self._settle_s
                if not self._settled and self.timeline.known and self._newest >= self._settles_at:
                    self._settled = True
                    yield Settled(self._newest)

    def _cut(self, item: TimedChunk | Hole | Marker | Span) -> Iterator[EpochEvent | PreStimulus]:
        """Yield the epochs' events first: the pre-stimulus windows must not delay them."""
        yield from self._epochs.push(item)
        if self._pre_stimulus is not None:
            yield from map(PreStimulus, self._pre_stimulus.push(item))

    def _check_marker(self, marker: Marker) -> Iterator[Fault]:
        """Report a marker long behind its samples, and a gap in the running number that our own markers carry."""
        late = self._newest - marker.timestamp
        if late > MARKER_LATE_S and self._newest > self._told_late + 10.0:
            self._told_late = self._newest
            yield Fault(marker.timestamp, "marker-late", f"marker {marker.kind!r} came {late:.1f} s after its samples")
        trial = marker.extra.get("trial")
        if not isinstance(trial, int):
            return
        if trial in self._missing:
            self._missing.discard(trial)  # overtaken by others, not lost
            return
        # A number that falls begins a new run.
        gap = range(0) if self._last_trial is None else range(self._last_trial + 1, trial)
        self._missing = self._missing | set(gap[-MOST_MISSING:]) if trial > (self._last_trial or 0) else set()
        if gap:
            yield Fault(marker.timestamp, "marker-lost", f"{len(gap)} markers lost before trial {trial}")
        self._last_trial = trial

    def is_stimulus(self, marker: Marker) -> bool:
        """Return whether `marker` is the onset of a stimulus: one of the configured classes, else a picture."""
        return is_stimulus(marker, self._classes, self._ignored)


def pick_channels(
    wanted: tuple[str, ...], present: tuple[str, ...]
) -> np.ndarray[tuple[int], np.dtype[np.intp]] | None:
    """Return the places of the channels `wanted` among those `present`; None where they are the same.

    Raises
    ------
    InputError
        If a channel is missing or its name stands for more than one.
    """
    missing = [name for name in wanted if name not in present]
    if missing:
        msg = f"channels {', '.join(missing)} are not in the stream, which has {', '.join(present)}"
        raise InputError(msg)
    double = sorted({name for name in wanted if present.count(name) > 1 or wanted.count(name) > 1})
    if double:
        msg = f"channel names must be unique, found twice: {', '.join(double)}"
        raise InputError(msg)
    return None if wanted == present else np.array([present.index(name) for name in wanted], np.intp)
