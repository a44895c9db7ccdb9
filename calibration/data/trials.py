"""From recordings to trials, through the live path's own code: what is fitted is what runs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.errors import FitError
from configs.schema import Config, WindowSettings
from realtime.epoching.epochs import Closed, Epoch, RefusalKind, Refused, Retracted
from realtime.epoching.pipeline import Pipeline
from realtime.sources.base import Chunk, Marker, Notice, StreamSpec
from realtime.sources.recording import open_recording
from realtime.timeline.sample_grid import Fault


@dataclass(frozen=True)
class Refusal:
    """A stimulus whose window could not be used."""

    recording: int
    onset: float
    name: str
    reason: str
    kind: RefusalKind


@dataclass(frozen=True)
class Trials:
    """Epochs with what was shown in them.

    Attributes
    ----------
    samples
        float32 ``[trials, times, channels]`` in microvolts, behind the filters.
    names
        ``[trials]``: the picture shown, or the class that the marker's label stands for.
    onsets
        float64 ``[trials]``: seconds on the recording's clock.
    recordings
        int64 ``[trials]``: which recording.
    times_s
        float64 ``[times]``: seconds after onset.
    rate_hz
        Rate of the samples.
    spec
        The stream, with the channels that were used, in their order.
    filters
        What was done to the samples.
    flags
        For each trial what makes it doubtful.
    refused
        Stimuli without a usable window.
    lost
        Samples lost in all recordings together.
    simulated
        Whether a simulated participant made the recordings.
    notices
        What people should know of how the recordings were read, one line each.
    """

    samples: NDArray[np.float32]
    names: NDArray[np.str_]
    onsets: NDArray[np.float64]
    recordings: NDArray[np.int64]
    times_s: NDArray[np.float64]
    rate_hz: float
    spec: StreamSpec
    filters: dict[str, Any] = field(default_factory=dict)
    flags: tuple[tuple[str, ...], ...] = ()
    refused: tuple[Refusal, ...] = ()
    lost: int = 0
    simulated: bool = False
    notices: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def delay_s(self) -> float:
        """Time by which the filters hold the EEG back."""
        return float(self.filters.get("delay_s") or 0.0)

    def with_channels(self, names: tuple[str, ...]) -> Trials:
        """Return the trials with the channels `names`, in that order: recordings may have others beside, or differ."""
        if names == self.spec.channels:
            return self
        columns = [self.spec.channels.index(name) for name in names]
        return replace(self, samples=self.samples[:, :, columns], spec=replace(self.spec, channels=names))

    def take(self, which: NDArray[Any]) -> Trials:
        """Return the trials that an index or a mask names."""
        kept = np.arange(len(self))[which]
        return replace(
            self,
            samples=self.samples[kept],
            names=self.names[kept],
            onsets=self.onsets[kept],
            recordings=self.recordings[kept],
            flags=tuple(self.flags[i] for i in kept) if self.flags else (),
        )


def read_trials(
    paths: Sequence[str | Path],
    config: Config,
    progress: Callable[[int, int], None] | None = None,
    like: StreamSpec | None = None,
) -> Trials:
    """Return the trials of all recordings.

    Parameters
    ----------
    progress
        Told before each recording how many are done and of how many.
    like
        The stream whose channels are taken, in its order, and whose nominal rate, where a recording's is the same but
        for rounding; that of the first recording when left out.

    Raises
    ------
    FitError
        If there are no recordings, if they come from different streams, or if there is no trial in them.
    SourceError
        If a recording cannot be read.
    """
    if not paths:
        msg = "no recordings given: name at least one"
        raise FitError(msg)
    parts: list[Trials] = []
    for number, path in enumerate(paths):
        if progress is not None:
            progress(number, len(paths))
        part = _read_one(path, number, config, like)
        like = like or part.spec
        if parts and (differences := parts[0].spec.differences(part.spec)):
            msg = f"{path} is not of the same stream as {paths[0]}: {'; '.join((*differences, *part.notices))}"
            raise FitError(msg)
        known = set(like.channels) <= set(part.spec.channels)
        parts.append(part.with_channels(like.channels) if known else part)
    trials = replace(
        parts[0],
        samples=np.concatenate([part.samples for part in parts]),
        names=np.concatenate([part.names for part in parts]),
        onsets=np.concatenate([part.onsets for part in parts]),
        recordings=np.concatenate([part.recordings for part in parts]),
        flags=tuple(flags for part in parts for flags in part.flags),
        refused=tuple(refusal for part in parts for refusal in part.refused),
        lost=sum(part.lost for part in parts),
        notices=_notices(paths, parts),
    )
    if not len(trials):
        raise FitError(_why_none(trials, config))
    return trials


def _read_one(path: str | Path, number: int, config: Config, like: StreamSpec | None) -> Trials:
    recording = open_recording(path, config)
    spec = recording.spec if like is None else recording.spec.at_rate_of(like)
    closed: dict[int, Closed] = {}
    refused: list[Refusal] = []
    notices = list(recording.notices)

    def name(marker: Marker) -> str:
        return config.markers.classes.get(marker.kind, marker.picture or marker.kind)

    def take(events: Any) -> None:
        for event in events:
            if isinstance(event, Closed):
                closed[event.trial] = event
            elif isinstance(event, Refused | Retracted):
                closed.pop(event.trial, None)
                refused.append(Refusal(number, event.marker.stamp, name(event.marker), event.reason, event.kind))
            elif isinstance(event, Notice):
                notices.append(event.text)

    try:
        pipeline = Pipeline(config, spec)
        for item in recording.events():
            take(pipeline.push(item))
        take(pipeline.finish())
    except ValueError as error:
        msg = f"{path}: {error}"
        raise FitError(msg) from error
    finally:
        recording.close()
    epochs = [closed[trial].epoch for trial in sorted(closed)]
    shape = (len(epochs), pipeline.n_times, len(pipeline.channels))
    return Trials(
        samples=np.array([epoch.samples for epoch in epochs], dtype=np.float32).reshape(shape),
        names=np.array([name(epoch.marker) for epoch in epochs], dtype=np.str_),
        onsets=np.array([epoch.onset for epoch in epochs], dtype=np.float64),
        recordings=np.full(len(epochs), number),
        times_s=pipeline.times_s,
        rate_hz=pipeline.rate_hz,
        spec=replace(spec, channels=pipeline.channels),
        filters=pipeline.filters,
        flags=tuple(epoch.flags for epoch in epochs),
        refused=tuple(refused),
        lost=pipeline.timeline.lost,
        simulated=config.simulated,
        notices=tuple(notices),
    )


def _notices(paths: Sequence[str | Path], parts: Sequence[Trials]) -> tuple[str, ...]:
    """Return what the readers told, each line once, with the recording that it was told of first."""
    told: dict[str, list[str]] = {}
    for path, part in zip(paths, parts, strict=True):
        for text in part.notices:
            told.setdefault(text, []).append(Path(path).name)
    others = {1: "", 2: " and 1 other"}
    return tuple(
        f"{names[0]}{others.get(len(names), f' and {len(names) - 1} others')}: {text}" for text, names in told.items()
    )


def _why_none(trials: Trials, config: Config) -> str:
    told = "".join(f"; {text}" for text in trials.notices)
    if trials.refused:
        kind, count = Counter(refusal.kind for refusal in trials.refused).most_common(1)[0]
        reason = next(refusal.reason for refusal in trials.refused if refusal.kind == kind)
        refused = f"all {len(trials.refused)} were refused, {count} of them as {kind}"
        return f"no usable trial: {refused}, for example: {reason}{told}"
    wanted = f"with one of the labels {', '.join(config.markers.classes)}" if config.markers.classes else "of a picture"
    return f"no trial: the recordings hold no marker {wanted}; check markers.name and markers.classes{told}"


def before_onset(config: Config, rate_hz: float | None = None) -> Config:
    """Return the settings with window and baseline moved to end at onset, where nothing was seen yet.

    At `rate_hz` they hold as many samples there as where they come from, wherever their limits lie between samples.
    """
    window = config.window

    def moved_s(time_s: float) -> float:
        times_s = (time_s, window.stop_s)
        first, stop = times_s if rate_hz is None else (round(one * rate_hz) / rate_hz for one in times_s)
        return first - stop

    baseline_s = None if window.baseline_s is None else (moved_s(window.baseline_s[0]), moved_s(window.baseline_s[1]))
    moved = WindowSettings(start_s=moved_s(window.start_s), stop_s=0.0, baseline_s=baseline_s)
    return config.model_copy(update={"window": moved})


def check_channels(trials: Trials, flat_uv: float = 1e-6) -> None:
    """Refuse trials in which a channel never moves.

    Raises
    ------
    FitError
        If a channel's swing stays below `flat_uv` in every trial.
    """
    swing = np.ptp(trials.samples, axis=1).max(axis=0)
    flat = [name for name, size in zip(trials.spec.channels, swing, strict=True) if size <= flat_uv]
    if flat:
        msg = f"flat throughout: {', '.join(flat)}; mend the electrode, or list the others under stream.channels"
        raise FitError(msg)


Item = Chunk | Marker | Notice


class Collector:
    """Cuts epochs as the stream comes and hands them out by blocks.

    Parameters
    ----------
    config
        Settings of the session.
    spec
        The stream.

    Attributes
    ----------
    pipeline
        For its settings and counts.
    first, newest
        Stamps of the first and of the newest sample.
    refused
        Stimuli without a usable window.
    """

    def __init__(self, config: Config, spec: StreamSpec) -> None:
        self._config, self._spec = config, spec
        self.pipeline = Pipeline(config, spec)
        self.first, self.newest = math.nan, -math.inf
        self.refused: list[Refusal] = []
        self._closed: dict[int, Epoch] = {}

    @property
    def seconds(self) -> float:
        """How much of the stream has come."""
        return self.newest - self.first if math.isfinite(self.newest) else 0.0

    def push(self, item: Item) -> Iterator[Fault | Notice]:
        """Take in the next item of the stream; yield what is wrong with it."""
        if isinstance(item, Chunk) and len(item.stamps):
            self.first = float(item.stamps[0]) if math.isnan(self.first) else self.first
            self.newest = max(self.newest, float(item.stamps[-1]))
        for event in self.pipeline.push(item):
            if isinstance(event, Closed):
                self._closed[event.trial] = event.epoch
            elif isinstance(event, Refused | Retracted):
                self._closed.pop(event.trial, None)
                name = event.marker.picture or event.marker.kind
                self.refused.append(Refusal(0, event.marker.stamp, name, event.reason, event.kind))
            elif isinstance(event, Fault | Notice):
                yield event

    def take(self) -> Trials:
        """Return the trials that have closed since this was last asked."""
        epochs = [self._closed.pop(trial) for trial in sorted(self._closed)]
        pipeline = self.pipeline
        shape = (len(epochs), pipeline.n_times, len(pipeline.channels))
        return Trials(
            samples=np.array([epoch.samples for epoch in epochs], dtype=np.float32).reshape(shape),
            names=np.array([epoch.marker.picture or epoch.marker.kind for epoch in epochs], dtype=np.str_),
            onsets=np.array([epoch.onset for epoch in epochs], dtype=np.float64),
            recordings=np.zeros(len(epochs), dtype=np.int64),
            times_s=pipeline.times_s,
            rate_hz=pipeline.rate_hz,
            spec=replace(self._spec, channels=pipeline.channels),
            filters=pipeline.filters,
            flags=tuple(epoch.flags for epoch in epochs),
            simulated=self._config.simulated,
        )
