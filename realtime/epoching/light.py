"""The light of each picture, seen by a photodiode in the EEG stream: which channel follows the markers, and when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from configs.errors import InputError
from configs.schema import Config, MarkerSettings
from realtime.sources.base import Chunk, Marker, Notice
from realtime.sources.recording import Recording, read_recording
from realtime.sources.selection import EVERY
from realtime.timeline.sample_grid import TimedChunk
from realtime.timeline.timeline import Timeline
from stimuli.markers import is_stimulus

if TYPE_CHECKING:
    from realtime.sources.readers.loaded import Loader

Times = NDArray[np.float64]

REACH_S = 0.3
"""Longest time from a marker to its light, either way, in seconds; of markers that scatter, half of their interval."""
SPREAD_S = 0.02
"""Seconds from its usual delay beyond which light is not the marker's own; markers that scatter more are unusable."""
FEWEST = 20
LEAST_MATCHED = 0.8
LEAST_SQUARE = 0.8
_HYSTERESIS = 0.2
_MOST_EDGES = 1.25
"""Edges for each marker from which on scattered markers cannot be told which edge is theirs."""
_RELATED = 0.75
"""Largest spread of scattered delays, as a share of that of edges which come at any moment between two markers."""


class LightError(InputError):
    """No channel shows the light of the pictures that the markers announce."""

    about = "photodiode"


@dataclass(frozen=True)
class Light:
    """The light that follows markers.

    Attributes
    ----------
    channel, edge
        Where it was seen, and whether it made the signal rise or fall.
    markers
        ``[markers]`` seconds: the timestamps that were looked at.
    onsets
        ``[markers]`` seconds: when the light of each came; NaN where it has none.
    """

    channel: str
    edge: str
    markers: Times
    onsets: Times

    @property
    def delays(self) -> Times:
        """Seconds from marker to light, of those that have one."""
        delays: Times = (self.onsets - self.markers)[np.isfinite(self.onsets)]
        return delays


def open_by_light(path: str | Path, config: Config, speed: float | None = None) -> Recording:
    """Return the recording in `path`; with ``markers.from_photodiode`` each stimulus begins at its light.

    Parameters
    ----------
    path, config, speed
        As for `realtime.sources.recording.open_recording`.

    Raises
    ------
    SourceError
        If the recording cannot be read.
    LightError
        If no channel follows the markers.
    """
    load, wanted = read_recording(path, config.markers), config.markers.from_photodiode
    recording = Recording(load(config.stream), speed)
    if not wanted:
        return recording
    try:
        light, _rate_hz = light_in(load, config, wanted if isinstance(wanted, str) else None)
    except LightError as error:
        msg = f"{path}: {error}"
        raise LightError(msg) from error
    seen = dict(zip(light.markers.tolist(), light.onsets.tolist(), strict=True))
    markers = []
    for marker in recording.markers:
        onset = seen.get(marker.timestamp, np.nan)
        if not is_stimulus(marker, config.markers.classes, config.markers.ignore):
            markers.append(marker)
        elif np.isfinite(onset):
            markers.append(replace(marker, timestamp=onset))
    count, delays_ms = len(light.delays), 1e3 * light.delays
    later = f"a median {np.median(delays_ms):.0f} ms (SD {delays_ms.std(ddof=1):.0f} ms) after their markers"
    told = f"{count} onsets are those of the light on channel {light.channel}, {later}"
    lost = len(recording.markers) - len(markers)
    dark = f"; {lost} markers have no light of their own and are left out" if lost else ""
    return recording.with_markers(sorted(markers, key=lambda marker: marker.timestamp), told + dark)


def light_in(load: Loader, config: Config, channel: str | None = None) -> tuple[Light, float]:
    """Return the light that follows a recording's markers, on every channel or the one named, and the rate in Hz.

    Parameters
    ----------
    load
        The recording, as `realtime.sources.recording.read_recording` returns it.
    config
        Which stream and markers to take.
    channel
        The channel that the photodiode is on; the one that follows the markers best when left out.

    Raises
    ------
    LightError
        If no channel follows the markers.
    """
    stream = config.stream.model_copy(update={"channels": EVERY if channel is None else (channel,)})
    recording = Recording(load(stream))
    rate_hz = recording.spec.rate_hz
    samples = raw_samples(recording.events(), rate_hz, config.markers)
    return find_light(*samples, recording.spec.channels, channel), rate_hz


