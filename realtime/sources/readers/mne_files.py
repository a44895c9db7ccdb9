"""FIF, BrainVision, EDF, BDF and EEGLAB recordings, read by MNE; samples stay on disk until they are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from realtime.sources.base import Marker
from realtime.sources.metadata import Channel, SourceError, StreamDescription, select
from realtime.sources.readers.loaded import Loaded
from stimuli.markers import read_marker

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from configs.schema import StreamSettings

VOLTAGES = {"eeg", "eog", "ecg", "emg", "seeg", "ecog", "dbs", "bio"}  # kinds of channel that MNE keeps in volts
TRIGGER_BITS = 0xFFFF  # a BioSemi status channel carries its own flags above these


def read_mne_file(path: Path, settings: StreamSettings) -> Loaded:
    """Return the recording in `path`; stamps run from 0, and annotations (else the trigger channel) are the markers.

    Raises
    ------
    SourceError
        If MNE cannot read the file, or the channels cannot be used.
    """
    import mne

    try:
        raw = mne.io.read_raw(path, preload=False, verbose="error")
        types = raw.get_channel_types()
        markers = _annotations(raw) or _triggers(raw, types)
    except Exception as error:  # MNE's readers raise whatever a broken file leads to
        msg = f"cannot read {path}: {' '.join(str(error).split()) or type(error).__name__}"
        raise SourceError(msg) from error
    rate_hz = float(raw.info["sfreq"])
    channels = tuple(
        Channel(name, kind, "volts" if kind in VOLTAGES else "") for name, kind in zip(raw.ch_names, types, strict=True)
    )
    description = StreamDescription(
        name=path.stem,
        type="EEG",
        source_id="",
        host="",
        uid="",
        rate_hz=rate_hz,
        format="double64",
        channels=channels,
        reference="average" if raw.info["custom_ref_applied"] else None,
    )
    # MNE has brought everything to volts: a unit that is set for the live stream does not apply
    selection = select(description, settings.model_copy(update={"unit": None}))

    def read(start: int, stop: int) -> NDArray[np.float32]:
        volts: NDArray[np.float64] = raw.get_data(selection.picks, start, stop)
        return (volts.T * selection.scale).astype(np.float32)

    return Loaded(selection.spec, np.arange(raw.n_times) / rate_hz, read, markers)


def _annotations(raw: Any) -> tuple[Marker, ...]:
    """Return the annotations as markers, in seconds from the first sample."""
    found = zip(raw.annotations.description, raw.annotations.onset, strict=True)
    return tuple(read_marker(str(text), float(onset - raw.first_time)) for text, onset in found)


def _triggers(raw: Any, types: list[str]) -> tuple[Marker, ...]:
    """Return the rises of the trigger channels as markers."""
    import mne

    names = [name for name, kind in zip(raw.ch_names, types, strict=True) if kind == "stim"]
    if not names:
        return ()
    events = mne.find_events(raw, names, shortest_event=1, mask=TRIGGER_BITS, mask_type="and", verbose="error")
    return tuple(read_marker(int(code), float(row - raw.first_samp) / raw.info["sfreq"]) for row, _, code in events)
