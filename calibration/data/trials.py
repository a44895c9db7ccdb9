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
from configs.schema import Config
from realtime.epoching.electrode_watch import ElectrodeChange
from realtime.epoching.epochs import Closed, Epoch, EpochEvent, RefusalKind, Refused, Retracted
from realtime.epoching.light import open_by_light
from realtime.epoching.pipeline import Pipeline, PipelineEvent, PreStimulus, Settled
from realtime.sources.base import Chunk, Marker, Notice, StreamSpec
from realtime.timeline.sample_grid import Fault, Hole
from stimuli.markers import class_of


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
        spec, filters = replace(self.spec, channels=names), self.filters | {"n_channels": len(names)}
        return replace(self, samples=self.samples[:, :, columns], spec=spec, filters=filters)

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


@dataclass(frozen=True)
class Windows:
    """What one reading of the recordings gives.

    Attributes
    ----------
    trials
        The window of each stimulus.
    pre_stimulus
        The pre-stimulus window of each (`WindowSettings.pre_stimulus`), none where none could be cut. Of one stimulus
        either may be refused and the other not.
    """

    trials: Trials
    pre_stimulus: Trials


def read_trials(
    paths: Sequence[str | Path],
    config: Config,
    progress: Callable[[int, int], None] | None = None,
    like: StreamSpec | None = None,
) -> Trials:
    """Return the trials of all recordings.

    Parameters
    ----------
    paths
        Recordings of one stream, in the order in which they were made.
    config
        Window, filters, markers and artefact limits.
    progress
        Told before each recording how many are done and of how many.
    like
        The stream whose channels and nominal rate are taken; that of the first recording when left out.

    Raises
    ------
    FitError
        If there are no recordings, if they come from different streams, or if there is no trial in them.
    SourceError
        If a recording cannot be read.
    """
    return _usable(_joined(paths, [part.take() for part in _read(paths, config, progress, like)], like), config)