def raw_samples(
    items: Iterable[Chunk | Marker | Notice], rate_hz: float, settings: MarkerSettings | None = None
) -> tuple[Times, NDArray[np.float32], Times]:
    """Return times ``[n]``, samples ``[n, channels]`` and onsets ``[stimuli]`` in what a source yields, in seconds.

    Times are those that decoding uses: without jitter, lost samples left out.

    Parameters
    ----------
    items
        What the source yields.
    rate_hz
        Its nominal rate.
    settings
        Which markers are onsets; those of pictures when left out.

    Raises
    ------
    LightError
        If no samples came.
    """
    settings = settings or MarkerSettings()
    timeline = Timeline(rate_hz)
    chunks: list[TimedChunk] = []
    onsets: list[float] = []
    for item in items:
        if isinstance(item, Chunk):
            chunks += [timed for timed in timeline.push(item) if isinstance(timed, TimedChunk)]
        elif isinstance(item, Marker) and is_stimulus(item, settings.classes, settings.ignore):
            onsets.append(item.timestamp)
    if not chunks:
        msg = "no samples came: check that the EEG stream sends"
        raise LightError(msg)
    times = np.concatenate([chunk.times for chunk in chunks])
    return times, np.concatenate([chunk.samples for chunk in chunks]), np.array(onsets)


def find_light(
    times: Times,
    samples: NDArray[np.floating],
    onsets: Times,
    channels: Sequence[str],
    channel: str | None = None,
) -> Light:
    """Return the light that follows markers, on the channel whose square wave does.

    The signal is cut half-way between its two levels, with hysteresis against noise. Both edges are tried: the one that
    most markers have is the light's onset and, where both edges serve, the one nearer to the markers. Where no channel
    follows the markers by the same delay, one with about an edge a marker is taken: the nearest by the usual delay.

    Parameters
    ----------
    times, samples
        ``[n]`` seconds and ``[n, channels]``, unfiltered.
    onsets
        Timestamps of the markers, on the same clock.
    channels
        Names of the columns.
    channel
        The only one to look at.

    Raises
    ------
    LightError
        If there are too few markers, or no channel follows them.
    """
    if channel is not None and channel not in channels:
        msg = f"there is no channel {channel!r} among {', '.join(channels)}"
        raise LightError(msg)
    seen = onsets[(onsets > times[0] + REACH_S) & (onsets < times[-1] - REACH_S)]
    if len(seen) < FEWEST:
        msg = f"{len(seen)} pictures' markers lie within the samples: at least {FEWEST} are needed to measure timing"
        raise LightError(msg)
    near = (times >= seen[0] - 2 * REACH_S) & (times <= seen[-1] + 2 * REACH_S)
    found: list[tuple[bool, int, float, Light]] = []
    for column, name in enumerate(channels):
        if channel is not None and name != channel:
            continue
        signal = samples[near, column].astype(np.float64)
        levels = _levels(signal)
        if levels is None:
            continue
        for edge, sign in (("rise", 1.0), ("fall", -1.0)):
            edges = _edges(times[near], sign * signal, sign * np.array(levels))
            for scattered, lit in ((False, _steady(edges, seen)), (True, _scattered(edges, seen))):
                light = Light(name, edge, seen, lit)
                count = len(light.delays)
                if count >= LEAST_MATCHED * len(seen):
                    found.append((scattered, -count, abs(float(np.median(light.delays))), light))
    if not found:
        where = f"channel {channel}" if channel else f"none of the {len(channels)} channels"
        msg = (
            f"{where} {'does not follow' if channel else 'follows'} the {len(seen)} markers as a square wave: "
            "place the photodiode on the square in the corner, or name its channel (--channel, markers.from_photodiode)"
        )
        raise LightError(msg)
    return min(found, key=lambda one: one[:3])[3]


