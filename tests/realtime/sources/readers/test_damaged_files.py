"""Damaged recordings are read as far as they go or refused in one line, whatever was damaged, and quickly."""

import resource
from contextlib import suppress

import mne
import numpy as np
import pytest

from configs.schema import Config, StreamSettings
from realtime.sources.recording import SourceError, open_recording
from tests.support.recording_files import (
    Remarks,
    Wave,
    edf_bytes,
    write_brainvision,
    write_eeglab,
    write_eeglab_hdf5,
)

CONFIG = Config(stream=StreamSettings(unit="microvolts"))
MOST_KB = 100_000
"""Memory that reading a file of some kilobytes may take."""
SECONDS = np.arange(1000) / 250


def edf(folder, bdf=False):
    notes = Remarks([(1.0, 0.5, b"BAD_blink"), (2.0, 0.0, b"1")], [0.0, 1.0, 5.0, 6.0])
    status = np.where(np.arange(1000) % 100 < 5, 3, 0)
    waves = [Wave("EEG Fz-Ref", np.sin(SECONDS)), Wave("ECG", np.cos(SECONDS)), Wave("Status", status, "Boolean")]
    path = folder / ("run.bdf" if bdf else "run.edf")
    path.write_bytes(edf_bytes(waves, notes, "BDF+D" if bdf else "EDF+D", bdf=bdf))
    return [path]


def fif(folder):
    codes = np.where(np.arange(1000) % 100 < 5, 3e-6, 0)
    raw = mne.io.RawArray(
        np.stack([np.sin(SECONDS), codes * 1e6]) * 1e-6, mne.create_info(["Fz", "STI 014"], 250, ["eeg", "stim"])
    )
    raw.set_annotations(mne.Annotations([1.0, 2.0], [0.5, 0.2], ["BAD_blink", "BAD_ACQ_SKIP"]))
    raw.save(folder / "run_raw.fif", verbose="error")
    return [folder / "run_raw.fif"]


def brainvision(folder):
    lines = [
        "New Segment,,1,1,0,20260101120000000000",
        "Stimulus,S  1,200,1,0",
        "New Segment,,500,1,0,",
        "Comment,x,9,1,0",
    ]
    path = write_brainvision(folder / "run.vhdr", np.sin(SECONDS)[:, None], lines)
    return [path, path.with_suffix(".vmrk"), path.with_suffix(".eeg")]


EVENTS = [{"type": "1", "latency": 99.0, "duration": 1.0}, {"type": "boundary", "latency": 500.5, "duration": 9.0}]


def eeglab(folder):
    return [write_eeglab(folder / "run.set", np.stack([SECONDS, SECONDS]), EVENTS)]


def eeglab_hdf5(folder):
    return [write_eeglab_hdf5(folder / "run.set", np.stack([SECONDS, SECONDS]), EVENTS)]


def damaged(content, rng):
    """Return `content` with a few bytes, a stretch, or the end of it spoilt."""
    spoilt = bytearray(content)
    # Headers are where damage does most: half of it goes to the first tenth.
    reach = len(spoilt) if rng.random() < 0.5 else max(16, len(spoilt) // 10)
    at = int(rng.integers(reach))
    match rng.integers(5):
        case 0:
            del spoilt[at:]
        case 1:
            for place in rng.integers(reach, size=8):
                spoilt[place] = rng.integers(256)
        case 2:
            spoilt[at : at + 16] = rng.bytes(16)
        case 3:
            spoilt[at : at + 8] = b"99999999"
        case _:
            del spoilt[at : at + int(rng.integers(1, 64))]
    return bytes(spoilt)


def why_refused(path):
    """Read everything in `path`; return the one line with which that was refused, None where it was not."""
    try:
        for _item in open_recording(path, CONFIG).events():
            pass
    except SourceError as error:
        return one_line(str(error))
    return None


def one_line(text):
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    "write",
    [edf, lambda folder: edf(folder, bdf=True), fif, brainvision, eeglab, eeglab_hdf5],
    ids=["edf", "bdf", "fif", "brainvision", "eeglab", "hdf5"],
)
def test_a_damaged_file_is_read_or_refused_in_one_line(tmp_path, write):
    files = write(tmp_path)
    whole = [file.read_bytes() for file in files]
    assert open_recording(files[0], CONFIG).n_samples > 0
    rng = np.random.default_rng(7)
    refused = 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(80):
        which = int(rng.integers(len(files)))
        files[which].write_bytes(damaged(whole[which], rng))
        refused += why_refused(files[0]) is not None
        files[which].write_bytes(whole[which])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_KB
    assert 0 < refused < 80


def test_a_value_beyond_single_precision_becomes_infinite(tmp_path):
    values = np.ones((1, 1000))
    values[0, 500] = 1e300
    raw = mne.io.RawArray(values, mne.create_info(["Fz"], 250.0, "eeg"), verbose="error")
    raw.save(tmp_path / "run_raw.fif", fmt="double", verbose="error")
    samples = np.concatenate([item.samples for item in open_recording(tmp_path / "run_raw.fif", CONFIG).events()])
    assert np.flatnonzero(np.isinf(samples[:, 0])).tolist() == [500]


def test_what_is_no_recording_at_all_is_refused(tmp_path):
    rng = np.random.default_rng(3)
    for name in ("run.edf", "run.bdf", "run_raw.fif", "run.vhdr", "run.set", "run.fif.gz"):
        for content in (b"", b"\0" * 600, rng.bytes(4000)):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(SourceError, match="cannot read") as refused:
                open_recording(tmp_path / name)
            assert "\n" not in str(refused.value)
            with suppress(FileNotFoundError):
                (tmp_path / name).unlink()