def read_windows(
    paths: Sequence[str | Path],
    config: Config,
    progress: Callable[[int, int], None] | None = None,
    like: StreamSpec | None = None,
) -> Windows:
    """Return the trials of all recordings and their pre-stimulus windows, cut in one pass over each recording.

    Parameters
    ----------
    paths
        The recordings, of one stream.
    config
        The session's settings: what is a stimulus, filters, window.
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
    parts = [
        (part.take(), part.take_pre_stimulus()) for part in _read(paths, config, progress, like, pre_stimulus=True)
    ]
    trials = _usable(_joined(paths, [after for after, _ in parts], like), config)
    return Windows(trials, _joined(paths, [before for _, before in parts], like))


def _read(
    paths: Sequence[str | Path],
    config: Config,
    progress: Callable[[int, int], None] | None,
    like: StreamSpec | None,
    pre_stimulus: bool = False,
) -> Iterator[Collector]:
    """Yield what was cut from one recording after the other, each read to its end."""
    if not paths:
        msg = "no recordings given: name at least one"
        raise FitError(msg)
    first: StreamSpec | None = None
    for number, path in enumerate(paths):
        if progress is not None:
            progress(number, len(paths))
        recording = open_by_light(path, config)
        rated = like or first
        spec = recording.spec if rated is None else recording.spec.at_rate_of(rated)
        try:
            collector = Collector(config, spec, number, pre_stimulus)
            collector.notices += recording.notices
            for item in recording.events():
                collector.notices += [event.text for event in collector.push(item) if isinstance(event, Notice)]
            collector.notices += [event.text for event in collector.finish() if isinstance(event, Notice)]
        except ValueError as error:
            msg = f"{path}: {error}"
            raise FitError(msg) from error
        finally:
            recording.close()
        first = first or collector.spec
        if differences := first.differences(collector.spec):
            msg = f"{path} is not of the same stream as {paths[0]}: {'; '.join((*differences, *collector.notices))}"
            raise FitError(msg)
        yield collector


def _joined(paths: Sequence[str | Path], parts: Sequence[Trials], like: StreamSpec | None) -> Trials:
    """Return the trials of all recordings: the channels of `like` where they fit it, else those of the first."""
    channels = parts[0].spec.channels
    if like is not None and not like.differences(parts[0].spec):
        channels = like.channels
    parts = [part.with_channels(channels) for part in parts]
    return replace(
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


def _usable(trials: Trials, config: Config) -> Trials:
    if not len(trials):
        raise FitError(why_none(trials, config))
    return trials


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


def why_none(trials: Trials, config: Config) -> str:
    """Return why there is no trial, in one line: what most were refused for, and what the readers told."""
    told = "".join(f"; {text}" for text in trials.notices)
    if trials.refused:
        kind, count = Counter(refusal.kind for refusal in trials.refused).most_common(1)[0]
        reason = next(refusal.reason for refusal in trials.refused if refusal.kind == kind)
        refused = f"all {len(trials.refused)} were refused, {count} of them as {kind}"
        return f"no usable trial: {refused}, for example: {reason}{told}"
    wanted = f"with one of the labels {', '.join(config.markers.classes)}" if config.markers.classes else "of a picture"
    return f"no trial: the recordings hold no marker {wanted}; check markers.name and markers.classes{told}"


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


class _Closed:
    """The windows of one kind that are complete, and those refused."""

    def __init__(self) -> None:
        self.epochs: dict[int, Epoch] = {}
        self.refused: list[Refusal] = []

    def add(self, event: EpochEvent | Hole, recording: int, name: Callable[[Marker], str]) -> None:
        if isinstance(event, Closed):
            self.epochs[event.trial] = event.epoch
        elif isinstance(event, Refused | Retracted):
            self.epochs.pop(event.trial, None)
            self.refused.append(Refusal(recording, event.marker.stamp, name(event.marker), event.reason, event.kind))


class Collector:
    """Cuts epochs as the stream comes and hands them out by blocks.

    Parameters
    ----------
    config
        Settings of the session.
    spec
        The stream.
    recording
        Which recording it is, where it is one of several.
    pre_stimulus
        Whether the pre-stimulus windows are cut as well.

    Attributes
    ----------
    pipeline
        For its settings and counts.
    newest
        Timestamp of the newest sample.
    settled
        Whether a stimulus that is shown now has its windows.
    notices
        What people should know of how the recording was read, one line each.
    """

    def __init__(self, config: Config, spec: StreamSpec, recording: int = 0, pre_stimulus: bool = False) -> None:
        self._config, self._recording = config, recording
        self.pipeline = Pipeline(config, spec, pre_stimulus)
        self.spec = replace(spec, channels=self.pipeline.channels)
        self.newest, self.settled = -math.inf, False
        self.notices: list[str] = []
        self._windows, self._pre_stimulus = _Closed(), _Closed()

    @property
    def refused(self) -> tuple[Refusal, ...]:
        """Stimuli without a usable window."""
        return tuple(self._windows.refused)

    def push(self, item: Item) -> Iterator[Fault | Notice]:
        """Take in the next item of the stream; yield what is wrong with it."""
        if isinstance(item, Chunk) and len(item.stamps):
            self.newest = max(self.newest, float(item.stamps[-1]))
        yield from self._sorted(self.pipeline.push(item))

    def finish(self) -> Iterator[Fault | Notice]:
        """Refuse what is still open, because the stream has ended; yield what is wrong."""
        yield from self._sorted(self.pipeline.finish())

    def take(self) -> Trials:
        """Return the trials that have closed since this was last asked."""
        return self._trials(self._windows, self.pipeline.times_s)

    def take_pre_stimulus(self) -> Trials:
        """Return the pre-stimulus windows that have closed since this was last asked."""
        return self._trials(self._pre_stimulus, self.pipeline.pre_stimulus_times_s)

    def _sorted(self, events: Iterator[PipelineEvent]) -> Iterator[Fault | Notice]:
        for event in events:
            if isinstance(event, PreStimulus):
                self._pre_stimulus.add(event.event, self._recording, self._name)
            elif isinstance(event, Fault | Notice):
                yield event
            elif isinstance(event, Settled):
                self.settled = True
            elif not isinstance(event, ElectrodeChange):  # sessions alone watch their electrodes
                self._windows.add(event, self._recording, self._name)

    def _name(self, marker: Marker) -> str:
        return class_of(marker, self._config.markers.classes) or marker.picture or marker.kind

    def _trials(self, closed: _Closed, times_s: NDArray[np.float64]) -> Trials:
        epochs = [closed.epochs.pop(trial) for trial in sorted(closed.epochs)]
        shape = (len(epochs), len(times_s), len(self.spec.channels))
        return Trials(
            samples=np.array([epoch.samples for epoch in epochs], dtype=np.float32).reshape(shape),
            names=np.array([self._name(epoch.marker) for epoch in epochs], dtype=np.str_),
            onsets=np.array([epoch.onset for epoch in epochs], dtype=np.float64),
            recordings=np.full(len(epochs), self._recording),
            times_s=times_s,
            rate_hz=self.pipeline.rate_hz,
            spec=self.spec,
            filters=self.pipeline.filters,
            flags=tuple(epoch.flags for epoch in epochs),
            refused=tuple(closed.refused),
            lost=self.pipeline.timeline.lost,
            simulated=self._config.simulated or self.spec.simulated,
            notices=tuple(self.notices),
        )
