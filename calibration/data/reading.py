"""From recordings to trials, through the live path's own code: what is fitted is what runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.data.trials import Refusal, Trials, why_none
from calibration.errors import FitError
from configs.schema import Config
from realtime.epoching.electrode_watch import ElectrodeChange
from realtime.epoching.epochs import Closed, Epoch, EpochEvent, Refused, Retracted
from realtime.epoching.light import open_by_light
from realtime.epoching.pipeline import Pipeline, PipelineEvent, PreStimulus, Settled
from realtime.sources.base import Chunk, Marker, Notice, StreamSpec
from realtime.timeline.sample_grid import Fault, Hole, Recount
from stimuli.markers import class_of

Item = Chunk | Marker | Notice


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


class _Closed:
    """The windows of one kind that are complete, and those refused."""

    def __init__(self) -> None:
        self.epochs: dict[int, Epoch] = {}
        self.refused: list[Refusal] = []

    def add(self, event: EpochEvent, recording: int, name: Callable[[Marker], str]) -> None:
        if isinstance(event, Closed):
            self.epochs[event.trial] = event.epoch
        elif isinstance(event, Refused | Retracted):
            self.epochs.pop(event.trial, None)
            self.refused.append(
                Refusal(recording, event.marker.timestamp, name(event.marker), event.reason, event.kind)
            )


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
        if isinstance(item, Chunk) and len(item.timestamps):
            self.newest = max(self.newest, float(item.timestamps[-1]))
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
            elif not isinstance(event, ElectrodeChange | Hole | Recount):  # these say nothing of one window
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
