"""EDF and BDF recordings, read record by record: each signal at its own rate, pauses between records kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from realtime.sources.base import Marker
from realtime.sources.metadata import Channel, SourceError, StreamDescription
from realtime.sources.readers.edf_annotations import read_annotations
from realtime.sources.readers.edf_header import Header, Signal, read_header
from realtime.sources.readers.edf_labels import TRIGGERS, Label, read_labels
from realtime.sources.readers.loaded import Loaded
from realtime.sources.readers.marks import as_marker, left_out, merged, unknown_pauses
from realtime.sources.readers.triggers import read_triggers
from realtime.sources.selection import EVERY, select
from stimuli.markers import read_marker

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from configs.schema import StreamSettings
    from realtime.sources.readers.loaded import Loader

CODE_BITS = 0xFFFF
"""Bits of a BioSemi status channel that carry trigger codes; its own flags are above."""
NEW_EPOCH_BIT = 0x10000
"""The flag that BioSemi sets in the first sample after recording was paused."""
GAP_S = 0.002
"""Seconds, or half a sample if that is more, between the end of a record and the next one that make a pause."""


def read_edf(path: Path) -> Loader:
    """Open the recording in `path`; what is returned loads the channels that are wanted of it.

    Timestamps are seconds after the start that the header tells. Of signals with several rates, those with the rate of
    most electrodes are loaded.

    Raises
    ------
    SourceError
        If the file is no EDF or BDF; on loading, if its channels cannot be used.
    """
    try:
        with path.open("rb") as file:
            header = read_header(file, path.stat().st_size)
    except (OSError, ValueError) as error:
        msg = f"cannot read {path}: {error}"
        raise SourceError(msg) from error
    return _Edf(path, header).load


class _Edf:
    """An open file: its records as bytes ``[records, record_bytes]``, read from disk when they are looked at."""

    def __init__(self, path: Path, header: Header) -> None:
        self._path = path
        self._header = header
        shape = (header.records, header.record_bytes)
        self._bytes = np.memmap(path, np.uint8, "r", header.start, shape)

    def load(self, settings: StreamSettings) -> Loaded:
        header = self._header
        notices = []
        if header.promised >= 0 and header.promised != header.records:
            notices.append(f"the header promises {header.promised} records, the file holds {header.records}")
        signals = [signal for signal in header.signals if not signal.is_annotations and signal.samples]
        labels = self._labels(signals, settings)
        channels = [Channel(label.name, label.kind, signal.unit) for label, signal in zip(labels, signals, strict=True)]
        wanted = [i for i in range(len(signals)) if self._is_wanted(channels[i], settings)]
        if not wanted:
            told = ", ".join(f"{channel.label} ({channel.type})" for channel in channels) or "no signal at all"
            msg = f"{self._path} holds no EEG channel that is wanted, but {told}; name some in stream.channels"
            raise SourceError(msg)
        samples = Counter(signals[i].samples for i in wanted).most_common()
        most = max(count for count, n in samples if n == samples[0][1])
        read = [i for i in wanted if signals[i].samples == most]
        rate_hz = header.rate_hz(signals[read[0]])
        if settings.channels not in (None, EVERY) and len(read) < len(wanted):
            odd = ", ".join(channels[i].label for i in wanted if i not in read)
            msg = f"{self._path}: {odd} is not sampled at {rate_hz:g} Hz as the others are; change stream.channels"
            raise SourceError(msg)
        notices += left_out(
            [channels[i] for i in range(len(signals)) if i not in wanted and channels[i].type != "stim"],
            [f"{channels[i].label} ({header.rate_hz(signals[i]):g} Hz)" for i in wanted if i not in read],
            rate_hz,
            settings,
        )
        references = {labels[i].reference for i in read}
        reference = references.pop() if len(references) == 1 else None
        description = StreamDescription.of_file(self._path, rate_hz, [channels[i] for i in read], reference)
        selection = select(description, settings)
        chosen = [signals[read[pick]] for pick in selection.picks]
        for signal, channel in zip(chosen, selection.spec.channels, strict=True):
            self._check_scale(signal, channel)

        def values(start: int, stop: int) -> NDArray[np.float32]:
            columns = [self._physical(signal, start, stop) for signal in chosen]
            return (np.stack(columns, axis=1) * selection.scale).astype(np.float32)

        notes, starts_s, spoilt = read_annotations(self._bytes, header)
        if spoilt:
            notices.append(f"{spoilt} annotations cannot be read")
        starts_s, pauses_s = self._record_starts(starts_s, rate_hz)
        timestamps = (starts_s[:, None] + np.arange(most) / rate_hz).ravel()
        pauses = [record * most for record in np.flatnonzero(pauses_s).tolist()]
        markers, flagged = self._triggers(signals, channels, starts_s)
        pauses += np.searchsorted(timestamps, np.array(flagged)).tolist()
        notices += unknown_pauses(timestamps, pauses, rate_hz)
        return Loaded(
            spec=selection.spec,
            timestamps=timestamps,
            read=values,
            markers=merged([as_marker(*note) for note in notes], markers, 1 / rate_hz),
            notices=tuple(notices),
            pauses=tuple(sorted(set(pauses))),
        )

    def _labels(self, signals: Sequence[Signal], settings: StreamSettings) -> list[Label]:
        """Return what the labels tell; a channel that the settings call by its whole label keeps that."""
        named = settings.channels or ()
        read = read_labels([signal.label for signal in signals], [signal.unit for signal in signals])
        return [
            replace(label, name=signal.label) if signal.label in named else label
            for label, signal in zip(read, signals, strict=True)
        ]

    @staticmethod
    def _is_wanted(channel: Channel, settings: StreamSettings) -> bool:
        if settings.channels is None:
            return channel.type in ("", "eeg")
        return settings.channels == EVERY or channel.label in settings.channels

    def _check_scale(self, signal: Signal, name: str) -> None:
        span = [high - low for low, high in (signal.physical, signal.digital)]
        if not np.isfinite(span).all() or 0 in span:
            msg = (
                f"{self._path}: channel {name} has no scale: {signal.digital[0]:g} to {signal.digital[1]:g} stands for "
                f"{signal.physical[0]:g} to {signal.physical[1]:g}; leave it out by stream.channels"
            )
            raise SourceError(msg)

    def _stored(self, signal: Signal, start: int, stop: int) -> NDArray[np.int32]:
        """Return samples ``[start, stop)`` of a signal as stored."""
        first, last = start // signal.samples, -(-stop // signal.samples)
        width, skipped, n = self._header.width, start - first * signal.samples, signal.samples
        if last - first == 1:  # of a long record, no more than is asked for
            skipped, n = 0, stop - start
        at = signal.offset + width * (start - first * signal.samples - skipped)
        content = np.ascontiguousarray(self._bytes[first:last, at : at + width * n])
        stored: NDArray[Any]
        if width == 2:
            stored = content.view("<i2").ravel().astype(np.int32)
        else:
            wide = np.zeros((content.size // 3, 4), np.uint8)
            wide[:, 1:] = content.reshape(-1, 3)
            stored = wide.view("<i4").ravel() >> 8
        return stored[skipped : skipped + stop - start]

    def _physical(self, signal: Signal, start: int, stop: int) -> NDArray[np.float64]:
        """Return samples ``[start, stop)`` of a signal in its unit."""
        (low, high), (least, greatest) = signal.physical, signal.digital
        gain = (high - low) / (greatest - least)
        values: NDArray[np.float64] = self._stored(signal, start, stop).astype(np.float64)
        return (values - least) * gain + low

    def _record_starts(
        self, told_s: NDArray[np.float64], rate_hz: float
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return when each record begins, and whether after a pause; records without a pause follow one another evenly.

        Parameters
        ----------
        told_s
            ``[records]``: as the records themselves tell, not a number where one does not.
        rate_hz
            Rate of the samples.
        """
        even = np.arange(len(told_s)) * self._header.record_s
        after_s = np.zeros(len(told_s))
        if self._header.interrupted:
            after_s[1:] = np.nan_to_num(np.diff(told_s) - self._header.record_s)
        paused = np.abs(after_s) > max(GAP_S, 0.5 / rate_hz)
        first = 0.0 if np.isnan(told_s[0]) else told_s[0]
        # Time that runs back is told by the pause alone: nobody knows how long that was.
        return first + even + np.cumsum(np.where(paused, np.maximum(after_s, 0.0), 0.0)), paused

    def _triggers(
        self, signals: Sequence[Signal], channels: Sequence[Channel], starts_s: NDArray[np.float64]
    ) -> tuple[list[Marker], list[float]]:
        """Return the events of the trigger channels, and the times of the flags that BioSemi sets after a pause."""
        markers: list[Marker] = []
        flagged: list[float] = []
        for signal, channel in zip(signals, channels, strict=True):
            if channel.type != "stim":
                continue
            timestamps = (starts_s[:, None] + np.arange(signal.samples) / self._header.rate_hz(signal)).ravel()
            if self._header.width == 3:
                values = self._stored(signal, 0, len(timestamps)).astype(np.int64)
            else:
                self._check_scale(signal, channel.label)
                values = np.rint(self._physical(signal, 0, len(timestamps))).astype(np.int64)
            markers += [read_marker(code, float(timestamps[row])) for row, code in read_triggers(values & CODE_BITS)]
            if self._header.width == 3 and signal.label.casefold() == TRIGGERS[0]:
                rises = np.flatnonzero(np.diff(values & NEW_EPOCH_BIT) > 0) + 1
                flagged += timestamps[rises].tolist()
        return markers, flagged
