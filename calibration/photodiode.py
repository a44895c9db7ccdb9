"""When the light came, measured against when the markers say it did: by a photodiode in the EEG stream."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.errors import FitError
from configs.files import write_whole
from realtime.sources.base import Chunk, Marker, Notice
from realtime.timeline.sample_grid import TimedChunk
from realtime.timeline.timeline import Timeline

Times = NDArray[np.float64]

REACH_S = 0.3
"""Longest time from a marker to its light, either way, in seconds."""
SPREAD_S = 0.02
"""Seconds from its usual delay beyond which light is not the marker's own."""
FEWEST = 20
LEAST_MATCHED = 0.8
LEAST_SQUARE = 0.8
_HYSTERESIS = 0.2


@dataclass(frozen=True)
class Timing:
    """Light against markers.

    Attributes
    ----------
    channel, edge
        Where the light was seen, and whether it made the signal rise or fall.
    n_markers, n_matched
        Markers in the recording, and those with an edge at their place.
    offset_s
        Median time from a marker's timestamp to the light: the ``markers.offset_s`` to set.
    sd_s, p5_s, p95_s
        Standard deviation, and 5th and 95th percentile, of the same.
    rate_hz
        Rate of the stream; light is timed between samples by interpolation.
    """

    channel: str
    edge: str
    n_markers: int
    n_matched: int
    offset_s: float
    sd_s: float
    p5_s: float
    p95_s: float
    rate_hz: float

    @property
    def matched(self) -> float:
        """Share of the markers that have their light."""
        return self.n_matched / self.n_markers


def raw_samples(items: Iterable[Chunk | Marker | Notice], rate_hz: float) -> tuple[Times, NDArray[np.float32], Times]:
    """Return times ``[n]``, samples ``[n, channels]`` and onsets ``[pictures]`` in what a source yields, in seconds.

    Times are those that decoding uses: without jitter, lost samples left out.

    Raises
    ------
    FitError
        If no samples came.
    """
    from stimuli.markers import PICTURE

    timeline = Timeline(rate_hz)
    chunks: list[TimedChunk] = []
    onsets: list[float] = []
    for item in items:
        if isinstance(item, Chunk):
            chunks += [timed for timed in timeline.push(item) if isinstance(timed, TimedChunk)]
        elif isinstance(item, Marker) and item.kind == PICTURE:
            onsets.append(item.stamp)
    if not chunks:
        msg = "no samples came: check that the EEG stream sends"
        raise FitError(msg)
    times = np.concatenate([chunk.times for chunk in chunks])
    return times, np.concatenate([chunk.samples for chunk in chunks]), np.array(onsets)


def measure_timing(
    times: Times,
    samples: NDArray[np.floating],
    onsets: Times,
    channels: Sequence[str],
    rate_hz: float,
    channel: str | None = None,
) -> Timing:
    """Return how light follows markers, on the channel whose square wave does.

    The signal is cut half-way between its two levels, with hysteresis against noise. Both edges are tried: the one that
    most markers have is the light's onset and, where both edges serve, the one nearer to the markers.

    Parameters
    ----------
    times, samples
        ``[n]`` seconds and ``[n, channels]``, unfiltered.
    onsets
        Timestamps of the markers, on the same clock.
    channels
        Names of the columns.
    rate_hz
        Nominal rate of the stream.
    channel
        The only one to look at.

    Raises
    ------
    FitError
        If there are too few markers, or no channel follows them.
    """
    if channel is not None and channel not in channels:
        msg = f"there is no channel {channel!r} among {', '.join(channels)}"
        raise FitError(msg)
    seen = onsets[(onsets > times[0] + REACH_S) & (onsets < times[-1] - REACH_S)]
    if len(seen) < FEWEST:
        msg = f"{len(seen)} pictures' markers lie within the samples: at least {FEWEST} are needed to measure timing"
        raise FitError(msg)
    near = (times >= seen[0] - 2 * REACH_S) & (times <= seen[-1] + 2 * REACH_S)
    found: list[tuple[int, float, str, str, Times]] = []
    for column, name in enumerate(channels):
        if channel is not None and name != channel:
            continue
        signal = samples[near, column].astype(np.float64)
        levels = _levels(signal)
        if levels is None:
            continue
        for edge, sign in (("rise", 1.0), ("fall", -1.0)):
            delays = _delays(_edges(times[near], sign * signal, sign * np.array(levels)), seen)
            if len(delays) >= LEAST_MATCHED * len(seen):
                found.append((-len(delays), abs(float(np.median(delays))), name, edge, delays))
    if not found:
        where = f"channel {channel}" if channel else f"none of the {len(channels)} channels"
        msg = (
            f"{where} {'does not follow' if channel else 'follows'} the {len(seen)} markers as a square wave: "
            "place the photodiode on the square in the corner, or name its channel with --channel"
        )
        raise FitError(msg)
    _, _, name, edge, delays = min(found, key=lambda one: one[:2])
    p5, median, p95 = np.percentile(delays, [5, 50, 95])
    return Timing(
        name, edge, len(seen), len(delays), float(median), float(delays.std(ddof=1)), float(p5), float(p95), rate_hz
    )


def write_timing(timing: Timing, path: Path) -> None:
    """Write `timing` as JSON, whole or not at all."""
    write_whole(path, json.dumps(asdict(timing), indent=1, allow_nan=False) + "\n")


def read_timing(path: Path) -> Timing:
    """Return what `write_timing` wrote.

    Raises
    ------
    FitError
        If the file cannot be read or holds something else.
    """
    from pydantic import TypeAdapter

    try:
        return TypeAdapter(Timing).validate_json(path.read_bytes())
    except OSError as error:
        msg = f"cannot read timing {path}: {error.strerror or error}; measure it with 'calibrate --check-timing'"
        raise FitError(msg) from error
    except ValueError as error:
        msg = f"{path} holds no timing; measure it with 'perceptogram calibrate --check-timing'"
        raise FitError(msg) from error


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


def _delays(edges: Times, onsets: Times) -> Times:
    """Return the time to its edge for each marker that has one.

    In a regular sequence the neighbours' edges are as regular as one's own, but one marker in each sequence has no
    neighbour: the delay that most markers share is the right one.
    """
    if not len(edges):
        return np.empty(0)
    differences = np.concatenate(
        [edges[np.searchsorted(edges, t - REACH_S) : np.searchsorted(edges, t + REACH_S)] - t for t in onsets]
    )
    if not len(differences):
        return np.empty(0)
    ordered = np.sort(differences)
    shared = np.searchsorted(ordered, ordered + SPREAD_S) - np.searchsorted(ordered, ordered - SPREAD_S)
    # The middle of the delays that most share: of equal counts, the first and the last.
    most = np.flatnonzero(shared == shared.max())
    usual = float(np.median(ordered[most]))
    nearest: Times = edges[np.abs(edges[None, :] - (onsets[:, None] + usual)).argmin(axis=1)] - onsets
    kept: Times = nearest[np.abs(nearest - usual) <= SPREAD_S]
    return kept
