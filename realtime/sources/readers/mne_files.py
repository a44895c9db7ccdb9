"""FIF, BrainVision and EEGLAB recordings, read by MNE; samples stay on disk until they are asked for."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from realtime.sources.base import Marker
from realtime.sources.metadata import Channel, SourceError, StreamDescription
from realtime.sources.readers.brainvision import channel_units, new_segments
from realtime.sources.readers.edf_labels import OTHER_UNITS
from realtime.sources.readers.loaded import Loaded
from realtime.sources.readers.marks import as_marker, left_out, merged, names, unknown_pauses
from realtime.sources.readers.matlab import check_matlab
from realtime.sources.readers.mne_messages import as_notices, why
from realtime.sources.readers.pauses import BOUNDARIES, Note, TimeAxis, find_pauses
from realtime.sources.readers.triggers import read_triggers
from realtime.sources.selection import select, unit_name
from stimuli.markers import read_marker

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from configs.schema import StreamSettings
    from realtime.sources.readers.loaded import Loader

VOLTAGES = {"eeg", "eog", "ecg", "emg", "seeg", "ecog", "dbs", "bio"}
"""Kinds of channel that MNE keeps in volts."""
CODE_BITS = 0xFFFF
COMPOSITE = ("STI101", "STI 014")
"""Trigger channels that hold what others hold bit by bit."""
NUMERIC_BOUNDARY = ("-99", "-99.0")
"""EEGLAB's boundary where the types of all events are numbers."""
VOLTS = 107
"""FIF's number for the unit."""
FIF_SUFFIXES, FIF_UNIT = (".fif", ".fif.gz"), "volts"
"""The format's own unit: whoever writes one by MNE gives volts, whatever the amplifier sends."""
NOT_TOLD = "n/a"
SPARSEST = 16
"""Samples that a byte of a file may stand for, since FIF leaves pauses out; a thousand times as many where zipped."""


def read_mne_file(path: Path) -> Loader:
    """Open the recording in `path`; what is returned loads the channels that are wanted of it.

    Timestamps run from 0, annotations and trigger channels are the markers.

    Raises
    ------
    SourceError
        If MNE cannot read the file; on loading, if the channels cannot be used.
    """
    return _MneFile(path).load


class _MneFile:
    """An open file: what stands in it beside the samples, which are read from disk when they are looked at."""

    def __init__(self, path: Path) -> None:
        import mne

        suffix = path.suffix.lower()
        self._path = path
        try:
            if suffix == ".set":
                check_matlab(path)
            with _listening() as told:
                raw = self._raw = mne.io.read_raw(path, preload=False, verbose="warning")
                _check_size(raw, path)
                raw.get_data(start=raw.n_times - 1, verbose="error")  # a file that was cut short has no last sample
                types = raw.get_channel_types()
                self._channels, self._per_volt = _channels(raw, types, path)
                notes = _notes(raw, numeric=suffix == ".set")
                rate_hz = float(raw.info["sfreq"])
                segments = new_segments(path, rate_hz) if suffix == ".vhdr" else []
                pauses = find_pauses(notes, segments, rate_hz, boundaries_last=suffix == ".set")
                axis = self._axis = TimeAxis.of(raw.n_times, rate_hz, pauses)
                triggers = _triggers(raw, types, axis)
        except Exception as error:  # MNE's readers raise whatever a broken file leads to
            msg = f"cannot read {path}: {why(error)}"
            raise SourceError(msg) from error
        self._notices = as_notices(str(warning.message) for warning in told)
        annotations = [_marker(note, axis) for note in notes if not note.is_pause]
        self._markers = merged(annotations, triggers, 1 / rate_hz)

    def load(self, settings: StreamSettings) -> Loaded:
        raw, axis, channels, notices = self._raw, self._axis, self._channels, list(self._notices)
        wanted = settings.channels or ()
        bads = [name for name in raw.info["bads"] if name not in wanted]
        if bads:
            notices.append(f"marked as bad and left out: {names(bads)}; name them in stream.channels to use them")
        if used := [name for name in raw.info["bads"] if name in wanted]:
            notices.append(f"marked as bad and used, because stream.channels names them: {names(used)}")
        places = [i for i, channel in enumerate(channels) if channel.label not in bads]
        others = [channels[i] for i in places if channels[i].type.casefold() not in ("eeg", "stim")]
        notices += left_out(others, (), axis.rate_hz, settings)
        notices += unknown_pauses(axis.timestamps, axis.pauses, axis.rate_hz)
        reference = "average" if raw.info["custom_ref_applied"] else None
        description = StreamDescription.of_file(self._path, axis.rate_hz, [channels[i] for i in places], reference)
        is_fif = self._path.name.lower().endswith(FIF_SUFFIXES)
        if (
            is_fif
            and settings.unit is not None
            and {each.unit for each in channels if each.type == "eeg"} == {FIF_UNIT}
        ):
            if settings.unit != FIF_UNIT:
                notices.append(
                    f"FIF holds volts: stream.unit ({settings.unit}) is for other recordings, and not applied"
                )
            settings = settings.model_copy(update={"unit": None})
        selection = select(description, settings)
        picks = [places[pick] for pick in selection.picks]
        scale = selection.scale * self._per_volt[picks]

        def read(start: int, stop: int) -> NDArray[np.float32]:
            values = _values(raw, picks, axis.rows[start:stop], self._path) * scale
            with np.errstate(over="ignore"):  # what is too large becomes infinite, and spoils its epoch
                return values.astype(np.float32)

        return Loaded(selection.spec, axis.timestamps, read, self._markers, tuple(notices), axis.pauses)


