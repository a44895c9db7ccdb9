"""A recording as ``mne.io.Raw`` on the time axis that a session decodes on: lost samples stand as gaps."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from configs.schema import Config, load_config
from realtime.epoching.light import open_by_light
from realtime.sources.base import Chunk, Marker, Notice
from realtime.sources.recording import Recording
from realtime.timeline.sample_grid import Hole, TimedChunk
from realtime.timeline.timeline import Timeline
from stimuli.markers import is_stimulus

if TYPE_CHECKING:
    import mne
    from numpy.typing import NDArray

LOST = "BAD_acq_skip"
"""MNE's name for stretches without samples; zeros stand there."""
NOT_A_NUMBER = "BAD_not_a_number"
BOUNDARY = "BAD boundary"
COLUMNS = {
    "stim_file": "Picture that appeared, in the folder stimuli",
    "picture": "Name of the picture in its set",
    "sent": "Everything else that the marker said, in JSON",
}
"""What an annotation tells beside its description."""


@dataclass(frozen=True)
class Grid:
    """A recording on its sample grid.

    Attributes
    ----------
    volts
        float64 ``[channels, places]``; zeros where nothing came.
    times
        float64 ``[samples]``: time of each sample that came, in seconds on the recording's clock.
    index
        int64 ``[samples]``: its place on the grid.
    bad
        First place, place behind the last, and name of each stretch that is not to be used.
    lost
        Samples lost.
    rate_hz
        Nominal sampling rate.
    """

    volts: NDArray[np.float64]
    times: NDArray[np.float64]
    index: NDArray[np.int64]
    bad: list[tuple[int, int, str]]
    lost: int
    rate_hz: float

    @cached_property
    def _order(self) -> NDArray[np.intp]:
        return np.argsort(self.times, kind="stable")

    @cached_property
    def _sorted(self) -> NDArray[np.float64]:
        return self.times[self._order]

    def place(self, timestamp: float) -> int:
        """Return the place of a time on the grid, be there a sample or not; in a pause longer than its gap, an end."""
        order, times = self._order, self._sorted
        right = min(int(np.searchsorted(times, timestamp)), len(order) - 1)
        left = max(right - 1, 0)
        near = min((left, right), key=lambda row: abs(times[row] - timestamp))
        ends = sorted((int(self.index[order[left]]), int(self.index[order[right]])))
        place = int(self.index[order[near]]) + round(float(timestamp - times[near]) * self.rate_hz)
        return min(max(place, ends[0]), ends[1])


@dataclass(frozen=True)
class EvenRecording:
    """A recording laid on its grid, with the markers that fall into its time.

    Attributes
    ----------
    recording
        What was read.
    grid
        Its samples.
    markers
        The markers between first and last sample, those of stimuli at the time of the light (`markers.offset_s`).
    """

    recording: Recording
    grid: Grid
    markers: tuple[Marker, ...]

    def raw(self, stim_files: Mapping[str, str] | None = None) -> mne.io.RawArray:
        """Return it as MNE has it: volts, annotations for markers and for stretches that are not to be used.

        Parameters
        ----------
        stim_files
            File of each picture shown, where they were written.
        """
        import mne

        spec, grid = self.recording.spec, self.grid
        raw = mne.io.RawArray(grid.volts, mne.create_info(list(spec.channels), grid.rate_hz, "eeg"), verbose="error")
        raw.info["description"] = f"first sample at {grid.times[0]:.6f} s on the recording's clock"
        raw.set_annotations(_annotations(self.markers, grid, stim_files or {}))
        return raw