def _levels(signal: Times) -> tuple[float, float] | None:
    """Return the low and the high level of a square wave; None for a signal that is none."""
    low, high = np.percentile(signal, [1, 99])
    for _ in range(4):
        if not high > low:
            return None
        is_high = signal > (low + high) / 2
        low, high = float(np.median(signal[~is_high])), float(np.median(signal[is_high]))
    quarter = (high - low) / 4
    between = np.mean((signal > low + quarter) & (signal < high - quarter))
    return (low, high) if between <= 1 - LEAST_SQUARE else None


def _edges(times: Times, signal: Times, levels: Times) -> Times:
    """Return when `signal` rises through the middle of its levels, once for each rise."""
    low, high = float(levels.min()), float(levels.max())
    middle, margin = (low + high) / 2, _HYSTERESIS * (high - low)
    state = np.where(signal > middle + margin, 1, np.where(signal < middle - margin, -1, 0))
    sure = np.flatnonzero(state)
    rises = np.flatnonzero((state[sure[:-1]] < 0) & (state[sure[1:]] > 0))
    edges = []
    for before, after in zip(sure[rises], sure[rises + 1], strict=True):
        stretch = signal[before : after + 1]
        k = before + int(np.flatnonzero((stretch[:-1] <= middle) & (stretch[1:] > middle))[-1])
        share = (middle - signal[k]) / (signal[k + 1] - signal[k])
        edges.append(times[k] + share * (times[k + 1] - times[k]))
    return np.array(edges)


def _steady(edges: Times, onsets: Times) -> Times:
    """Return the edge of each marker ``[markers]`` that comes by the delay that most share; NaN where there is none.

    In a regular sequence the neighbours' edges are as regular as one's own, but one marker in each sequence has no
    neighbour: the delay that most markers share is the right one.
    """
    none = np.full(len(onsets), np.nan)
    if not len(edges):
        return none
    differences = np.concatenate(
        [edges[np.searchsorted(edges, t - REACH_S) : np.searchsorted(edges, t + REACH_S)] - t for t in onsets]
    )
    if not len(differences):
        return none
    ordered = np.sort(differences)
    shared = np.searchsorted(ordered, ordered + SPREAD_S) - np.searchsorted(ordered, ordered - SPREAD_S)
    # The middle of the delays that most share: of equal counts, the first and the last.
    most = np.flatnonzero(shared == shared.max())
    usual = float(np.median(ordered[most]))
    nearest = _nearest(edges, onsets + usual)
    lit: Times = np.where(np.abs(nearest - onsets - usual) <= SPREAD_S, nearest, np.nan)
    return lit


def _nearest(edges: Times, wanted: Times) -> Times:
    """Return the edge nearest to each wanted time."""
    after = np.clip(np.searchsorted(edges, wanted), 1, max(len(edges) - 1, 1))
    before, later = edges[after - 1], edges[np.minimum(after, len(edges) - 1)]
    nearest: Times = np.where(wanted - before <= later - wanted, before, later)
    return nearest


def _scattered(edges: Times, onsets: Times) -> Times:
    """Return an edge for each marker, the nearest by the usual delay; NaN where it is nearer to another marker.

    The usual delay is the one within half an interval of the markers, either way, that leaves the least between the
    markers and their edges.
    """
    half_s = float(np.median(np.diff(onsets))) / 2
    inside = edges[(edges > onsets[0] - half_s) & (edges < onsets[-1] + half_s)]
    if not LEAST_MATCHED * len(onsets) <= len(inside) <= _MOST_EDGES * len(onsets):
        return np.full(len(onsets), np.nan)
    delays = np.arange(-half_s, half_s, SPREAD_S / 2)
    left = [np.abs(_nearest(inside, onsets + delay) - onsets - delay).mean() for delay in delays]
    usual = float(delays[np.argmin(left)])
    nearest = _nearest(inside, onsets + usual)
    away = np.abs(nearest - onsets - usual)
    own = np.array([away[nearest == edge].min() for edge in nearest])
    lit: Times = np.where((away == own) & (away <= half_s), nearest, np.nan)
    spread = np.nanstd(lit - onsets)
    return lit if spread < _RELATED * 2 * half_s / np.sqrt(12) else np.full(len(onsets), np.nan)