@contextmanager
def _listening() -> Iterator[list[warnings.WarningMessage]]:
    """Keep MNE's warnings, and let nothing that it logs reach the screen."""
    from mne.utils import catch_logging

    with catch_logging(verbose="warning"), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        yield told


def _check_size(raw: Any, path: Path) -> None:
    """Refuse a file that claims far more samples than its bytes can hold, before memory is taken for them."""
    size = sum(Path(name).stat().st_size for name in {path, *filter(None, raw.filenames)})
    most = size * SPARSEST * (1000 if path.name.endswith(".gz") else 1)
    if not 0 < raw.n_times <= most:
        msg = f"it claims {raw.n_times} samples of {len(raw.ch_names)} channels in {size} bytes"
        raise ValueError(msg)


def _channels(raw: Any, types: Sequence[str], path: Path) -> tuple[list[Channel], NDArray[np.float64]]:
    """Return the channels with the units that the file gives, and how much of each one's unit MNE takes for a volt."""
    suffix = path.suffix.lower()
    channels: list[Channel] = []
    per_volt = np.ones(len(types))
    written = channel_units(path, len(types)) if suffix == ".vhdr" else []
    for i, (kind, about) in enumerate(zip(types, raw.info["chs"], strict=True)):
        label, unit = about["ch_name"], ""
        if suffix == ".vhdr":
            unit = written[i]
            per_volt[i] = 1 / about["range"]
            if kind == "misc" and about["unit"] != VOLTS and unit.casefold() not in OTHER_UNITS and unit != "n/a":
                kind = "eeg"  # MNE does not know the unit, which is no reason to think that the channel is no EEG
        elif suffix == ".set" and kind in VOLTAGES:
            unit, per_volt[i] = "microvolts", 1e6  # by EEGLAB's convention: a file does not tell
        elif kind in VOLTAGES and about["unit"] == VOLTS:
            unit = "volts"
        channels.append(Channel(label, kind, unit_name(unit) or unit))
    return channels, per_volt


def _notes(raw: Any, *, numeric: bool) -> list[Note]:
    """Return the annotations, in seconds from the first sample on; `numeric` where EEGLAB's number is a boundary."""
    told = raw.annotations
    found = zip(told.description, told.onset, told.duration, told.extras, strict=True)
    named = ((BOUNDARIES[0] if numeric and text in NUMERIC_BOUNDARY else str(text), *rest) for text, *rest in found)
    return [Note(text, float(onset - raw.first_time), float(span), extras) for text, onset, span, extras in named]


def _marker(note: Note, axis: TimeAxis) -> Marker:
    """Return the marker that an annotation stands for, with the picture that `perceptogram.read_raw` told beside it."""
    marker = as_marker(*note.moved(axis))
    told = {key: str(note.extras.get(key, NOT_TOLD)) for key in ("picture", "sent")}
    if told["picture"] == NOT_TOLD:
        return marker
    try:
        sent = json.loads(told["sent"])
    except ValueError:
        sent = None
    return replace(marker, picture=told["picture"], extra=sent if isinstance(sent, dict) else {})


def _triggers(raw: Any, types: Sequence[str], axis: TimeAxis) -> list[Marker]:
    """Return the events of the trigger channels."""
    picks = [i for i, kind in enumerate(types) if kind == "stim"]
    whole = [i for name in COMPOSITE for i in picks if raw.ch_names[i] == name]
    markers: list[Marker] = []
    for pick in whole[:1] or picks:
        values = np.nan_to_num(raw.get_data([pick], verbose="error")[0][axis.rows])
        codes = np.clip(np.rint(values), -(1 << 53), 1 << 53).astype(np.int64) & CODE_BITS
        markers += [read_marker(code, float(axis.timestamps[row])) for row, code in read_triggers(codes)]
    return markers


def _values(raw: Any, picks: Sequence[int], rows: NDArray[np.int64], path: Path) -> NDArray[np.float64]:
    """Return float64 ``[rows, channels]`` as MNE gives them; not a number where the file cannot be read."""
    runs = np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)
    try:
        with _listening() as told:
            parts = [raw.get_data(picks, int(run[0]), int(run[-1]) + 1, verbose="warning") for run in runs if len(run)]
    except Exception as error:  # as above
        msg = f"cannot read samples {rows[0]} to {rows[-1]} of {path}: {why(error)}"
        raise SourceError(msg) from error
    values: NDArray[np.float64] = np.concatenate(parts, axis=1).T
    if any("set to zero" in str(warning.message) for warning in told):
        values[~values.any(axis=1)] = np.nan
    return values