def read_raw(recording: str | Path, config: Config | str | Path | None = None) -> mne.io.RawArray:
    """Return a recording, of any format that is read, on the time axis that a session decodes on.

    Samples stand on the grid of the nominal rate. Where some were lost zeros stand under ``BAD_acq_skip``, so that no
    epoch of MNE's falls into a gap unseen. Markers are annotations at the sample nearest to them; their extras tell the
    picture. `export-bids` writes the same.

    Parameters
    ----------
    recording
        XDF, muse-lsl CSV, FIF, BrainVision, EDF, BDF or EEGLAB.
    config
        Settings, or a YAML file or preset: which streams, channels and markers; the only ones when left out.

    Returns
    -------
    EEG in volts, unfiltered.

    Raises
    ------
    configs.errors.InputError
        If the recording cannot be read.

    Examples
    --------
    >>> read_raw("absent.xdf")
    Traceback (most recent call last):
        ...
    realtime.sources.metadata.SourceError: there is no recording absent.xdf; give a file ending in ...
    """
    settings = config if isinstance(config, Config) else Config() if config is None else load_config(config)
    return lay_out(Path(recording), settings).raw()


def lay_out(path: Path, config: Config) -> EvenRecording:
    """Return the recording in `path` on its grid."""
    recording = open_by_light(path, config)
    grid = _even(recording.events(), recording.spec.rate_hz)
    settings = config.markers
    markers = [
        replace(marker, timestamp=marker.timestamp + settings.offset_s)
        if is_stimulus(marker, settings.classes)
        else marker
        for marker in recording.markers
        if marker.kind not in settings.ignore
    ]
    inside = tuple(marker for marker in markers if grid.times[0] <= marker.timestamp <= grid.times[-1])
    return EvenRecording(recording, grid, inside)


def _even(events: Iterable[Chunk | Marker | Notice], rate_hz: float) -> Grid:
    """Lay a recording's samples on their grid."""
    timeline = Timeline(rate_hz)
    pieces: list[TimedChunk] = []
    index: list[NDArray[np.int64]] = []
    holes: list[Hole] = []
    for event in events:
        if not isinstance(event, Chunk):
            continue
        for item in timeline.push(event):
            if isinstance(item, TimedChunk):
                pieces.append(item)
                index.append(item.index)
            elif isinstance(item, Hole):
                holes.append(item)
                if item.retroactive:
                    index = [np.where(i >= item.index, i + item.lost, i) for i in index]
    places = np.concatenate(index)
    places = places - places[0]
    samples = np.concatenate([piece.samples for piece in pieces])
    volts = np.zeros((samples.shape[1], int(places[-1]) + 1))
    volts[:, places] = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float64).T / 1e6
    bad = [(start, stop, LOST) for start, stop in _gaps(places)]
    wrong = places[~np.isfinite(samples).all(axis=1)]
    bad += [(int(run[0]), int(run[-1]) + 1, NOT_A_NUMBER) for run in _runs(wrong)]
    first = int(index[0][0])
    bad += [(max(0, hole.index - first), max(0, hole.index - first), BOUNDARY) for hole in holes if not hole.lost]
    times = np.concatenate([piece.times for piece in pieces])
    return Grid(volts, times, places, bad, timeline.lost, rate_hz)


def _gaps(places: NDArray[np.int64]) -> list[tuple[int, int]]:
    before = np.flatnonzero(np.diff(places) > 1)
    return [(int(places[row]) + 1, int(places[row + 1])) for row in before]


def _runs(places: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return np.split(places, np.flatnonzero(np.diff(places) > 1) + 1) if len(places) else []


def _annotations(markers: Sequence[Marker], grid: Grid, stim_files: Mapping[str, str]) -> mne.Annotations:
    """Return markers and bad stretches, at the samples that stand for them."""
    import mne

    onsets, durations, kinds, extras = [], [], [], []
    for marker in markers:
        onsets.append(grid.place(marker.timestamp) / grid.rate_hz)
        durations.append(marker.duration_s if marker.is_bad else 0.0)
        kinds.append(marker.kind)
        name = marker.picture or ""
        sent = json.dumps(dict(marker.extra), sort_keys=True) if marker.extra else "n/a"
        extras.append({"stim_file": stim_files.get(name, "n/a"), "picture": name or "n/a", "sent": sent})
    for start, stop, what in grid.bad:
        onsets.append(start / grid.rate_hz)
        durations.append((stop - start) / grid.rate_hz)
        kinds.append(what)
        extras.append(dict.fromkeys(COLUMNS, "n/a"))
    return mne.Annotations(onsets, durations, kinds, extras=extras)
