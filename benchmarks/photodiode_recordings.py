"""Recordings with a photodiode, as their authors saved them (``.npy``), made into XDF as a recorder would have."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from realtime.recording.xdf_writer import XdfWriter
from stimuli.markers import PICTURE, Marker

RATE_HZ = 250.0
ELECTRODES = ("O1", "O2", "T5", "P3", "Pz", "P4", "T6", "REF")
AUXILIARY = ("A1", "A2", "A3")
"""Auxiliary inputs of the amplifier; the photodiode is on the second."""


def faces(folder: Path, run: int, file: Path, pictures: Sequence[str] | None = None) -> Path:
    """Write a run of faces and return `file`.

    Parameters
    ----------
    folder
        The set.
    run
        Number of the run.
    file
        Where to write.
    pictures
        What was shown, in order: told by the markers in place of 1 or 2 (a target).
    """
    eeg, aux, codes = (np.load(folder / f"person1_run{run}_{part}.npy") for part in ("eeg", "aux", "markers"))
    at = np.flatnonzero(codes)
    labels = [f"{codes[place]:g}" for place in at]
    if pictures is not None:
        labels = [Marker(0.0, PICTURE, name).text() for name in pictures]
    return write(file, eeg, aux, at / RATE_HZ, labels)


def flicker(folder: Path, file: Path, delays_s: NDArray[np.float64]) -> Path:
    """Write ten runs of flicker, a minute apart, and return `file`.

    Parameters
    ----------
    folder
        The set, of which nobody recorded markers.
    file
        Where to write.
    delays_s
        ``[trials]``: how long before its recorded light each trial's class is marked.
    """
    with (folder / "labels.csv").open() as labels:
        names = [row["hz"] for row in csv.DictReader(labels)]
    timestamps, eeg, aux = [], [], []
    lit: list[float] = []
    for run in range(1, 11):
        parts = [np.load(folder / f"run{run}_{part}.npy") for part in ("eeg", "aux")]
        begun = 60.0 * run
        bright = parts[1][1] > np.ptp(parts[1][1]) / 2
        lit += (begun + np.flatnonzero(np.diff(bright.astype(int)) == 1) / RATE_HZ).tolist()
        timestamps.append(begun + np.arange(parts[0].shape[1]) / RATE_HZ)
        eeg.append(parts[0])
        aux.append(parts[1])
    onsets = np.array(lit) - delays_s
    return write(file, np.hstack(eeg), np.hstack(aux), onsets, names, np.concatenate(timestamps))


def write(
    file: Path,
    eeg: NDArray[np.float64],
    aux: NDArray[np.float64],
    onsets: NDArray[np.float64],
    names: Sequence[str],
    timestamps: NDArray[np.float64] | None = None,
) -> Path:
    """Write an EEG stream with its auxiliary inputs, and a stream of markers, on one clock, and return `file`.

    Parameters
    ----------
    file
        Where to write.
    eeg, aux
        ``[channels, n]``: microvolts, and the inputs' own values.
    onsets, names
        ``[markers]``: seconds, and what each says.
    timestamps
        ``[n]`` seconds; `RATE_HZ` from 0 when left out.
    """
    writer = XdfWriter(file)
    labels = [*((name, "EEG", "microvolts") for name in ELECTRODES), *((name, "AUX", "none") for name in AUXILIARY)]
    channels = "".join(
        f"<channel><label>{name}</label><type>{type_}</type><unit>{unit}</unit></channel>"
        for name, type_, unit in labels
    )
    writer.stream_header(
        1,
        f"<info><name>Cyton</name><type>EEG</type><channel_count>{len(labels)}</channel_count><nominal_srate>250"
        f"</nominal_srate><channel_format>float32</channel_format><desc><channels>{channels}</channels></desc></info>",
    )
    writer.stream_header(
        2,
        "<info><name>Stimuli</name><type>Markers</type><channel_count>1</channel_count><nominal_srate>0</nominal_srate>"
        "<channel_format>string</channel_format></info>",
    )
    samples = np.vstack([eeg, aux]).T.astype(np.float32)
    writer.numbers(1, np.arange(len(samples)) / RATE_HZ if timestamps is None else timestamps, samples)
    writer.texts(2, onsets, [[name] for name in names])
    writer.close()
    return file
